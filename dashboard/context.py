"""What every screen needs: the store, the settings, and how the person in front of it wants to see things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app, request
from flask_login import current_user
from sqlalchemy import Connection

from barometer.buckets import Buckets
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.series.downsampling import align
from barometer.store.series.totals import last_bucket
from barometer.vocabulary import KIND_CODES, Kind
from barometer.workdays import Workdays
from dashboard.i18n.texts import Lang, Theme, as_lang, as_theme, t
from dashboard.shared_cache import Brief

KEY = "barometer"
BRIEF_SECONDS = 1.5
SEALED_SECONDS, SEALED_SIZE = 900.0, 24
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
RANGES = {
    "15m": 15 * MINUTE,
    "1h": HOUR,
    "6h": 6 * HOUR,
    "24h": DAY,
    "7d": 7 * DAY,
    "30d": 30 * DAY,
    "90d": 90 * DAY,
    "365d": 365 * DAY,
}
KIND_FILTERS: Mapping[str, tuple[int, ...]] = {"all": KIND_CODES, **{k.label: (int(k),) for k in Kind if k}}
"""What a page or a call may show: the kinds behind each choice."""


@dataclass(frozen=True)
class Context:
    """The application's parts; one for each process."""

    store: Store
    settings: Settings

    @cached_property
    def zone(self) -> ZoneInfo:
        return self.settings.zone

    @cached_property
    def workdays(self) -> Workdays:
        """Working days and days off of the users' country."""
        return Workdays.of(self.settings)

    @cached_property
    def brief(self) -> Brief:
        """What all readers share for a moment."""
        return Brief(BRIEF_SECONDS)

    @cached_property
    def sealed(self) -> Brief:
        """Sums of sealed buckets, by what was asked and how far the store was sealed."""
        return Brief(SEALED_SECONDS, SEALED_SIZE)

    def status(self) -> dict[str, Any]:
        """The report of :func:`barometer.store.health.status.status`, at most ``BRIEF_SECONDS`` old."""
        return self.brief.get("status", lambda: status(self.store, self.settings))

    def source_names(self) -> list[str]:
        """The sources that can be chosen, in order: the silent and the busiest, for anybody can make up names."""
        return sorted(s["name"] for s in self.status()["sources"])


def context() -> Context:
    """The context of the application that serves this request."""
    found: Context = current_app.extensions[KEY]
    return found


@dataclass(frozen=True)
class View:
    """Language and theme of one reader."""

    lang: Lang
    theme: Theme

    def t(self, key: str, **values: object) -> str:
        return t(self.lang, key, **values)


def view(ui: Mapping[str, Any] | None = None) -> View:
    """From the browser's state if given, else the user's saved choice, else the cookie of the log-in page."""
    saved = getattr(current_user, "preferences", None) or {}
    given = ui or {}

    def pick(name: str) -> object:
        return given.get(name) or saved.get(name) or request.cookies.get(f"barometer_{name}")

    return View(as_lang(pick("lang")), as_theme(pick("theme")))


def choose(value: object, options: Mapping[str, Any], default: str) -> str:
    """A value of the address line, if it is one of the options."""
    return value if isinstance(value, str) and value in options else default


def ranges(bucket_ms: int) -> tuple[tuple[str, ...], str]:
    """The time ranges to offer for a bucket width, and which of them comes first."""
    if bucket_ms >= 6 * HOUR:
        return ("7d", "30d", "90d", "365d"), "90d"
    if bucket_ms <= MINUTE:
        return ("15m", "1h", "6h", "24h"), "1h"
    return ("6h", "24h", "7d", "30d", "90d"), "24h"


_STEPS = (MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY, 28 * DAY)
MOST_STEPS = 92


def step_of(range_ms: int, bucket_ms: int) -> int:
    """How wide the cells of a small chart over a range are: whole buckets, at most ``MOST_STEPS`` of them.

    >>> [step_of(RANGES[r], 10 * MINUTE) // MINUTE for r in ("6h", "24h", "7d", "30d", "90d")]
    [10, 30, 180, 720, 1440]
    """
    fitting = (s for s in _STEPS if s % bucket_ms == 0 and range_ms / s <= MOST_STEPS)
    return next(fitting, -(-range_ms // MOST_STEPS // bucket_ms) * bucket_ms)


@dataclass(frozen=True)
class Period:
    """A stretch of whole buckets to show."""

    name: str
    from_ms: int
    to_ms: int
    now: int
    anchored: bool
    """True: it does not end now but where the data ends, since nothing newer is there."""


def period(c: Connection, name: object) -> Period:
    """The chosen range up to the present bucket; an archive's ends with its data. It begins where a cell of its small
    charts does, so that all who ask for a range add up the same buckets."""
    ctx = context()
    width = ctx.settings.bucket_ms
    offered, first = ranges(width)
    chosen = choose(name, {r: r for r in offered}, first)
    now = ctx.store.now_ms(c)
    buckets = Buckets(ctx.settings.bucket_seconds, ctx.zone)
    end = buckets.end_of(buckets.start_of(now))
    last = last_bucket(c)
    anchored = last is not None and end - RANGES[chosen] > last + width
    if anchored and last is not None:
        end = last + width
    begin = align(end - max(RANGES[chosen], width), step_of(RANGES[chosen], width), ctx.settings)
    return Period(chosen, begin, end, now, anchored)
