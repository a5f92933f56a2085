"""Reads and writes of sealing: counts of open buckets, sealed buckets, detector states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, delete, func, literal, select, tuple_, update

from barometer.store.bulk import replace_rows, rows_with
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
    """Of the model that scored most."""
    others: tuple[tuple[int, int, int], ...] = ()
    """The other models that scored something: (id, scored, negative)."""


class Voice(NamedTuple):
    """A scored document, for counting copies apart from independent texts."""

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
            r.bucket,
            r.series_id,
            r.kind,
            r.model_id,
            func.sum(r.total),
            func.sum(r.negative),
            func.sum(r.neutral),
            func.sum(r.positive),
            func.sum(r.unscored),
        )
        .where(r.bucket >= buckets[0], r.bucket <= buckets[-1])
        .group_by(r.bucket, r.series_id, r.kind, r.model_id)
        .order_by(r.bucket, r.series_id, r.kind, r.model_id)
    )
    by_model: dict[tuple[int, int, int], list[tuple[int, int, int]]] = defaultdict(list)
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
        if scored:
            by_model[bucket, series_id, kind].append((scored, -model_id, negative))
    for (bucket, series_id, kind), models in by_model.items():
        models.sort(reverse=True)
        k = out[bucket][series_id, kind]
        k.model_id = -models[0][1]
        k.others = tuple((-m, scored, negative) for scored, m, negative in models[1:])
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


def voices_of(c: Connection, store: Store, series_ids: Sequence[int], start: int, end: int) -> list[tuple[int, Voice]]:
    """(series, voice) of many series that have few documents in [start, end), in the order of series, observed_at, row:
    what :func:`voices` would give for each, with one statement for all."""
    columns = "t.series_id, t.observed_at, t.row_id, t.kind, t.sentiment, t.fingerprint"
    if store.is_sqlite:
        rows = c.exec_driver_sql(
            f"SELECT {columns} FROM json_each(?) AS w CROSS JOIN series_documents AS t ON t.series_id = w.value"
            " AND t.observed_at >= ? AND t.observed_at < ? WHERE NOT t.late",
            (orjson.dumps(series_ids).decode(), start, end),
        )
    else:
        rows = c.exec_driver_sql(
            f"SELECT {columns} FROM series_documents AS t WHERE t.series_id = ANY(%s::int[])"
            " AND t.observed_at >= %s AND t.observed_at < %s AND NOT t.late",
            (list(series_ids), start, end),
        )
    return [(r[0], Voice(*r[1:])) for r in sorted(map(tuple, rows))]


def known_copies(c: Connection, store: Store, keys: Iterable[Key]) -> dict[Key, tuple[int, int]]:
    """(series, fingerprint) -> (last seen, times seen) of those that were seen before."""
    rows = rows_with(c, store, Fingerprint, ("series_id", "fingerprint"), sorted(set(keys)))
    return {(r[0], r[1]): (r[2], r[3]) for r in rows}


def remember_copies(c: Connection, store: Store, seen: Mapping[Key, tuple[int, int]]) -> None:
    """Write what :func:`known_copies` will say next."""
    replace_rows(c, store, Fingerprint, [(*key, *of) for key, of in sorted(seen.items())])


def forget_copies(c: Connection, older_than: int) -> None:
    """Drop what is out of the copy window."""
    c.execute(delete(Fingerprint).where(Fingerprint.last_observed_at < older_than))


def write_sealed(c: Connection, store: Store, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert sealed buckets (all columns); a stretch that goes on replaces its shorter self."""
    names = [k.name for k in SealedBucket.__table__.columns]
    replace_rows(c, store, SealedBucket, [tuple(row[n] for n in names) for row in rows])


def sealed_since(c: Connection, series_id: int, kind: int, since: int) -> list[Past]:
    """A series' sealed buckets that start at or after ``since``, in order."""
    b = SealedBucket
    rows = c.execute(
        select(b.start, b.end, b.total, b.unscored, b.negative, b.model_id)
        .where(b.series_id == series_id, b.kind == kind, b.start >= since)
        .order_by(b.start)
    )
    return [Past(*r) for r in rows]


class KindCounts(NamedTuple):
    """One kind of a series over a window, with what was expected of it; texts are scored ones."""

    kind: int
    total: int
    negative: int
    expected_negative: float
    expected_total: float


def counts_by_kind(
    c: Connection, series_id: int, start: int, end: int, unwritten: Iterable[Mapping[str, Any]] = ()
) -> list[KindCounts]:
    """What a series had in the sealed buckets that start in [start, end), each kind by itself.

    Args:
        unwritten: rows of this transaction that are not in the table yet; they count in place of those that are.
    """
    b = SealedBucket
    rows = c.execute(
        select(b.kind, b.start, b.total, b.unscored, b.negative, b.expected_negative, b.expected_total).where(
            b.series_id == series_id, b.kind.in_((0, 1, 2)), b.start >= start, b.start < end
        )
    )
    written = [{"series_id": series_id, **r._mapping} for r in rows]
    return kinds_added_up([*written, *unwritten], series_id, start, end)


def kinds_added_up(rows: Iterable[Mapping[str, Any]], series_id: int, start: int, end: int) -> list[KindCounts]:
    """:func:`counts_by_kind` of rows of sealed buckets; of two for one bucket the later counts."""
    names = ("total", "unscored", "negative", "expected_negative", "expected_total")
    found: dict[tuple[int, int], tuple[Any, ...]] = {}
    for row in rows:
        if row["series_id"] == series_id and start <= row["start"] < end:
            found[row["kind"], row["start"]] = tuple(row[n] for n in names)
    sums: dict[int, list[float]] = defaultdict(lambda: [0, 0, 0.0, 0.0])
    for (kind, _), (total, unscored, negative, expected, expected_total) in sorted(found.items()):
        for i, value in enumerate((total - unscored, negative, expected or 0.0, expected_total or 0.0)):
            sums[kind][i] += value
    return [KindCounts(kind, int(x[0]), int(x[1]), x[2], x[3]) for kind, x in sorted(sums.items()) if x[0] or x[2]]


def read_states(c: Connection) -> dict[Key, Any]:
    """The stored detector states (rows of ``series_state``) by series and kind."""
    return {(r.series_id, r.kind): r for r in c.execute(select(SeriesState.__table__))}


def write_states(c: Connection, store: Store, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write detector states (all columns of ``series_state``)."""
    names = [k.name for k in SeriesState.__table__.columns if k.name != "state"]
    assert SeriesState.__table__.columns.keys().index("state") == len(names) - 1  # before the term
    replace_rows(
        c,
        store,
        SeriesState,
        [(*(row[n] for n in names[:-1]), orjson.dumps(row["state"]).decode(), row[names[-1]]) for row in rows],
    )


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
