"""What the series page shows of a choice: figures and lines, read once for the parts of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from barometer.standing import Standing, stand
from barometer.store.alerts.views import alerts_between
from barometer.store.model_versions.versions import model_names
from barometer.store.series.downsampling import grid_offset
from barometer.store.series.points import Point, points
from barometer.store.series.totals import SeriesRow, find_series
from dashboard.components.alert_parts import sentence
from dashboard.components.series_chart import Drawn, Line, negatives, scored, series_figure
from dashboard.context import KIND_FILTERS, Period, View, choose, context, period
from dashboard.services.measure import peers, ranked_share

WAYS = (*KIND_FILTERS, "apart")
VOICES = ("all", "independent")
FIELDS = ("range", "kind", "voices", "at", "from", "to")
_FARTHEST = 4_102_444_800_000  # 2100-01-01: what is in an address may be anything


@dataclass(frozen=True)
class Shown:
    """One series over one period, as it was asked for."""

    row: SeriesRow
    span: Period
    begin: int
    end: int
    """What is on the screen: the period, or what was zoomed into."""
    zoomed: bool
    way: str
    independent: bool
    lines: tuple[Line, ...]
    width: int
    alerts: tuple[Any, ...]
    models: dict[int, str]

    @property
    def kinds(self) -> tuple[int, ...]:
        return KIND_FILTERS.get(self.way, KIND_FILTERS["all"])

    @property
    def points(self) -> list[Point]:
        return [p for line in self.lines for p in line.points]

    @property
    def open(self) -> bool:
        return any(not p.sealed for p in self.points)


@dataclass(frozen=True, slots=True)
class Sums:
    """A period in figures."""

    total: int
    negative: int
    scored: int
    independent: int
    standing: Standing

    @property
    def share(self) -> float | None:
        return self.negative / self.scored if self.scored > 0 else None


def number_of(query: Mapping[str, Any], name: str) -> int | None:
    """A time of the address line, if it is one."""
    value = str(query.get(name) or "")
    return int(value) if value.isdigit() and int(value[:15]) < _FARTHEST else None


def look(v: View, query: Mapping[str, Any]) -> Shown | None:
    """Read it; None: there is no such series."""
    ctx = context()
    way = choose(query.get("kind"), {w: w for w in WAYS}, "all")
    independent = query.get("voices") == "independent"
    with ctx.store.read() as c:
        row = find_series(c, str(query["name"]))
        if row is None:
            return None
        span = period(c, query.get("range"))
        begin, end, zoomed = window(span, query, ctx.settings.bucket_ms)
        names = ("news", "comment") if way == "apart" else (way,)
        lines, width = [], ctx.settings.bucket_ms
        for name in names:
            found, width = points(
                c, row.id, begin, end, KIND_FILTERS[name], ctx.settings.bucket_ms, grid_ms=grid_offset(ctx.settings)
            )
            lines.append(Line(v.t(f"kind.{name}"), found))
        alerts = tuple(alerts_between(c, row.id, begin, end))
        models = model_names(c, {m for line in lines for p in line.points for m in p.models})
    if len(lines) > 1:
        lines = _same_times(lines)
    return Shown(row, span, begin, end, zoomed, way, independent, tuple(lines), width, alerts, models)


def window(span: Period, query: Mapping[str, Any], bucket_ms: int) -> tuple[int, int, bool]:
    """What was zoomed into, if that is something: whole buckets, at least three of them."""
    a, b = number_of(query, "from"), number_of(query, "to")
    if a is None or b is None or b <= a:
        return span.from_ms, span.to_ms, False
    a = a // bucket_ms * bucket_ms
    b = max(a + 3 * bucket_ms, -(-b // bucket_ms) * bucket_ms)
    return a, b, True


def figure(v: View, shown: Shown, point: int | None = None) -> dict[str, Any]:
    """The chart; ``point`` is the start of the one whose texts are shown."""
    drawn = Drawn(
        (shown.begin, shown.end),
        shown.independent,
        [
            (
                a.id,
                max(a.started_at, shown.begin),
                min(a.ended_at or a.resolved_at or shown.end, shown.end),
                escape(f"{v.t('severity.' + a.severity)}: {sentence(v, a)}", quote=False)[:300],
            )
            for a in shown.alerts
        ],
        {i: escape(name, quote=False) for i, name in shown.models.items()},
        None if point is None else (point, point + shown.width),
    )
    return series_figure(v, shown.lines, drawn)


def sums(shown: Shown) -> Sums:
    found = shown.points
    counted = [p for p in found if not shown.independent or p.independent is not None]
    judged = [p for p in found if p.expected_negative is not None]
    return Sums(
        total=sum(p.total for p in found),
        negative=sum(negatives(p, shown.independent) or 0 for p in counted),
        scored=sum(scored(p, shown.independent) or 0 for p in counted),
        independent=sum(p.independent or 0 for p in found),
        standing=stand(
            sum(p.judged_negative for p in judged),
            sum(p.expected_negative or 0 for p in judged) if judged else None,
        ),
    )


def rank(shown: Shown, found: Sums) -> Any:
    """Where the share stands among the series of its kind, over the chosen range (not over what was zoomed into)."""
    from dashboard.services.figures import figures

    if shown.zoomed or shown.independent or shown.way == "apart":
        return None
    share = ranked_share(found.share, found.scored)
    return peers(share, figures(context(), shown.span.name, shown.way).peers_of(shown.row))


def _same_times(lines: list[Line]) -> list[Line]:
    """Lines with a point wherever one of them has one."""
    times = {p.start: p for line in lines for p in line.points}
    out = []
    for line in lines:
        known = {p.start: p for p in line.points}
        out.append(
            Line(
                line.name,
                [known.get(at) or Point(at, other.end, sealed=other.sealed) for at, other in sorted(times.items())],
            )
        )
    return out


__all__ = ["FIELDS", "VOICES", "WAYS", "Shown", "Sums", "figure", "look", "number_of", "rank", "sums", "window"]
