"""Parses times as files and other systems write them, into UTC epoch ms; ambiguous ones are refused with a reason.

A time that says nothing of its zone is in the zone that the caller names. Nothing depends on the clock: relative times
(``5分钟前``) are refused, since nobody knows when the row was written.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final

from barometer.errors import BarometerError

USE: Final = (
    "use ISO 8601 (2024-05-06, 2024-05-06 09:30:00, 2024-05-06T09:30:00+08:00), epoch s or ms, or --time-format"
)
EPOCH_FORMATS: Final = {"s": Decimal(1000), "ms": Decimal(1), "us": Decimal("1e-3"), "ns": Decimal("1e-6")}
"""Names that ``--time-format`` takes beside patterns of strptime, and ms in one of each."""
_EXCEL: Final = "excel"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_LONGEST: Final = 100
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
"""A run of digits that would be outside is no date."""

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_DATES = [
    r"(?P<y>\d{4})\s*(?P<sep>[-/.])\s*(?P<m>\d{1,2})\s*(?P=sep)\s*(?P<d>\d{1,2})",
    r"(?P<y>\d{4})\s*年\s*(?P<m>\d{1,2})\s*月\s*(?P<d>\d{1,2})\s*[日号號]?",
    r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
    rf"{_WEEKDAY}(?P<d>\d{{1,2}})(?:st|nd|rd|th)?[-\s]{_MONTH}[-,\s]\s*(?P<y>\d{{4}})",
    rf"{_WEEKDAY}{_MONTH}\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})",
]
_FRACTION = r"(?:[.,](?P<f>\d{1,9}))?"
_TIMES = [
    rf"(?P<H>\d{{1,2}})\s*:\s*(?P<M>\d{{1,2}})(?:\s*:\s*(?P<S>\d{{1,2}}){_FRACTION})?",
    rf"(?P<H>\d{{1,2}})\s*[时時点點](?:\s*(?P<M>\d{{1,2}})\s*分?(?:\s*(?P<S>\d{{1,2}}){_FRACTION}\s*秒?)?|\s*(?P<half>半)|整)?",
    rf"(?P<H>\d{{2}})(?P<M>\d{{2}})(?:(?P<S>\d{{2}}){_FRACTION})?",
]
_HALF_DAY = r"(?P<early>上午|凌晨|清晨|早上|早晨|早|中午|下午|傍晚|晚上|晚|夜里|午后|am|pm|a\.m\.|p\.m\.)?"
_LATE = r"(?P<late>am|pm|a\.m\.|p\.m\.)?"
_ZONE = (
    r"(?P<zone>z|[+-]\d{1,2}(?::?\d{2})?|(?:utc|gmt|ut)\s*(?:[+-]\d{1,2}(?::?\d{2})?)?|[a-z]{2,5}|北京时间|北京時間)?"
)
_REMARK = r"(?:\s*\([^()]*\))?"
_DAY_NAME = r"[(\[]?(?:(?:周|星期|礼拜|週)[一二三四五六日天])?[)\]]?"
_WRITTEN = [
    re.compile(rf"{day}\s*{_DAY_NAME}(?:[t\s,]*(?<![\d])\s*{_HALF_DAY}\s*{clock}\s*{_LATE}\s*{_ZONE}{_REMARK})?", re.A)
    for day in _DATES
    for clock in _TIMES
]
_UNIX_DATE = re.compile(rf"{_WEEKDAY}{_MONTH}\s+(?P<d>\d{{1,2}})\s+{_TIMES[0]}\s+(?:{_ZONE}\s+)?(?P<y>\d{{4}})", re.A)
"""``date``, ctime, the web services of Weibo and Twitter: the year comes last."""
_RELATIVE = re.compile(
    r"刚刚|刚才|剛剛|今天|今日|今晚|今早|昨天|昨日|前天|前日|[秒分钟时天日周月年]前|小时内|"
    r"just now|\bago\b|yesterday|today|moments?"
)
_ZONES = {
    "z": 0, "utc": 0, "gmt": 0, "ut": 0, "北京时间": 480, "北京時間": 480, "hkt": 480, "sgt": 480, "jst": 540,
    "kst": 540, "est": -300, "edt": -240, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480, "pdt": -420, "cet": 60,
    "cest": 120, "msk": 180,
}  # fmt: skip
_AFTERNOON = {"下午", "傍晚", "晚上", "晚", "夜里", "午后", "pm"}
_MORNING = {"上午", "凌晨", "清晨", "早上", "早晨", "早", "am"}


class NoTime(BarometerError):
    """A value that is no time, or one that can be read in several ways; the message is the reason."""


def read_time(value: object, zone: tzinfo, time_format: str | None = None) -> int:
    """Epoch ms of a time.

    Without a format: ISO 8601; dates and times with ``-``, ``/``, ``.`` or 年月日, padded or not, with 上午 and 下午;
    RFC 2822; the year at the end (``Mon May 06 09:30:00 +0800 2024``); digits alone: 10 epoch s, 13 ms, 16 µs, 19 ns,
    8 a date, 12, 14 and 17 date and time down to minutes, seconds and ms. A bare date is that day's midnight.

    Args:
        value: a number or text.
        zone: of times without an offset.
        time_format: a pattern of strptime, one of :data:`EPOCH_FORMATS`, or ``excel`` (days since 1899-12-30). Then
            nothing else is tried.

    Raises:
        NoTime: with the reason.

    >>> read_time("2024年5月6日 上午9点半", ZoneInfo("Asia/Shanghai"))
    1714959000000
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise NoTime("it is empty" if value is None else USE)
    text = unicodedata.normalize("NFKC", str(value)).strip().strip("'\"").strip()
    if not text:
        raise NoTime("it is empty")
    if len(text) > _LONGEST:
        raise NoTime(USE)
    try:
        at = _formatted(text, time_format, zone) if time_format else _parsed(text, zone)
        return at if isinstance(at, int) else (at - _EPOCH) // _MS
    except (ValueError, OverflowError, InvalidOperation):
        raise NoTime(f"it does not fit --time-format {time_format}" if time_format else USE) from None


