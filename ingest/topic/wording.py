"""Times and lengths of time in messages about topics."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def span(ms: int) -> str:
    """A length of time for people.

    >>> span(604_800_000), span(90_000), span(-1), span(2**63 - 1)
    ('7 d', '90 s', 'without limit', 'without limit')
    """
    if ms < 0 or ms >= 10**15:
        return "without limit"
    for size, unit in _UNITS:
        if ms >= 2 * size or ms == size:
            return f"{ms // size} {unit}"
    return f"{ms} ms"


def utc(time_ms: int) -> str:
    """A time for people; those that no calendar has as a number."""
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
