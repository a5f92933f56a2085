"""What sealing reads and writes. One topic, its series, bucket by bucket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, select, tuple_, update

from barometer.store.bulk import upsert
from barometer.store.engine import Store
from barometer.store.tables import (
    Document,
    Fingerprint,
    Prediction,
    Rollup,
    SealedBucket,
    SealingState,
    Series,
    SeriesDocument,
    SeriesState,
    Source,
)

Key = tuple[int, int]
"""(series, kind)."""


@dataclass(slots=True)
class Counts:
    """One series and kind in one bucket, late documents left out."""

    total: int = 0
    negative: int = 0
    neutral: int = 0
    positive: int = 0
    unscored: int = 0
    independent: int = 0
    independent_negative: int = 0
    model_id: int | None = None


class Voice(NamedTuple):
    """A scored document, for telling copies from voices."""

    observed_at: int
    row_id: int
    series_id: int
    kind: int
    sentiment: int
    fingerprint: int


def oldest_bucket(c: Connection) -> int | None:
    """Start of the first bucket that anything was counted in."""
    return c.execute(select(func.min(Rollup.bucket))).scalar()


def filled_buckets(c: Connection, start: int, end: int, limit: int) -> list[int]:
    """Starts of the first buckets in [start, end) that anything was counted in, ascending. Late documents alone count
    for nothing."""
    q = (
        select(Rollup.bucket)
        .where(Rollup.bucket >= start, Rollup.bucket < end)
        .group_by(Rollup.bucket)
        .having(func.sum(Rollup.total) > 0)
        .order_by(Rollup.bucket)
        .limit(limit)
    )
    return list(c.execute(q).scalars())


def bucket_counts(c: Connection, buckets: Sequence[int]) -> dict[int, dict[Key, Counts]]:
    """Counts of some buckets, summed over partitions and models; the model is that of most predictions."""
    out: dict[int, dict[Key, Counts]] = {b: {} for b in buckets}
    if not buckets:
        return out
    r = Rollup
    rows = c.execute(
        select(
            r.bucket, r.series_id, r.kind, r.model_id,
            func.sum(r.total), func.sum(r.negative), func.sum(r.neutral), func.sum(r.positive), func.sum(r.unscored),
        )
        .where(r.bucket >= buckets[0], r.bucket <= buckets[-1])
        .group_by(r.bucket, r.series_id, r.kind, r.model_id)
        .order_by(r.bucket, r.series_id, r.kind, r.model_id)
    )  # fmt: skip
    most: dict[tuple[int, int, int], int] = defaultdict(int)
    for bucket, series_id, kind, model_id, *values in rows:
        total, negative, neutral, positive, unscored = map(int, values)
        if not total or bucket not in out:
            continue
        k = out[bucket].setdefault((series_id, kind), Counts())
        k.total += total
        k.negative += negative
        k.neutral += neutral
        k.positive += positive
        k.unscored += unscored
        scored = total - unscored
        if scored > most[bucket, series_id, kind]:
            most[bucket, series_id, kind] = scored
            k.model_id = model_id
    return out


def voices(c: Connection, start: int, end: int, all_series: int | None) -> list[Voice]:
    """Scored documents of [start, end) that are not late, in the order of (observed_at, partition, offset)."""
    s = SeriesDocument
    ids = list(c.execute(select(Series.id)).scalars())
    out = [
        Voice(*row)
        for row in c.execute(
            select(s.observed_at, s.row_id, s.series_id, s.kind, s.sentiment, s.fingerprint).where(
                s.series_id.in_(ids), s.observed_at >= start, s.observed_at < end, s.late.is_(False)
            )
        )
    ]
    if all_series is not None:
        d, p = Document, Prediction
        out += [
            Voice(r.observed_at, r.row_id, all_series, r.kind, r.sentiment, r.fingerprint)
            for r in c.execute(
                select(d.observed_at, d.row_id, d.kind, p.sentiment, d.fingerprint)
                .join(p, (p.observed_at == d.observed_at) & (p.row_id == d.row_id))
                .where(d.observed_at >= start, d.observed_at < end, d.late.is_(False))
            )
        ]
    out.sort()
    return out


def known_copies(c: Connection, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], tuple[int, int]]:
    """(series, fingerprint) -> (last seen, times seen) of those that were seen before."""
    wanted = sorted(set(keys))
    f = Fingerprint
    out: dict[tuple[int, int], tuple[int, int]] = {}
    for i in range(0, len(wanted), 400):
        rows = c.execute(
            select(f.series_id, f.fingerprint, f.last_observed_at, f.copies).where(
                tuple_(f.series_id, f.fingerprint).in_(wanted[i : i + 400])
            )
        )
        out |= {(r[0], r[1]): (r[2], r[3]) for r in rows}
    return out


def remember_copies(c: Connection, store: Store, seen: dict[tuple[int, int], tuple[int, int]], older_than: int) -> None:
    """Write what :func:`known_copies` will say next, and forget what is out of the copy window."""
    rows = [
        {"series_id": s, "fingerprint": f, "last_observed_at": at, "copies": n}
        for (s, f), (at, n) in sorted(seen.items())
    ]
    _replace(c, store, Fingerprint, rows, ("last_observed_at", "copies"))
    c.execute(delete(Fingerprint).where(Fingerprint.last_observed_at < older_than))


def write_sealed(c: Connection, store: Store, rows: list[dict[str, Any]]) -> None:
    """Insert sealed buckets; a stretch that goes on replaces its shorter self."""
    _replace(
        c,
        store,
        SealedBucket,
        rows,
        tuple(k for k in rows[0] if k not in ("series_id", "kind", "start")) if rows else (),
    )


def read_states(c: Connection) -> dict[Key, Any]:
    """The stored detector states (rows of ``series_state``) by series and kind."""
    return {(r.series_id, r.kind): r for r in c.execute(select(SeriesState.__table__))}


def write_states(c: Connection, store: Store, rows: list[dict[str, Any]]) -> None:
    _replace(c, store, SeriesState, rows, ("last_bucket_end", "detector_version", "state", "term"))


def sealing_state(c: Connection, log_id: int) -> Any:
    """The row of ``sealing_state``, locked, or None before the first bucket."""
    return c.execute(
        select(SealingState.__table__).where(SealingState.log_id == log_id).with_for_update()
    ).one_or_none()


def begin_sealing(c: Connection, log_id: int, sealed_until: int, term: int, now_ms: int) -> None:
    c.execute(
        SealingState.__table__.insert().values(  # type: ignore[attr-defined]
            log_id=log_id, sealed_until=sealed_until, empty_since=None, term=term, updated_at=now_ms
        )
    )


def advance_sealing(
    c: Connection, log_id: int, expected: int, sealed_until: int, empty_since: int | None, term: int, now_ms: int
) -> bool:
    """Move on from ``expected``; False if somebody else did."""
    done = c.execute(
        update(SealingState)
        .where(SealingState.log_id == log_id, SealingState.sealed_until == expected)
        .values(sealed_until=sealed_until, empty_since=empty_since, term=term, updated_at=now_ms)
    )
    return bool(done.rowcount == 1)


def series_by_id(c: Connection) -> dict[int, Any]:
    """Rows of ``series`` by id."""
    return {r.id: r for r in c.execute(select(Series.__table__))}


def telling_texts(
    c: Connection, series_id: int, kind: int, start: int, end: int, limit: int = 10
) -> list[dict[str, Any]]:
    """The most negative texts of a series in [start, end), copies folded into the first with their count."""
    s, d = SeriesDocument, Document
    rows = c.execute(
        select(
            s.observed_at, s.row_id, s.p_negative, s.fingerprint, d.title, d.text, d.url, Source.name.label("source")
        )
        .join(d, (d.observed_at == s.observed_at) & (d.row_id == s.row_id))
        .outerjoin(Source, Source.id == d.source_id)
        .where(
            s.series_id == series_id, s.kind == kind, s.sentiment == 0, s.late.is_(False),
            s.observed_at >= start, s.observed_at < end,
        )
        .order_by(s.observed_at, s.row_id)
        .limit(5_000)
    ).all()  # fmt: skip
    folded: dict[int, dict[str, Any]] = {}
    for r in rows:
        if r.fingerprint in folded:
            folded[r.fingerprint]["copies"] += 1
            continue
        folded[r.fingerprint] = {
            "row_id": str(r.row_id), "observed_at": r.observed_at, "kind": kind, "source": r.source, "title": r.title,
            "text": r.text[:500], "p_negative": round(float(r.p_negative), 4), "copies": 1, "url": r.url,
        }  # fmt: skip
    return sorted(folded.values(), key=lambda x: (-x["p_negative"] - 0.01 * min(x["copies"], 20), x["row_id"]))[:limit]


def top_sources(c: Connection, series_id: int, kind: int, start: int, end: int, limit: int = 5) -> list[dict[str, Any]]:
    """Who sent the negative texts of a series in [start, end)."""
    s, d = SeriesDocument, Document
    name = func.coalesce(Source.name, "").label("name")
    rows = c.execute(
        select(name, func.count().label("n"))
        .select_from(s)
        .join(d, (d.observed_at == s.observed_at) & (d.row_id == s.row_id))
        .outerjoin(Source, Source.id == d.source_id)
        .where(
            s.series_id == series_id, s.kind == kind, s.sentiment == 0, s.late.is_(False),
            s.observed_at >= start, s.observed_at < end,
        )
        .group_by(name)
        .order_by(func.count().desc(), name)
        .limit(limit)
    )  # fmt: skip
    return [{"source": r.name or None, "negative": int(r.n)} for r in rows]


def _replace(c: Connection, store: Store, model: Any, rows: list[dict[str, Any]], change: Sequence[str]) -> None:
    if rows:
        statement = upsert(store, model)
        keys = list(model.__table__.primary_key.columns)
        c.execute(
            statement.on_conflict_do_update(index_elements=keys, set_={k: statement.excluded[k] for k in change}), rows
        )