def parse_time(value: object, zone: tzinfo) -> int | None:
    """As :func:`read_time`; None where it raises.

    >>> parse_time("2024-05-06", ZoneInfo("Asia/Shanghai"))
    1714924800000
    """
    try:
        return read_time(value, zone)
    except NoTime:
        return None


def is_day(value: object) -> bool:
    """Whether a time says the day alone."""
    text = unicodedata.normalize("NFKC", str(value)).strip()
    return bool(re.fullmatch(r"\d{4}\s*[-/.年]\s*\d{1,2}\s*[-/.月]\s*\d{1,2}\s*日?|\d{8}", text, re.A))


def is_clock(value: object) -> bool:
    """Whether a value is a time of day without a day."""
    text = unicodedata.normalize("NFKC", str(value)).strip().lower()
    return any(re.fullmatch(rf"{_HALF_DAY}\s*{t}\s*{_LATE}", text, re.A) for t in _TIMES[:2])


def check_format(time_format: str) -> None:
    """Raises:
    BarometerError: no pattern of strptime, or one that leaves the day open.
    """
    if time_format in EPOCH_FORMATS or time_format == _EXCEL:
        return
    wrong = f"--time-format {time_format}: use a pattern like %d/%m/%Y %H:%M, or s, ms, us, ns (epoch), or excel"
    if not any(d in time_format for d in ("%Y", "%y", "%c", "%x", "%s")):
        raise BarometerError(wrong)
    try:
        at = datetime(2024, 5, 6, 9, 30, tzinfo=UTC)
        if datetime.strptime(at.strftime(time_format), time_format).date() != at.date():
            raise BarometerError(wrong)
    except (ValueError, re.error):
        raise BarometerError(wrong) from None


def _formatted(text: str, time_format: str, zone: tzinfo) -> int | datetime:
    if time_format in EPOCH_FORMATS:
        return int(Decimal(text) * EPOCH_FORMATS[time_format])
    if time_format == _EXCEL:
        at = datetime(1899, 12, 30) + timedelta(seconds=round(float(text) * 86_400))
        return at.replace(tzinfo=zone)
    at = datetime.strptime(text, time_format)
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


