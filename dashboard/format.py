"""Numbers and times as people read them: 万 and 亿 in Chinese, k and M in English, in the zone of the settings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from barometer.hours import Window
from dashboard.i18n.texts import Lang, t

DASH = "–"


_UNITS: dict[Lang, tuple[tuple[float, str], ...]] = {
    "zh": ((1e8, "亿"), (1e4, "万")),
    "en": ((1e9, "B"), (1e6, "M"), (1e3, "k")),
}


def number(lang: Lang, value: float | None) -> str:
    """A count in few characters; up to 9,999 in full.

    >>> number("zh", 12345), number("zh", 250000000), number("zh", 99_999_999), number("zh", 9999)
    ('1.2万', '2.5亿', '1亿', '9,999')
    >>> number("en", 12345), number("en", 999_999), number("en", -3.25)
    ('12.3k', '1M', '-3.2')
    """
    if value is None:
        return DASH
    size, sign = abs(value), "-" if value < 0 else ""
    if size < 1e4:
        return f"{value:,.1f}" if isinstance(value, float) and not value.is_integer() else f"{int(value):,}"
    for i, (unit, name) in enumerate(_UNITS[lang]):
        digits = 1 if size < 100 * unit else 0
        shown = round(size / unit, digits)
        # 999,999 is 1M, not 1,000k: a unit that rounds up to the next larger one gives way to it.
        larger = _UNITS[lang][i + 1] if i + 1 < len(_UNITS[lang]) else None
        rounds_up = larger and round(size / larger[0], 1 if size < 100 * larger[0] else 0) * larger[0] >= unit
        if size >= unit or rounds_up:
            return sign + f"{shown:,.{digits}f}".removesuffix(".0") + name
    raise AssertionError("the smallest unit is below 10,000")


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


def from_wall(text: str, zone: ZoneInfo) -> int | None:
    """The time that a chart means by a wall-clock time (``2026-11-24 08:00:00.123``); None if it is none.

    >>> from_wall("2026-11-24 08:00", ZoneInfo("Asia/Shanghai"))
    1795478400000
    """
    try:
        return int(datetime.fromisoformat(text[:26]).replace(tzinfo=zone).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def clock(ms: int | None, zone: ZoneInfo, now_ms: int, *, seconds: bool = False) -> str:
    """Time of day today; with the date on other days, with the year in other years."""
    if ms is None:
        return DASH
    when, today = local(ms, zone), local(now_ms, zone)
    time = when.strftime("%H:%M:%S" if seconds else "%H:%M")
    if when.date() == today.date():
        return time
    return when.strftime("%m-%d " if when.year == today.year else "%Y-%m-%d ") + time


def period(begin: int, end: int, zone: ZoneInfo, now_ms: int) -> dict[str, str]:
    """``from_`` and ``to`` of a period, each with its date unless both are of today.

    >>> noon, zone = 1795492800000, ZoneInfo("Asia/Shanghai")
    >>> period(noon - 86_400_000, noon, zone, noon), period(noon - 60_000, noon, zone, noon)
    ({'from_': '11-23 12:00', 'to': '11-24 12:00'}, {'from_': '11:59', 'to': '12:00'})
    """
    from_, to = clock(begin, zone, now_ms), clock(end, zone, now_ms)
    if len(from_) > len(to):
        to = local(end, zone).strftime("%m-%d ") + to
    return {"from_": from_, "to": to}


def offset(ms: int, zone: ZoneInfo) -> str:
    """How far a zone is from UTC at a time: what people are told, for the name of a zone is often another city.

    >>> offset(1795492800000, ZoneInfo("Asia/Shanghai")), offset(1795492800000, ZoneInfo("Asia/Kolkata"))
    ('UTC+8', 'UTC+5:30')
    >>> offset(0, ZoneInfo("UTC")), offset(1795492800000, ZoneInfo("America/New_York"))
    ('UTC', 'UTC-5')
    """
    minutes = round((local(ms, zone).utcoffset() or timedelta()).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "") if minutes else "UTC"


def stamp(ms: int | None, zone: ZoneInfo) -> str:
    """Date and time in full, to the second."""
    return DASH if ms is None else local(ms, zone).strftime("%Y-%m-%d %H:%M:%S")


def hours(lang: Lang, windows: Iterable[Window]) -> str:
    """Hours of the week in words.

    >>> hours("zh", [Window.parse("workday 22:00-8:00")]), hours("en", [Window.parse("sat,sun 0:00-24:00")])
    ('工作日 22:00–08:00', 'Sat, Sun 00:00–24:00')
    """
    comma, semicolon = ("、", "；") if lang == "zh" else (", ", "; ")
    return semicolon.join(
        f"{comma.join(t(lang, f'hours.{day}') for day in w.days)} {str(w).split()[-1].replace('-', '–')}"
        for w in windows
    )


def duration(lang: Lang, ms: float) -> str:
    """A stretch of time, in one unit or, from an hour to two days, in hours and minutes.

    >>> duration("zh", 90_000), duration("en", 5_400_000), duration("zh", 3_600_000), duration("en", 800)
    ('1 分钟', '1 h 30 min', '1 小时', '0 s')
    """
    seconds = max(0, int(ms // 1000))
    if seconds < 60:
        return t(lang, "unit.seconds", n=seconds)
    if seconds < 3_600:
        return t(lang, "unit.minutes", n=seconds // 60)
    if seconds < 2 * 86_400:
        hours, minutes = divmod(seconds // 60, 60)
        text = t(lang, "unit.hours", n=hours)
        return f"{text} {t(lang, 'unit.minutes', n=minutes)}" if minutes and hours < 12 else text
    days = seconds // 86_400
    return t(lang, "unit.days", n=days) if days < 730 else t(lang, "unit.years", n=days // 365)


def ago(lang: Lang, ms: int | None, now_ms: int) -> str:
    """How long ago a time was."""
    if ms is None:
        return t(lang, "never")
    if now_ms - ms < 1000:
        return t(lang, "just_now")
    return t(lang, "ago", time=duration(lang, now_ms - ms))
