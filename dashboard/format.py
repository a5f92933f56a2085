"""Numbers and times as people read them: 万 and 亿 in Chinese, k and M in English, in the zone of the settings."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dashboard.i18n import Lang, t

DASH = "–"


def number(lang: Lang, value: float | None) -> str:
    """A count, at most five characters wide or so.

    >>> number("zh", 12345), number("zh", 250000000), number("en", 12345), number("zh", 9999)
    ('1.2万', '2.5亿', '12.3k', '9,999')
    """
    if value is None:
        return DASH
    steps: tuple[tuple[float, str], ...] = (
        ((1e8, "亿"), (1e4, "万")) if lang == "zh" else ((1e9, "B"), (1e6, "M"), (1e4, "k"))
    )
    size = abs(value)
    for i, (step, unit) in enumerate(steps):
        divisor = 1e3 if unit == "k" else step
        shown = size / divisor
        # 99,999,999 is 1亿, not 10000.0万.
        if size >= step or (
            i + 1 < len(steps) and round(size / _divisor(steps[i + 1])) * _divisor(steps[i + 1]) >= step
        ):
            text = f"{shown:.1f}" if shown < 100 else f"{shown:,.0f}"
            return ("-" if value < 0 else "") + text.removesuffix(".0") + unit
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.1f}"
    return f"{int(value):,}"


def _divisor(step: tuple[float, str]) -> float:
    return 1e3 if step[1] == "k" else step[0]


def exact(value: float | None) -> str:
    """All digits, for tables of record."""
    return DASH if value is None else f"{value:,.0f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share of 0 to 1 as a percentage."""
    return DASH if value is None else f"{value * 100:.{digits}f}%"


def local(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)


def wall(ms: int, zone: ZoneInfo) -> str:
    """Wall-clock time without an offset, as charts want it (they know no zones)."""
    return local(ms, zone).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def clock(ms: int | None, zone: ZoneInfo, now_ms: int, *, seconds: bool = False) -> str:
    """Time of day today; with the date on other days, with the year in other years."""
    if ms is None:
        return DASH
    when, today = local(ms, zone), local(now_ms, zone)
    time = when.strftime("%H:%M:%S" if seconds else "%H:%M")
    if when.date() == today.date():
        return time
    return when.strftime("%m-%d " if when.year == today.year else "%Y-%m-%d ") + time


def stamp(ms: int | None, zone: ZoneInfo) -> str:
    """Date and time in full, to the second."""
    return DASH if ms is None else local(ms, zone).strftime("%Y-%m-%d %H:%M:%S")


def duration(lang: Lang, ms: float) -> str:
    """A stretch of time in its largest fitting unit.

    >>> duration("zh", 90_000), duration("en", 7_200_000), duration("en", 800)
    ('1 分钟', '2 h', '0 s')
    """
    seconds = max(0, int(ms // 1000))
    for size, unit in (
        (86_400 * 365, "unit.years"),
        (86_400, "unit.days"),
        (3_600, "unit.hours"),
        (60, "unit.minutes"),
    ):
        if seconds >= 2 * size or (size == 60 and seconds >= 60):
            return t(lang, unit, n=seconds // size)
    return t(lang, "unit.seconds", n=seconds)


def ago(lang: Lang, ms: int | None, now_ms: int) -> str:
    """How long ago a time was."""
    if ms is None:
        return t(lang, "never")
    if now_ms - ms < 1000:
        return t(lang, "just_now")
    return t(lang, "ago", time=duration(lang, now_ms - ms))
