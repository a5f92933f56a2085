"""Times as people type them: ``2026-11-24 08:00`` in a zone, ``now``, or so long from now: ``90m``, ``6h``, ``2d``."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from barometer.errors import BarometerError

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdw])")
_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def parse_when(text: str, now_ms: int, zone: ZoneInfo, name: str = "time") -> int:
    """Epoch ms of a time, or of a span from now.

    >>> parse_when("90m", 0, ZoneInfo("UTC")), parse_when("1970-01-02", 0, ZoneInfo("Asia/Shanghai"))
    (5400000, 57600000)

    Args:
        name: what the error calls it.

    Raises:
        BarometerError: neither.
    """
    text = text.strip()
    if text == "now":
        return now_ms
    if (span := _SPAN.fullmatch(text)) is not None:
        return now_ms + int(float(span[1]) * _MS[span[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BarometerError(f"{name} {text!r}: expected a time like '2026-11-24 08:00', or 90m, 6h, 2d") from None
    return int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)


def in_zone(time_ms: int, zone: ZoneInfo) -> str:
    """A time as commands and logs tell it to people: of the zone that is set, with its offset. A time that no calendar
    has is a number.

    >>> in_zone(1_700_000_000_000, ZoneInfo("Asia/Shanghai"))
    '2023-11-15 06:13:20+08:00'
    """
    return _in_zone(time_ms, zone, "seconds")


def minute(time_ms: int, zone: ZoneInfo) -> str:
    """:func:`in_zone` without seconds.

    >>> minute(1_700_000_000_000, ZoneInfo("Asia/Shanghai")), minute(1 << 62, ZoneInfo("UTC"))
    ('2023-11-15 06:13+08:00', '4611686018427387904 ms')
    """
    return _in_zone(time_ms, zone, "minutes")


def _in_zone(time_ms: int, zone: ZoneInfo, to: Literal["seconds", "minutes"]) -> str:
    try:
        return datetime.fromtimestamp(time_ms / 1000, zone).isoformat(sep=" ", timespec=to)
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
