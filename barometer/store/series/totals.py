"""What the screens and the API read about series: totals of a period, and the points of one series.

A period is made of sealed buckets, which never change, and behind them of open buckets, summed from the workers'
counts. Every query is bounded by a period and runs along a primary key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from barometer.store.series.downsampling import Piece, pieces
from barometer.store.series.sealing import furthest_sealed
from barometer.store.tables import FoldedBucket, Rollup, SealedBucket, Series


class SeriesRow(NamedTuple):
    """A series as the store knows it."""

    id: int
    name: str
    judged: bool
    trial: bool


def list_series(c: Connection) -> list[SeriesRow]:
    """All series, by id."""
    return [
        SeriesRow(*row)
        for row in c.execute(select(Series.id, Series.name, Series.judged, Series.trial).order_by(Series.id))
    ]


def find_series(c: Connection, name: str) -> SeriesRow | None:
    row = c.execute(
        select(Series.id, Series.name, Series.judged, Series.trial).where(Series.name == name)
    ).one_or_none()
    return SeriesRow(*row) if row else None


def sealed_until(c: Connection) -> int | None:
    """End of the last sealed bucket, of whatever life of the log: a new one goes on from there. None while nothing is
    sealed."""
    value = furthest_sealed(c)
    return None if value is None else int(value)


def last_bucket(c: Connection) -> int | None:
    """Start of the newest bucket that holds anything."""
    value = c.execute(select(func.max(Rollup.bucket))).scalar()
    return None if value is None else int(value)


@dataclass(slots=True)
class Totals:
    """One series over a period. ``judged_negative`` and ``expected_negative`` are over the same sealed buckets, those
    that had an expectation; None where there was none."""

    total: int = 0
    negative: int = 0
    unscored: int = 0
    judged_negative: int = 0
    judged_scored: int = 0
    expected_negative: float | None = None
    expected_total: float = 0.0
    points: dict[int, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0, 0.0, 0.0]))
    """Step -> [negative, total, expected negative, scored]."""

    @property
    def scored(self) -> int:
        return self.total - self.unscored

    @property
    def share(self) -> float | None:
        """Negative share of the scored documents."""
        return self.negative / self.scored if self.scored > 0 else None


def totals(c: Connection, from_ms: int, to_ms: int, steps: int, kinds: Sequence[int]) -> dict[int, Totals]:
    """Every series' counts between two times, by series id, cut into ``steps`` equal parts.

    Args:
        kinds: which kinds to add up.
    """
    return with_open(c, sealed_totals(c, from_ms, to_ms, steps, kinds), from_ms, to_ms, steps, kinds)


def sealed_totals(c: Connection, from_ms: int, to_ms: int, steps: int, kinds: Sequence[int]) -> dict[int, Totals]:
    """The part of :func:`totals` that is sealed: the same for as long as :func:`sealed_until` is."""
    out: dict[int, Totals] = defaultdict(Totals)
    width = max(1, (to_ms - from_ms) // steps)
    ids = [s.id for s in list_series(c)]
    for piece in pieces(c, from_ms, to_ms, to_ms - from_ms if steps == 1 else width):
        for r in c.execute(_added_up(piece, ids, kinds, from_ms, width)).all():
            _add(out[r[0]], min(int(r[1]), steps - 1), int(r[2] or 0), int(r[3] or 0), int(r[4] or 0), r[5:])
    return dict(out)


def with_open(
    c: Connection, sealed: dict[int, Totals], from_ms: int, to_ms: int, steps: int, kinds: Sequence[int]
) -> dict[int, Totals]:
    """What :func:`sealed_totals` gave for the same arguments, and the open buckets. What was given stays as it was."""
    until = sealed_until(c)
    width = max(1, (to_ms - from_ms) // steps)
    out, mine = dict(sealed), set[int]()
    for row in open_buckets(c, max(from_ms, until or from_ms), to_ms, kinds, None):
        if row.series_id not in mine:
            mine.add(row.series_id)
            out[row.series_id] = _copy(out[row.series_id]) if row.series_id in out else Totals()
        step = min((row.bucket - from_ms) // width, steps - 1)
        _add(out[row.series_id], step, row.total, row.negative, row.unscored)
    return out


def _copy(item: Totals) -> Totals:
    copied = replace(item, points=item.points.copy())
    for step, point in item.points.items():
        copied.points[step] = point.copy()
    return copied


def _added_up(piece: Piece, ids: Sequence[int], kinds: Sequence[int], from_ms: int, width: int) -> Select[Any]:
    """Sums by series and step, from folded cells or from buckets."""
    b: Any = SealedBucket if piece.width is None else FoldedBucket
    judged: list[ColumnElement[Any]]
    if piece.width is None:
        known = b.expected_negative.is_not(None)
        judged = [case((known, x), else_=0) for x in (b.negative, b.total - b.unscored, b.expected_total)]
    else:
        judged = [b.judged_negative, b.judged_scored, b.expected_total]
    step = ((b.start - from_ms) // width).label("step")
    query = select(
        b.series_id,
        step,
        func.sum(b.total),
        func.sum(b.negative),
        func.sum(b.unscored),
        func.sum(judged[0]),
        func.sum(b.expected_negative),
        func.sum(judged[1]),
        func.sum(judged[2]),
    ).where(b.series_id.in_(ids), b.kind.in_(kinds), b.start >= piece.begin, b.start < piece.end)
    if piece.width is not None:
        query = query.where(b.width == piece.width)
    return query.group_by(b.series_id, step)


def _add(
    item: Totals,
    step: int,
    total: int,
    negative: int,
    unscored: int,
    judged: Sequence[Any] = (0, None, 0, 0.0),
) -> None:
    """``judged``: of the buckets with an expectation, negatives, expected negatives, scored, expected texts."""
    item.total += total
    item.negative += negative
    item.unscored += unscored
    point = item.points[step]
    point[0] += negative
    point[1] += total
    point[3] += total - unscored
    if judged[1] is not None:
        item.judged_negative += int(judged[0])
        item.judged_scored += int(judged[2])
        item.expected_negative = (item.expected_negative or 0.0) + float(judged[1])
        item.expected_total += float(judged[3] or 0)
        point[2] += float(judged[1])


class OpenBucket(NamedTuple):
    bucket: int
    series_id: int
    total: int
    negative: int
    unscored: int
    neutral: int
    positive: int


def open_buckets(
    c: Connection, from_ms: int, to_ms: int, kinds: Sequence[int], series_id: int | None
) -> Iterable[OpenBucket]:
    """Counts of buckets that are not sealed yet, of one series or of all."""
    q = (
        select(
            Rollup.bucket,
            Rollup.series_id,
            func.sum(Rollup.total),
            func.sum(Rollup.negative),
            func.sum(Rollup.unscored),
            func.sum(Rollup.neutral),
            func.sum(Rollup.positive),
        )
        .where(Rollup.bucket >= from_ms, Rollup.bucket < to_ms, Rollup.kind.in_(kinds))
        .group_by(Rollup.bucket, Rollup.series_id)
    )
    if series_id is not None:
        q = q.where(Rollup.series_id == series_id)
    return [OpenBucket(*map(int, r)) for r in c.execute(q)]
