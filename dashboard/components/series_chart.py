"""The chart of the series page: negatives against what was expected, their share, and what the texts were like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import floor, log10
from typing import Any

from barometer.store.series.points import Point
from dashboard.components.charts import PALETTE, SHARE_TEXTS, alert_mark, base_layout, row_title, shade
from dashboard.components.days import day_shapes
from dashboard.context import View, context
from dashboard.format import duration, number, wall

_STACK = {
    "light": {
        "negative": "#7b3fb5",
        "neutral": "#c3cad5",
        "positive": "#3f93b3",
        "news": "#4c6f9c",
        "comment": "#c2a25a",
    },
    "dark": {
        "negative": "#b98af0",
        "neutral": "#4a5567",
        "positive": "#4fa3c0",
        "news": "#7fa4d6",
        "comment": "#b3954f",
    },
}
_DASHES = ("solid", "dot")
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Line:
    """One line of the chart: everything together, or news or comments."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Drawn:
    """What is drawn beside the lines."""

    window: tuple[int, int]
    independent: bool = False
    """Copies left out: there is no expectation of that, and nothing of open buckets."""
    alerts: Sequence[tuple[int, int, int, str]] = ()
    """(id, start, end, what it says)."""
    models: Mapping[int, str] = field(default_factory=dict)
    point: tuple[int, int] | None = None
    """The stretch whose texts are shown."""


def negatives(p: Point, independent: bool) -> int | None:
    return p.independent_negative if independent else p.negative


def scored(p: Point, independent: bool) -> int | None:
    return p.independent if independent else p.total - p.unscored


def series_figure(v: View, lines: Sequence[Line], drawn: Drawn) -> dict[str, Any]:
    """Three rows over one axis of time.

    Args:
        lines: one, or two of the same buckets (news and comments apart).
    """
    color, zone = PALETTE[v.theme], context().zone
    first = lines[0].points
    x = [wall(p.start, zone) for p in first]
    data: list[dict[str, Any]] = []
    if len(lines) == 1 and not drawn.independent:
        data += _band(v, first, x, color)
    for i, line in enumerate(lines):
        data += _count(v, line, drawn.independent, color, i, len(lines))
    over = 0
    for i, line in enumerate(lines):
        shares, over = rolling(line.points, drawn.independent)
        data.append(_share(v, line, shares, color, i, len(lines)))
    data += _stack(v, lines, drawn.independent, color)
    shapes = day_shapes(v, drawn.window, zone, context().workdays, color)
    shapes += [shade(wall(a, zone), wall(b, zone), color["alert"]) for _, a, b, _ in drawn.alerts]
    shapes += _outages(v, first, color)
    changes = model_changes(lines, drawn.models)
    for at, _ in changes:
        when = wall(at, zone)
        shapes.append(
            {
                "type": "line",
                "xref": "x",
                "yref": "paper",
                "x0": when,
                "x1": when,
                "y0": 0,
                "y1": 1,
                "line": {"color": color["muted"], "width": 1, "dash": "dash"},
            }
        )
    if drawn.point is not None:
        shapes.append(
            {
                **shade(wall(drawn.point[0], zone), wall(drawn.point[1], zone), "rgba(0,0,0,0)"),
                "line": {"width": 1.2, "color": color["ink"]},
                "layer": "above",
            }
        )
    if drawn.alerts:
        data.append(alert_mark(v, drawn.alerts, zone, color))
    layout = base_layout(color)
    layout["barmode"] = "stack"
    layout["xaxis"]["range"] = [wall(drawn.window[0], zone), wall(drawn.window[1], zone)]
    layout["shapes"] = shapes
    layout["uirevision"] = f"{drawn.window}"
    most = max((p.negative for line in lines for p in line.points), default=0)
    layout["yaxis"].update(ticks(v, most))
    stacked: dict[int, int] = {}
    for p in (p for line in lines for p in line.points):
        stacked[p.start] = stacked.get(p.start, 0) + p.total
    layout["yaxis3"].update(ticks(v, max(stacked.values(), default=0), 3))
    below = v.t("series.stack_kinds") if len(lines) > 1 else v.t("series.stack")
    layout["annotations"] = [
        row_title(v.t("series.negatives_independent" if drawn.independent else "series.negatives"), 1.0, color),
        row_title(v.t("series.rolling", time=duration(v.lang, over)), 0.47, color),
        row_title(below, 0.23, color),
        *(_model_note(v, wall(at, zone), name, color) for at, name in changes),
    ]
    return {"data": data, "layout": layout}


