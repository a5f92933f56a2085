"""The grid of wide cells: hours, quarters of a day and days as people of the zone count them."""

from __future__ import annotations

from datetime import datetime

from barometer.settings import Settings

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
