"""Downsampling: sealed buckets added up to hours and quarters of a day, so that months are read in milliseconds.

Two hundred series of ten-minute buckets are five million rows in ninety days. Sealed buckets never change, so the
leader adds up each hour and each quarter of a day once, when all of it is sealed; what is not folded yet is read from
the buckets themselves. The cells stand on the grid of the zone: quarters begin at midnight, 6, 12 and 18 o'clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, Select, case, func, insert, literal, select

from barometer.settings import Settings
from barometer.store.bulk import replace_rows
from barometer.store.engine import Store
from barometer.store.leases import Lease, check
from barometer.store.series.sealing import furthest_sealed
from barometer.store.tables import FoldedBucket, Meta, SealedBucket, Series
from barometer.vocabulary import KIND_CODES

HOUR_MS = 3_600_000
WIDTHS = (6 * HOUR_MS, HOUR_MS)
_BATCH = 12
"""Cells per transaction, so that other writers are not held up."""
_REFERENCE = datetime(2000, 1, 1)  # a wall-clock time, in whatever zone is asked


def grid_offset(settings: Settings) -> int:
    """How far the grid is from that of UTC, in milliseconds: the zone's offset of a winter day. Where clocks change,
    half of the year's days begin an hour off; a grid that moved would have cells of different widths."""
    away = settings.zone.utcoffset(_REFERENCE)
    return 0 if away is None else int(away.total_seconds() * 1000)


def align(time_ms: int, width_ms: int, settings: Settings) -> int:
    """Start of the cell that holds a time.

    >>> from barometer.settings import load_settings
    >>> align(1_700_000_000_000, 86_400_000, load_settings(timezone="Asia/Shanghai"))  # 2023-11-15 06:13:20 there
    1699977600000
    """
    offset = grid_offset(settings)
    return (time_ms + offset) // width_ms * width_ms - offset


def fold(store: Store, settings: Settings, lease: Lease) -> int:
    """Downsample all cells that are completely sealed; returns the number of transactions.

    Raises:
        StaleWrite: the lease is gone. What was committed before stays.
    """
    done = 0
    for width in WIDTHS:
        if settings.bucket_ms < width and width % settings.bucket_ms == 0:
            while _fold_some(store, settings, lease, width):
                done += 1
    return done


def _fold_some(store: Store, settings: Settings, lease: Lease, width: int) -> bool:
    """Downsample one batch in a transaction; returns whether there may be more."""
    with store.write() as c:
        check(store, c, lease)
        sealed = furthest_sealed(c)
        begin = folded_until(c, width)
        if begin is None:
            first = c.execute(select(func.min(SealedBucket.start))).scalar()
            begin = None if first is None else align(int(first), width, settings)
        if sealed is None or begin is None:
            return False
        limit = align(sealed, width, settings)
        if limit <= begin:
            return False
        end = min(limit, begin + _BATCH * width)
        ids = list(c.execute(select(Series.id)).scalars())
        columns, rows = _added_up(width, begin, end, ids, grid_offset(settings))
        c.execute(insert(FoldedBucket).from_select(columns, rows))
        replace_rows(c, store, Meta, [(_key(width), str(end))])
        return end < limit


def _added_up(
    width: int, begin: int, end: int, ids: Sequence[int], offset: int
) -> tuple[list[str], Select[tuple[int]]]:
    b = SealedBucket
    cell = ((b.start + offset) // width * width - offset).label("start")
    judged = b.expected_negative.is_not(None)

    def of_judged(value: Any) -> Any:
        return func.sum(case((judged, value), else_=0))

    def square(low: Any, high: Any) -> Any:
        return func.coalesce(func.sum((high - low) * (high - low)), 0.0)

    values: dict[str, Any] = {
        "width": literal(width, Integer),
        "series_id": b.series_id,
        "kind": b.kind,
        "start": cell,
        **{name: func.sum(getattr(b, name)) for name in _COUNTS},
        "judged_negative": of_judged(b.negative),
        "judged_scored": of_judged(b.total - b.unscored),
        "expected_total": func.sum(case((judged, b.expected_total))),
        "expected_negative": func.sum(b.expected_negative),
        "spread_below": square(b.band_low, b.expected_negative),
        "spread_above": square(b.expected_negative, b.band_high),
        "score": func.max(b.score),
        "alert": func.max(case((b.alert, 1), else_=0)) == 1,
        "outage": func.max(case((b.outage, 1), else_=0)) == 1,
        "model_id": func.max(b.model_id),
    }
    rows: Select[Any] = (
        select(*(value.label(name) for name, value in values.items()))
        .where(b.series_id.in_(ids), b.kind.in_(KIND_CODES), b.start >= begin, b.start < end)
        .group_by(b.series_id, b.kind, cell)
    )
    return list(values), rows


_COUNTS = ("total", "negative", "neutral", "positive", "unscored", "independent", "independent_negative")


def folded_until(c: Connection, width: int) -> int | None:
    """End of the last cell of a width; None while there is none."""
    found = c.execute(select(Meta.value).where(Meta.key == _key(width))).scalar()
    return None if found is None else int(found)


class Piece(NamedTuple):
    """A part of a period and its resolution: cells of ``width`` ms, or sealed buckets (None)."""

    width: int | None
    begin: int
    end: int


def pieces(c: Connection, begin: int, end: int, step: int) -> Iterator[Piece]:
    """A period in parts, each to be read as wide as cells of ``step`` that begin at ``begin`` allow.

    Where the cells are not on the grid of what is folded, it must be four times as fine as they are: a row counts for
    the cell that its start is in.
    """
    yield from _pieces(c, begin, end, begin, step, WIDTHS)


def _pieces(c: Connection, begin: int, end: int, origin: int, step: int, widths: Sequence[int]) -> Iterator[Piece]:
    if begin >= end:
        return
    for i, width in enumerate(widths):
        until = folded_until(c, width)
        if until is None:
            continue
        on_grid = step % width == 0 and (origin - until) % width == 0
        if not on_grid and width * 4 > step:
            continue
        first = begin + (until - begin) % width
        last = min(until, end - (end - until) % width)
        if last > first:
            finer = widths[i + 1 :]
            yield from _pieces(c, begin, first, origin, step, finer)
            yield Piece(width, first, last)
            yield from _pieces(c, last, end, origin, step, finer)
            return
    yield Piece(None, begin, end)


def _key(width: int) -> str:
    return f"folded_until:{width}"