def ticks(v: View, most: float, count: int = 4) -> dict[str, Any]:
    """Marks of an axis from 0 in the words of the language, 2万 or 20k, where numbers are large; else the library's.

    >>> ticks(View("zh", "light"), 83_000, 4)["ticktext"]
    ['0', '2万', '4万', '6万', '8万']
    >>> ticks(View("zh", "light"), 900, 4)
    {'tickmode': 'auto'}
    """
    if most < 10_000:
        return {"tickmode": "auto"}
    rough = most / count
    size = 10 ** floor(log10(rough))
    step = next(f * size for f in (1, 2, 5, 10) if rough <= f * size * 1.2)
    values = [i * step for i in range(int(most // step) + 1)]
    return {"tickmode": "array", "tickvals": values, "ticktext": [number(v.lang, x) for x in values]}


def _outages(v: View, found: Sequence[Point], color: Mapping[str, str]) -> list[dict[str, Any]]:
    """Stretches without data, shaded and named."""
    zone, shapes = context().zone, list[dict[str, Any]]()
    for before, p in pairwise([None, *found]):
        if p is None or not p.outage:
            continue
        if before is not None and before.outage and shapes:
            shapes[-1]["x1"] = wall(p.end, zone)
        else:
            label = {
                "text": v.t("series.outage"),
                "textposition": "top left",
                "font": {"size": 11, "color": color["muted"]},
            }
            shapes.append({**shade(wall(p.start, zone), wall(p.end, zone), color["outage"]), "label": label})
    return shapes


def rolling(points: Sequence[Point], independent: bool) -> tuple[list[float | None], int]:
    """Negative share in percent over the hour that ends with each point (one point where they are wider), and that
    width in milliseconds. Under ``SHARE_TEXTS`` texts there is no share to show."""
    width = points[0].end - points[0].start if points else HOUR_MS
    over = max(width, HOUR_MS // max(1, width) * width)
    out: list[float | None] = []
    first, bad, all_ = 0, 0, 0
    for p in points:
        bad += negatives(p, independent) or 0
        all_ += scored(p, independent) or 0
        while points[first].start <= p.start - over:
            bad -= negatives(points[first], independent) or 0
            all_ -= scored(points[first], independent) or 0
            first += 1
        known = negatives(p, independent) is not None and all_ >= SHARE_TEXTS
        out.append(round(bad / all_ * 100, 1) if known else None)
    return out, over


def model_changes(lines: Sequence[Line], names: Mapping[int, str]) -> list[tuple[int, str]]:
    """When another model begins to speak, and its name."""
    found: dict[int, str] = {}
    for line in lines:
        told = [p for p in line.points if p.models]
        for before, after in pairwise(told):
            if max(after.models) != max(before.models):
                found[after.start] = names.get(max(after.models), str(max(after.models)))
    return sorted(found.items())


def _band(v: View, points: Sequence[Point], x: list[str], color: dict[str, str]) -> list[dict[str, Any]]:
    known = [(at, p) for at, p in zip(x, points, strict=True) if p.band_low is not None]
    if not known:
        return []
    edge = {
        "type": "scatter",
        "mode": "lines",
        "x": [at for at, _ in known],
        "line": {"width": 0, "shape": "linear"},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [
        {**edge, "y": [_round(p.band_low) for _, p in known]},
        {
            **edge,
            "y": [_round(p.band_high) for _, p in known],
            "fill": "tonexty",
            "fillcolor": color["band"],
            "name": v.t("series.band"),
            "showlegend": True,
        },
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": [_round(p.expected_negative) for p in points],
            "name": v.t("series.expected"),
            "line": {"color": color["expected"], "width": 1.3, "dash": "dot"},
            "hovertemplate": "%{y:.1f}",
        },
    ]


def _count(v: View, line: Line, independent: bool, color: dict[str, str], i: int, n: int) -> list[dict[str, Any]]:
    zone = context().zone
    ink = color["negative"] if i == 0 else color["second"]
    common = {
        "type": "scatter",
        "x": [wall(p.start, zone) for p in line.points],
        "yaxis": "y",
        "connectgaps": False,
        "hovertemplate": "%{y:,}",
        "customdata": [p.start for p in line.points],
    }
    name = v.t("series.negatives") if n == 1 else line.name
    values = [negatives(p, independent) for p in line.points]
    lines: list[dict[str, Any]] = [
        {
            **common,
            "mode": "lines",
            "y": [x if p.sealed else None for p, x in zip(line.points, values, strict=True)],
            "name": name,
            "line": {"color": ink, "width": 2.2, "dash": _DASHES[i]},
        }
    ]
    opened = [None if p.sealed else x for p, x in zip(line.points, values, strict=True)]
    if any(x is not None for x in opened):
        # Apart from the line: a bucket that is still filling looks like a fall where it is joined to it.
        lines.append(
            {
                **common,
                "mode": "markers",
                "y": opened,
                "name": v.t("series.open"),
                "showlegend": i == 0,
                "marker": {"size": 8, "color": "rgba(0,0,0,0)", "line": {"color": ink, "width": 2}},
            }
        )
    return lines


def _share(v: View, line: Line, shares: list[float | None], color: dict[str, str], i: int, n: int) -> dict[str, Any]:
    zone = context().zone
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [wall(p.start, zone) for p in line.points],
        "y": shares,
        "yaxis": "y2",
        "name": v.t("series.share") if n == 1 else f"{line.name} %",
        "showlegend": False,
        "connectgaps": False,
        "hovertemplate": "%{y:.1f}%",
        "customdata": [p.start for p in line.points],
        "line": {"color": color["negative"] if i == 0 else color["second"], "width": 1.6, "dash": _DASHES[i]},
    }


def _stack(v: View, lines: Sequence[Line], independent: bool, color: dict[str, str]) -> list[dict[str, Any]]:
    """Texts by what they were like, or by kind where kinds are apart."""
    zone, inks = context().zone, _STACK[v.theme]

    def bar(points: Sequence[Point], name: str, values: list[Any], ink: str, pattern: str = "") -> dict[str, Any]:
        marker: dict[str, Any] = {"color": ink, "opacity": [1 if p.sealed else 0.5 for p in points]}
        if pattern:
            marker["pattern"] = {
                "shape": pattern,
                "size": 5,
                "solidity": 0.3,
                "fillmode": "overlay",
                "fgcolor": color["muted"],
                "bgcolor": ink,
            }
        return {
            "type": "bar",
            "x": [wall(p.start, zone) for p in points],
            "y": values,
            "yaxis": "y3",
            "name": name,
            "marker": marker,
            "hovertemplate": "%{y:,}",
            "customdata": [p.start for p in points],
            "legendgroup": "stack",
        }

    if len(lines) > 1:
        names = ("news", "comment")
        return [
            bar(
                line.points,
                f"{line.name} · {v.t('series.volume')}",
                [scored(p, independent) if independent else p.total for p in line.points],
                inks[names[i]],
                "" if i == 0 else "/",
            )
            for i, line in enumerate(lines)
        ]
    points = lines[0].points
    if independent:
        rest = [None if p.independent is None else p.independent - (p.independent_negative or 0) for p in points]
        return [
            bar(points, v.t("sentiment.negative"), [p.independent_negative for p in points], inks["negative"]),
            bar(points, v.t("series.not_negative"), rest, inks["neutral"]),
        ]
    stack = [
        bar(points, v.t("sentiment.negative"), [p.negative for p in points], inks["negative"]),
        bar(points, v.t("sentiment.neutral"), [p.neutral for p in points], inks["neutral"]),
        bar(points, v.t("sentiment.positive"), [p.positive for p in points], inks["positive"]),
    ]
    if any(p.unscored for p in points):
        stack.append(bar(points, v.t("sentiment.unscored"), [p.unscored for p in points], "rgba(0,0,0,0)", "."))
    return stack


def _model_note(v: View, when: str, name: str, color: dict[str, str]) -> dict[str, Any]:
    return {
        "x": when,
        "xref": "x",
        "y": 1,
        "yref": "paper",
        "text": v.t("series.model", name=name[:24]),
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "top",
        "xshift": 3,
        "font": {"size": 11, "color": color["muted"]},
    }


def _round(x: float | None) -> float | None:
    return None if x is None else round(x, 2)
