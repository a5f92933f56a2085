"""The points of one series: sealed buckets, which never change, and behind them the open ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from typing import Any

from sqlalchemy import Connection, Row, select

from barometer.store.series.downsampling import HOUR_MS, Piece, pieces
from barometer.store.series.totals import open_buckets, sealed_until
from barometer.store.tables import FoldedBucket, SealedBucket


@dataclass(slots=True)
class Point:
    """One or more neighbouring buckets of a series, kinds added up."""

    start: int
    end: int
    total: int = 0
    negative: int = 0
    neutral: int = 0
    positive: int = 0
    unscored: int = 0
    independent: int | None = 0
    """Scored texts that are no copies; None while the bucket is open, since copies are counted at sealing."""
    independent_negative: int | None = 0
    judged_negative: int = 0
    """Of the buckets that had an expectation, which ``expected_negative`` is of."""
    expected_negative: float | None = None
    band_low: float | None = None
    band_high: float | None = None
    score: float | None = None
    alert: bool = False
    outage: bool = False
    sealed: bool = True
    models: set[int] = field(default_factory=set)

    @property
    def share(self) -> float | None:
        scored = self.total - self.unscored
        return self.negative / scored if scored > 0 else None


_LADDER = (1, 2, 3, 6, 12, 18, 36, 72, 144, 288, 432, 1008, 2016, 4320, 8640, 25920, 52560, 525600, 5256000, 52560000)


def width_for(from_ms: int, to_ms: int, bucket_ms: int, max_points: int) -> int:
    """How wide the points of a period are, so that there are at most ``max_points``: whole buckets."""
    return bucket_ms * next(g for g in _LADDER if (to_ms - from_ms) / (bucket_ms * g) <= max_points)


def points(
    c: Connection,
    series_id: int,
    from_ms: int,
    to_ms: int,
    kinds: Sequence[int],
    bucket_ms: int,
    max_points: int = 400,
    grid_ms: int | None = None,
) -> tuple[list[Point], int]:
    """A series between two times: sealed points, zeros where stretches without records were sealed, then open ones.

    Points are single buckets where at most ``max_points`` come of it, else equal groups of them. The band of a group
    adds the buckets' deviations in quadrature, as for independent buckets.

    Args:
        grid_ms: offset of the grid (:func:`barometer.store.series.downsampling.grid_offset`): points of an hour or
            more then stand on it, and the first may begin before ``from_ms``.

    Returns:
        The points in order of time, and the width of one in milliseconds.
    """
    width = width_for(from_ms, to_ms, bucket_ms, max_points)
    if grid_ms is not None and width >= HOUR_MS and bucket_ms < HOUR_MS:
        from_ms = (from_ms + grid_ms) // width * width - grid_ms
    sealed = sealed_until(c)
    cells: dict[int, Point] = {}
    spread: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def cell(at: int) -> Point:
        # Half a bucket of slack: days of 23 or 25 hours do not start on an even grid.
        start = from_ms + (at - from_ms + bucket_ms // 2) // width * width
        return cells.setdefault(start, Point(start, min(start + width, to_ms)))

    folded = False
    for piece in pieces(c, from_ms, to_ms, width):
        if piece.width is None:
            _take_buckets(c, series_id, piece, kinds, bucket_ms, width, cell, spread)
        else:
            folded = True
            for row in _folded(c, series_id, piece, kinds):
                _take(cell(row.start), row, spread, row.spread_below, row.spread_above)
    if folded:
        _fill(cells, cell, width)
    for start, (below, above) in spread.items():
        p = cells[start]
        assert p.expected_negative is not None
        p.band_low = max(0.0, p.expected_negative - sqrt(below))
        p.band_high = p.expected_negative + sqrt(above)
    for r in open_buckets(c, max(from_ms, sealed or from_ms), to_ms, kinds, series_id):
        p = cell(r.bucket)
        p.total += r.total
        p.negative += r.negative
        p.neutral += r.neutral
        p.positive += r.positive
        p.unscored += r.unscored
        p.sealed = False
        p.independent = p.independent_negative = None
    return [cells[k] for k in sorted(cells)], width


def _take(p: Point, row: Row[Any], spread: dict[int, list[float]], below: float | None, above: float | None) -> None:
    p.total += row.total
    p.negative += row.negative
    p.neutral += row.neutral
    p.positive += row.positive
    p.unscored += row.unscored
    p.independent = (p.independent or 0) + row.independent
    p.independent_negative = (p.independent_negative or 0) + row.independent_negative
    p.alert |= row.alert
    p.outage |= row.outage
    if row.model_id is not None:
        p.models.add(row.model_id)
    if row.score is not None:
        p.score = max(p.score or 0.0, row.score)
    if row.expected_negative is not None:
        p.judged_negative += row.judged_negative
        p.expected_negative = (p.expected_negative or 0.0) + row.expected_negative
        if below is not None and above is not None:
            spread[p.start][0] += below
            spread[p.start][1] += above


def _take_buckets(
    c: Connection,
    series_id: int,
    piece: Piece,
    kinds: Sequence[int],
    bucket_ms: int,
    width: int,
    cell: Callable[[int], Point],
    spread: dict[int, list[float]],
) -> None:
    for row in _sealed(c, series_id, piece.begin, piece.end, kinds):
        if row.end - row.start > bucket_ms:
            _stretch(cell, max(row.start, piece.begin), min(row.end, piece.end), width, row.outage)
        if row.start < piece.begin:
            continue
        low, high = row.band_low, row.band_high
        known = row.expected_negative is not None and low is not None and high is not None
        below = (row.expected_negative - low) ** 2 if known else None
        above = (high - row.expected_negative) ** 2 if known else None
        _take(cell(row.start), row, spread, below, above)


def _stretch(cell: Callable[[int], Point], start: int, end: int, width: int, outage: bool) -> None:
    """Zeros for a stretch that was sealed as one row."""
    at = start
    while at < end:
        p = cell(at)
        p.outage |= outage
        at = p.start + width


def _fill(cells: dict[int, Point], cell: Callable[[int], Point], width: int) -> None:
    """Zeros where folded cells are missing: a stretch without records is in the cell that it begins in."""
    known = sorted(cells)
    for before, after in pairwise(known):
        if after - before > width:
            _stretch(cell, before + width, after, width, cells[before].outage)


_COLUMNS = (
    "start",
    "total",
    "negative",
    "neutral",
    "positive",
    "unscored",
    "independent",
    "independent_negative",
    "model_id",
    "score",
    "alert",
    "outage",
    "expected_negative",
)


def _folded(c: Connection, series_id: int, piece: Piece, kinds: Sequence[int]) -> Iterator[Row[Any]]:
    f = FoldedBucket
    columns = (*(getattr(f, name) for name in _COLUMNS), f.judged_negative, f.spread_below, f.spread_above)
    yield from c.execute(
        select(*columns).where(
            f.width == piece.width,
            f.series_id == series_id,
            f.kind.in_(kinds),
            f.start >= piece.begin,
            f.start < piece.end,
        )
    )


def _sealed(c: Connection, series_id: int, from_ms: int, to_ms: int, kinds: Sequence[int]) -> Iterator[Row[Any]]:
    b = SealedBucket
    columns = (
        *(getattr(b, name) for name in _COLUMNS),
        b.negative.label("judged_negative"),
        b.end,
        b.band_low,
        b.band_high,
    )
    for kind in kinds:
        # The row before the period may be a stretch that reaches into it.
        yield from c.execute(
            select(*columns)
            .where(b.series_id == series_id, b.kind == kind, b.start < from_ms)
            .order_by(b.start.desc())
            .limit(1)
        ).all()
        yield from c.execute(
            select(*columns).where(b.series_id == series_id, b.kind == kind, b.start >= from_ms, b.start < to_ms)
        ).all()
