"""What the address line of the Documents page asks for: one reading of it for the page, its exports and the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from barometer.errors import BarometerError
from barometer.records import Flag
from barometer.store.documents.keys import Key
from barometer.store.search.query import DocumentFilter
from barometer.vocabulary import SENTIMENTS, STATED_KINDS, Kind, Sentiment
from dashboard.context import RANGES

FIELDS = ("q", "series", "kind", "sentiment", "range", "from", "to", "lang", "source", "confidence", "flag")
SENTIMENT_FILTERS = (*SENTIMENTS, "unscored")
SPANS = ("1h", "24h", "7d", "30d", "90d")
CONFIDENCES = ("0.6", "0.8", "0.9", "0.95")
FLAGS = tuple(f.name.lower() for f in Flag if f.name)
LONGEST = 500


class NotSought(BarometerError):
    """A field of the address line that says nothing we know; ``field`` names it."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


def wanted(query: Mapping[str, str | None], now: int, zone: ZoneInfo) -> DocumentFilter:
    """Read the fields of an address line.

    Args:
        query: ``q`` words; ``series`` ``topic:NAME``; ``kind``, ``sentiment``, ``flag``, ``range`` as in the tuples
            above; ``from`` and ``to`` epoch ms, times of the zone (``2026-11-24 08:00``), or dates of it, both
            inclusive; ``lang``, ``source``; ``confidence`` from 0 to 1.
        now: epoch ms, where ``range`` ends.

    Raises:
        NotSought: a field has a value that it cannot have.
    """
    given = {name: (query.get(name) or "").strip() for name in FIELDS}
    kind, feeling, flag = (
        _one_of(given, name, options)
        for name, options in (("kind", STATED_KINDS), ("sentiment", SENTIMENT_FILTERS), ("flag", FLAGS))
    )
    span = _one_of(given, "range", tuple(RANGES))
    begin, end = _time(given, "from", zone, 0), _time(given, "to", zone, 1)
    if begin is None and span:
        begin = now - RANGES[span]
    if begin is not None and end is not None and begin >= end:
        raise NotSought("from", "it must be before to")
    if len(given["q"]) > LONGEST:
        raise NotSought("q", f"at most {LONGEST} characters")
    return DocumentFilter(
        words=given["q"],
        from_ms=begin,
        to_ms=end,
        kind=int(Kind[kind.upper()]) if kind else None,
        lang=given["lang"] or None,
        source=given["source"] or None,
        topic=given["series"].removeprefix("topic:") or None,
        sentiment=int(Sentiment[feeling.upper()]) if feeling and feeling != "unscored" else None,
        unscored=feeling == "unscored",
        min_confidence=_share(given["confidence"]),
        flags=int(Flag[flag.upper()]) if flag else 0,
    )


def time_words(value: str, zone: ZoneInfo) -> str:
    """``from`` or ``to`` for people: epoch ms as a time of the zone, anything else as it is.

    >>> time_words("1795478400000", ZoneInfo("Asia/Shanghai"))
    '2026-11-24 08:00'
    """
    if not value.isdecimal() or len(value) > 13:
        return value
    at = datetime.fromtimestamp(int(value) / 1000, zone)
    return at.strftime("%Y-%m-%d %H:%M" + (":%S" if at.second else ""))


def cursor(value: object) -> Key | None:
    """The place that ``before`` names; None if it names none."""
    at, _, row = str(value or "").partition("-")
    return (int(at), int(row)) if at.isdecimal() and row.isdecimal() and len(at) < 14 and len(row) < 19 else None


def as_cursor(key: Key) -> str:
    return f"{key[0]}-{key[1]}"


def _one_of(given: Mapping[str, str], name: str, options: tuple[str, ...]) -> str:
    value = given[name]
    if value and value not in options and not (name == "kind" and value == "all"):
        raise NotSought(name, f"one of {', '.join(options)}")
    return "" if value == "all" else value


def _share(value: str) -> float | None:
    if not value:
        return None
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise NotSought("confidence", "a number from 0 to 1")
    return share


def _time(given: Mapping[str, str], name: str, zone: ZoneInfo, days_on: int) -> int | None:
    value = given[name]
    if not value:
        return None
    try:
        if value.isdecimal() and len(value) < 14:
            return int(value)
        if ":" in value:
            at = datetime.fromisoformat(value)
            return max(0, int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000))
        day = datetime.combine(date.fromisoformat(value) + timedelta(days=days_on), datetime.min.time(), zone)
        return max(0, int(day.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise NotSought(name, "a date (2026-11-24), a time (2026-11-24 08:00) or epoch milliseconds") from None
