"""How much a search found, when, and where from: counted from its newest matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from barometer.store.documents.keys import Key
from barometer.store.search.query import matching_keys
from barometer.store.search.summary import SearchTotals, search_totals
from barometer.store.search.terms import SearchError
from dashboard.context import DAY, HOUR, MINUTE, context
from dashboard.format import local
from dashboard.services.document_query import FIELDS, NotSought, wanted

MOST = 2_000
"""Matches that are counted; where there are more, the newest are."""
BARS = 40
KEPT_SECONDS = 5.0
_WIDTHS = (
    MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
    28 * DAY,
    182 * DAY,
    3650 * DAY,
)


@dataclass(frozen=True, slots=True)
class Bar:
    """Matches of one stretch of time, epoch ms, the end not included."""

    begin: int
    end: int
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Of the newest matches; ``more``: there are others, older ones."""

    count: int
    more: bool
    bars: Sequence[Bar]
    found: SearchTotals


def summary(query: dict[str, Any]) -> Summary | None:
    """Of the Documents page's address; None where it asks for nothing that can be found."""
    ctx = context()

    def make() -> Summary | None:
        try:
            with ctx.store.read() as c:
                look = wanted(query, ctx.store.now_ms(c), ctx.zone)
                keys, _ = matching_keys(c, ctx.store, look, MOST + 1)
                more, keys = len(keys) > MOST, keys[:MOST]
                return Summary(len(keys), more, bars(keys, ctx.zone), search_totals(c, keys))
        except (NotSought, SearchError, SQLAlchemyError):
            return None  # the list says what is wrong

    return ctx.brief.get(("summary", *(query.get(f) for f in FIELDS)), make, KEPT_SECONDS)


def bars(keys: Sequence[Key], zone: ZoneInfo) -> list[Bar]:
    """At most ``BARS`` and two stretches of equal width that hold all keys, empty ones between them included; they
    begin at full minutes, hours or days of the zone (as it stood at the oldest key)."""
    if not keys:
        return []
    times = [at for at, _ in keys]
    first, last = min(times), max(times)
    width = next((w for w in _WIDTHS if (last - first) / w <= BARS), (last - first) // BARS + 1)
    offset = int((local(first, zone).utcoffset() or timedelta()).total_seconds() * 1000)
    begin = (first + offset) // width * width - offset
    counts = [0] * ((last - begin) // width + 1)
    for at in times:
        counts[(at - begin) // width] += 1
    return [Bar(begin + i * width, begin + (i + 1) * width, n) for i, n in enumerate(counts)]
