"""What sealing reads and writes. One topic, its series, bucket by bucket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, literal, select, tuple_, update

from barometer.store.bulk import upsert
from barometer.store.engine import Store
from barometer.store.tables import (
    Document,
    Fingerprint,
    ModelVersion,
    Prediction,
    Rollup,
    SealedBucket,
    SealingState,
    Series,
    SeriesDocument,
    SeriesState,
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
    kind: int
    sentiment: int
    fingerprint: int


class Past(NamedTuple):
    """A sealed bucket, or a stretch without records, as a detector needs it."""

    start: int
    end: int
    total: int
    unscored: int
    negative: int
    model_id: int | None


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


def voices(
    c: Connection, series_id: int, start: int, end: int, *, everything: bool = False, page: int = 20_000
) -> Iterator[list[Voice]]:
    """A series' scored documents of [start, end) that are not late, in the order of (observed_at, partition, offset),
    in pages: a bucket may hold more than fits in memory.

    Args:
        everything: all documents rather than the series' own (the total keeps no memberships).
    """
    s, d, p = SeriesDocument, Document, Prediction
    if everything:
        at, row = d.observed_at, d.row_id
        q = (
            select(at, row, d.kind, p.sentiment, d.fingerprint)
            .join(p, (p.observed_at == d.observed_at) & (p.row_id == d.row_id))
            .where(d.late.is_(False))
        )
    else:
        at, row = s.observed_at, s.row_id
        q = select(at, row, s.kind, s.sentiment, s.fingerprint).where(s.series_id == series_id, s.late.is_(False))
    after = (start, -1)
    while True:
        rows = c.execute(
            # The first condition says nothing new; with it both databases know which months and pages to read.
            q.where(at >= after[0], at < end, tuple_(at, row) > tuple_(*map(literal, after)))
            .order_by(at, row)
            .limit(page)
        ).all()
        if rows:
            yield [Voice(*r) for r in rows]
        if len(rows) < page:
            return
        after = (rows[-1][0], rows[-1][1])


def known_copies(c: Connection, series_id: int, fingerprints: Iterable[int]) -> dict[int, tuple[int, int]]:
    """fingerprint -> (last seen, times seen) of those that the series has had before."""
    wanted = sorted(set(fingerprints))
    f = Fingerprint
    out: dict[int, tuple[int, int]] = {}
    for i in range(0, len(wanted), 900):
        rows = c.execute(
            select(f.fingerprint, f.last_observed_at, f.copies).where(
                f.series_id == series_id, f.fingerprint.in_(wanted[i : i + 900])
            )
        )
        out |= {r[0]: (r[1], r[2]) for r in rows}
    return out


def remember_copies(c: Connection, store: Store, series_id: int, seen: dict[int, tuple[int, int]]) -> None:
    """Write what :func:`known_copies` will say next."""
    rows = [
        {"series_id": series_id, "fingerprint": f, "last_observed_at": at, "copies": n}
        for f, (at, n) in sorted(seen.items())
    ]
    _replace(c, store, Fingerprint, rows, ("last_observed_at", "copies"))


def forget_copies(c: Connection, older_than: int) -> None:
    """Drop what is out of the copy window."""
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


def sealed_since(c: Connection, series_id: int, kind: int, since: int) -> list[Past]:
    """A series' sealed buckets that start at or after ``since``, in order."""
    b = SealedBucket
    rows = c.execute(
        select(b.start, b.end, b.total, b.unscored, b.negative, b.model_id)
        .where(b.series_id == series_id, b.kind == kind, b.start >= since)
        .order_by(b.start)
    )
    return [Past(*r) for r in rows]


def read_states(c: Connection) -> dict[Key, Any]:
    """The stored detector states (rows of ``series_state``) by series and kind."""
    return {(r.series_id, r.kind): r for r in c.execute(select(SeriesState.__table__))}


def write_states(c: Connection, store: Store, rows: list[dict[str, Any]]) -> None:
    _replace(c, store, SeriesState, rows, ("last_bucket_end", "detector_version", "state", "term"))


def furthest_sealed(c: Connection) -> int | None:
    """How far any life of the topic was sealed: a new log does not seal again what an older one did."""
    return c.execute(select(func.max(SealingState.sealed_until))).scalar()


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


def model_ratios(c: Connection) -> dict[int, Any]:
    """model id -> ``metrics['rebase']`` of those that have it."""
    rows = c.execute(select(ModelVersion.id, ModelVersion.metrics))
    return {r.id: r.metrics["rebase"] for r in rows if r.metrics.get("rebase") is not None}


def _replace(c: Connection, store: Store, model: Any, rows: list[dict[str, Any]], change: Sequence[str]) -> None:
    if rows:
        statement = upsert(store, model)
        keys = list(model.__table__.primary_key.columns)
        c.execute(
            statement.on_conflict_do_update(index_elements=keys, set_={k: statement.excluded[k] for k in change}), rows
        )
