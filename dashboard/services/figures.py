"""All series over a period, as Home and Overview need them; worked out once for all who ask at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from barometer.store.alerts.views import open_alerts
from barometer.store.series.downsampling import align
from barometer.store.series.filtered import MOST_TEXTS, filtered_totals, texts_between
from barometer.store.series.totals import SeriesRow, Totals, list_series, sealed_totals, sealed_until, with_open
from dashboard.context import DAY, KIND_FILTERS, RANGES, Context, Period, period, step_of
from dashboard.services.measure import group_of, ranked_share

FILTERED_SECONDS = 15.0
"""Counting texts one by one costs more than adding up buckets: the answer is kept for longer."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Every series over one period."""

    span: Period
    start: int
    """Of the first cell: ``span.from_ms`` or less, on the grid of the cells, so that they do not move with the time."""
    step: int
    steps: int
    series: tuple[SeriesRow, ...]
    counts: dict[int, Totals]
    alerts: Sequence[Row[Any]]
    """Open ones."""

    def of(self, series: SeriesRow) -> Totals:
        return self.counts.get(series.id) or Totals()

    @property
    def running(self) -> list[Row[Any]]:
        """Alerts that nobody has acknowledged yet, or whose surge is not over."""
        return [a for a in self.alerts if a.state == "firing" or a.ended_at is None]

    @property
    def alerting(self) -> dict[int, Row[Any]]:
        """Series with a running alert: the worst of them."""
        found: dict[int, Row[Any]] = {}
        for a in reversed(self.running):
            if a.series_id is not None:
                found[a.series_id] = a
        return found

    def peers_of(self, series: SeriesRow) -> list[float | None]:
        """Shares of the others of its kind, as far as they rest on enough texts."""
        group = group_of(series.name)
        others = [self.of(s) for s in self.series if s.id != series.id and group_of(s.name) == group]
        return [ranked_share(x.share, x.scored) for x in others]


def figures(ctx: Context, range_: str | None, kind: str) -> Figures:
    """Figures of one of the offered ranges.

    Args:
        range_: its name; anything else: the usual one.
        kind: a key of :data:`dashboard.context.KIND_FILTERS`.
    """

    def make() -> Figures:
        with ctx.store.read() as c:
            span, start, step, steps = cells(c, ctx, range_)
            counts = _totals(c, ctx, start, start + steps * step, steps, kind)
            return Figures(span, start, step, steps, tuple(list_series(c)), counts, open_alerts(c))

    return ctx.brief.get(("figures", range_, kind), make)


def filtered_figures(
    ctx: Context, range_: str | None, kind: str, source: str | None, lang: str | None
) -> Figures | int:
    """As :func:`figures`, of one source and language, counted from the texts: a day at most. Where the period holds too
    many texts for that, their number."""
    short = range_ if range_ in RANGES and RANGES[range_] <= DAY else "24h"

    def make() -> Figures | int:
        with ctx.store.read() as c:
            span, start, step, steps = cells(c, ctx, short)
            n = texts_between(c, span.from_ms, span.to_ms)
            if n > MOST_TEXTS:
                return n
            kinds = KIND_FILTERS[kind]
            counts = filtered_totals(c, start, start + steps * step, steps, kinds, source=source, lang=lang)
            return Figures(span, start, step, steps, tuple(list_series(c)), counts, open_alerts(c))

    return ctx.brief.get(("filtered", short, kind, source, lang), make, FILTERED_SECONDS)


def cells(c: Connection, ctx: Context, range_: str | None) -> tuple[Period, int, int, int]:
    """A range and its cells: (period, start of the first cell, width of one, how many)."""
    span = period(c, range_)
    step = step_of(RANGES[span.name], ctx.settings.bucket_ms)
    start = align(span.from_ms, step, ctx.settings)
    return span, start, step, max(1, -(-(span.to_ms - start) // step))


def totals_since(ctx: Context, from_ms: int, to_ms: int) -> dict[int, Totals]:
    """All kinds between two times, which are moved out to whole buckets so that visitors share the answer."""
    width = ctx.settings.bucket_ms

    def make() -> dict[int, Totals]:
        with ctx.store.read() as c:
            return _totals(c, ctx, from_ms // width * width, to_ms, 1, "all")

    return ctx.brief.get(("since", from_ms // width, to_ms // width), make)


def _totals(c: Connection, ctx: Context, from_ms: int, to_ms: int, steps: int, kind: str) -> dict[int, Totals]:
    """:func:`barometer.store.series.totals.totals`; what is sealed is added up once in all the time that
    nothing more is sealed, since it cannot change."""
    asked = (from_ms, to_ms, steps, KIND_FILTERS[kind])
    sealed = ctx.sealed.get((*asked, sealed_until(c)), lambda: sealed_totals(c, *asked))
    return with_open(c, sealed, *asked)