def _parsed(text: str, zone: tzinfo) -> int | datetime:
    if re.fullmatch(r"-?\d+(\.\d*)?(e[+-]?\d+)?", text, re.I | re.A):
        return _number(text, zone)
    lower = text.lower()
    for pattern in (*_WRITTEN, _UNIX_DATE):
        found = pattern.fullmatch(lower)
        if found:
            return _built(found.groupdict(), zone)
    if _RELATIVE.search(lower):
        raise NoTime(
            "it is relative to when it was read, which nobody knows any more: have the collector write the time"
        )
    if re.fullmatch(r"\d{1,2}\s*[-/.月]\s*\d{1,2}\s*[日号]?([\s,]+.*)?", lower, re.A):
        raise NoTime("it has no year")
    if re.match(r"\d{1,2}\s*[-/.]\s*\d{1,2}\s*[-/.]\s*(\d{4}|\d{1,2})\b", lower, re.A):
        raise NoTime(
            "it does not tell day, month and year apart: say it with --time-format, for example %d/%m/%Y %H:%M"
        )
    if is_clock(lower):
        raise NoTime("it is a time of day without a day: join two columns with --time-column DAY+TIME")
    if not re.match(r"\d{4}-?W\d\d", text, re.A):  # weeks; of the rest Python reads too much, any digit between for one
        raise ValueError
    at = datetime.fromisoformat(text.upper())
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


def _number(text: str, zone: tzinfo) -> int | datetime:
    if "e" in text.lower():
        raise NoTime("it was rounded by a spreadsheet: format the column as text or as a time and save it again")
    number = Decimal(text)
    whole = text.partition(".")[0]
    if number < 0 or len(whole) == 10:
        return int(number * 1000)
    if len(whole) in (13, 16, 19):
        return int(number / 10 ** (len(whole) - 13))
    if number == int(number) and len(whole) in (8, 12, 14, 17) and _FIRST_YEAR <= int(whole[:4]) <= _LAST_YEAR:
        month, day, hour, minute, second = (int(whole[i : i + 2] or 0) for i in range(4, 14, 2))
        micro = int(whole[14:] or 0) * 1000
        return datetime(int(whole[:4]), month, day, hour, minute, second, micro, tzinfo=zone)
    if len(whole) == 5:
        raise NoTime("it may be a day number of Excel: say so with --time-format excel, or format the column as a time")
    raise NoTime(f"a number of {len(whole)} digits is none; {USE}")


def _built(groups: dict[str, str | None], zone: tzinfo) -> datetime:
    month = groups.get("month")
    day = date(
        int(groups["y"] or 0), _MONTHS.index(month) + 1 if month else int(groups["m"] or 0), int(groups["d"] or 0)
    )
    hour, minute, second = (int(groups[x] or 0) for x in "HMS")
    if groups.get("half"):
        minute = 30
    half = (groups.get("early") or groups.get("late") or "").replace(".", "")
    if half:
        hour = _of_24(hour, half)
    over = timedelta(0)
    if (hour, minute, second) == (24, 0, 0):
        hour, over = 0, timedelta(days=1)
    micro = int(((groups.get("f") or "") + "000000")[:6])
    offset = _offset(groups.get("zone"))
    at = datetime(day.year, day.month, day.day, hour, minute, second, micro, tzinfo=offset or zone)
    return at + over


def _of_24(hour: int, half: str) -> int:
    if half in _MORNING:
        return 0 if hour == 12 else hour
    if half in _AFTERNOON:
        if hour == 12 and half not in ("pm", "下午", "午后"):
            raise NoTime("it does not say which midnight it means")
        return hour + 12 if hour < 12 else hour
    return hour + 12 if hour < 10 else hour  # 中午


def _offset(name: str | None) -> tzinfo | None:
    if not name:
        return None
    name = name.replace(" ", "")
    if name in _ZONES:
        return timezone(timedelta(minutes=_ZONES[name]))
    found = re.fullmatch(r"(?:utc|gmt|ut)?([+-])(\d{1,2}):?(\d{2})?", name, re.A)
    if found:
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    if name == "cst":
        raise NoTime(
            "it is in CST, which is China or Chicago: have the offset written (+0800), or use --time-format ... CST"
        )
    raise NoTime(f"it is in a zone that is not known here ({name.upper()}): have the offset written, like +0800")


_RFC3339_START = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}[Tt ]")


def parse_rfc3339(value: str) -> int | None:
    """UTC epoch ms of a time with an offset (``Z`` or ``+08:00``); None if it is none, or has no offset.

    >>> parse_rfc3339("2024-05-06T09:30:00+08:00"), parse_rfc3339("2024-05-06T09:30:00")
    (1714959000000, None)
    """
    if not _RFC3339_START.match(value):  # Python takes any character between the two, a digit too
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
        return None if moment.tzinfo is None else (moment - _EPOCH) // _MS
    except (ValueError, OverflowError):
        return None
