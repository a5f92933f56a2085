"""The chart of a series: negatives against the expected range, their share, and the volume. Plain plotly JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from dash import dcc

from barometer.store.series.points import Point
from dashboard.context import View, context
from dashboard.format import duration, wall

PALETTE: dict[str, dict[str, str]] = {
    "light": {
        "ink": "#20242e",
        "muted": "#5f6673",
        "grid": "#ebe8e1",
        "negative": "#7b3fb5",
        "faint": "rgba(123,63,181,.38)",
        "band": "rgba(90,110,140,.17)",
        "expected": "#7d8aa0",
        "volume": "#b9c2cf",
        "volume_open": "#dde2e9",
        "alert": "rgba(201,82,26,.11)",
        "outage": "rgba(120,120,120,.16)",
        "hover": "#ffffff",
        "line": "#d9d5cc",
        "second": "#2b5f8c",
        "critical": "#b8400f",
        "day_off": "rgba(90,80,60,.05)",
    },
    "dark": {
        "ink": "#e9e6df",
        "muted": "#98a1b0",
        "grid": "#262b36",
        "negative": "#c397f5",
        "faint": "rgba(195,151,245,.4)",
        "band": "rgba(150,170,200,.16)",
        "expected": "#8d9ab0",
        "volume": "#4a5567",
        "volume_open": "#323a48",
        "alert": "rgba(255,138,84,.13)",
        "outage": "rgba(160,160,160,.14)",
        "hover": "#232936",
        "line": "#394152",
        "second": "#86b8e4",
        "critical": "#ff9666",
        "day_off": "rgba(255,250,235,.035)",
    },
}
HOUR_MS = 3_600_000
SHARE_TEXTS = 5
FONT = '-apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", sans-serif'


def trend_figure(
    v: View,
    points: Sequence[Point],
    alerts: Sequence[tuple[int, int]],
    *,
    compact: bool = False,
    window: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """A figure with the three rows (or the first alone where ``compact``).

    Args:
        points: in order of time; open ones are drawn lighter.
        alerts: (start, end) of alerts, shaded.
        window: the time to show.
    """
    zone, color = context().zone, PALETTE[v.theme]

    def when(ms: int) -> str:
        return wall(ms, zone)

    x = [when(p.start) for p in points]
    data: list[dict[str, Any]] = []
    banded = [p for p in points if p.band_low is not None]
    if banded:
        xb = [when(p.start) for p in points if p.band_low is not None]
        hidden = {
            "x": xb,
            "mode": "lines",
            "line": {"width": 0, "shape": "spline", "smoothing": 0.4},
            "hoverinfo": "skip",
            "showlegend": False,
            "type": "scatter",
        }
        data.append({**hidden, "y": [p.band_low for p in banded]})
        data.append(
            {
                **hidden,
                "y": [p.band_high for p in banded],
                "fill": "tonexty",
                "fillcolor": color["band"],
                "name": v.t("series.band"),
                "showlegend": True,
            }
        )
    if any(p.expected_negative is not None for p in points):
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": x,
                "y": [p.expected_negative for p in points],
                "name": v.t("series.expected"),
                "line": {"color": color["expected"], "width": 1.3, "dash": "dot"},
                "hovertemplate": "%{y:.1f}",
            }
        )
    data += _sealed_and_open(v, points, x, [p.negative for p in points], v.t("series.negatives"), color, "y")
    if not compact:
        shares, rolling = rolling_share(points)
        data += _sealed_and_open(v, points, x, shares, v.t("series.share"), color, "y2", suffix="%")
        data.append(
            {
                "type": "bar",
                "x": x,
                "y": [p.total for p in points],
                "yaxis": "y3",
                "name": v.t("series.volume"),
                "showlegend": False,
                "hovertemplate": "%{y:,}",
                "marker": {"color": [color["volume"] if p.sealed else color["volume_open"] for p in points]},
                "customdata": [p.start for p in points],
            }
        )
    shapes = [shade(when(a), when(b), color["alert"]) for a, b in alerts]
    shapes += [shade(when(p.start), when(p.end), color["outage"]) for p in points if p.outage]
    for before, after in pairwise(points):
        if before.models and after.models and max(after.models) != max(before.models):
            at = when(after.start)
            shapes.append(
                {
                    "type": "line",
                    "xref": "x",
                    "yref": "paper",
                    "x0": at,
                    "x1": at,
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": color["muted"], "width": 1, "dash": "dash"},
                }
            )
    layout = _layout(color, compact)
    layout["shapes"] = shapes
    if window:
        layout["xaxis"]["range"] = [when(window[0]), when(window[1])]
    if not compact:
        layout["annotations"] = [
            row_title(v.t("series.negatives"), 1.0, color),
            row_title(v.t("series.rolling", time=duration(v.lang, rolling)), 0.46, color),
            row_title(v.t("series.volume"), 0.18, color),
        ]
    return {"data": data, "layout": layout}


def rolling_share(points: Sequence[Point]) -> tuple[list[float | None], int]:
    """Negative share in percent over the hour that ends with each point (one point where they are wider), and that
    width in milliseconds. One text of one is no 100 %: under ``SHARE_TEXTS`` texts there is no share to show."""
    width = points[0].end - points[0].start if points else HOUR_MS
    over = max(width, HOUR_MS // width * width)
    out: list[float | None] = []
    first = 0
    for i, p in enumerate(points):
        while points[first].start <= p.start - over:
            first += 1
        scored = sum(q.total - q.unscored for q in points[first : i + 1])
        negative = sum(q.negative for q in points[first : i + 1])
        out.append(round(negative / scored * 100, 1) if scored >= SHARE_TEXTS else None)
    return out, over


def _sealed_and_open(
    v: View,
    points: Sequence[Point],
    x: list[str],
    y: Sequence[float | None],
    name: str,
    color: dict[str, str],
    axis: str,
    suffix: str = "",
) -> list[dict[str, Any]]:
    """One line for what is sealed; what is still open stands beside it as hollow points."""
    common = {
        "type": "scatter",
        "mode": "lines",
        "yaxis": axis,
        "connectgaps": False,
        "hovertemplate": "%{y:,}" + suffix,
        "customdata": [p.start for p in points],
    }
    sealed = [value if points[i].sealed else None for i, value in enumerate(y)]
    traces: list[dict[str, Any]] = [
        {
            **common,
            "x": x,
            "y": sealed,
            "name": name,
            "showlegend": axis == "y",
            "line": {"color": color["negative"], "width": 2.2 if axis == "y" else 1.6, "shape": "linear"},
        }
    ]
    opened = [None if p.sealed else value for p, value in zip(points, y, strict=True)]
    if any(value is not None for value in opened):
        # Apart from the line: a bucket that is still filling looks like a fall where it is joined to it.
        traces.append(
            {
                **common,
                "x": x,
                "y": opened,
                "name": v.t("series.open"),
                "mode": "markers",
                "showlegend": axis == "y",
                "marker": {"size": 8, "color": "rgba(0,0,0,0)", "line": {"color": color["faint"], "width": 2}},
            }
        )
    return traces


def shade(a: str, b: str, fill: str) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": a,
        "x1": b,
        "y0": 0,
        "y1": 1,
        "fillcolor": fill,
        "line": {"width": 0},
        "layer": "below",
    }


def row_title(text: str, y: float, color: dict[str, str]) -> dict[str, Any]:
    return {
        "text": text,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": y,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12, "color": color["muted"]},
        "yshift": 4,
    }


def _layout(color: dict[str, str], compact: bool) -> dict[str, Any]:
    axis = {
        "gridcolor": color["grid"],
        "zeroline": False,
        "rangemode": "tozero",
        "tickfont": {"color": color["muted"]},
        "fixedrange": True,
        "nticks": 5,
        "separatethousands": True,
        "automargin": True,
    }
    layout: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": color["ink"]},
        "margin": {"l": 40, "r": 8, "t": 30 if compact else 44, "b": 40},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": color["hover"], "bordercolor": color["line"], "font": {"color": color["ink"]}},
        "legend": {
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "y": 1.0,
            "yanchor": "bottom",
            "font": {"size": 11, "color": color["muted"]},
            "bgcolor": "rgba(0,0,0,0)",
        },
        "dragmode": "zoom",
        "bargap": 0.15,
        "uirevision": "stay",
        "xaxis": {
            "type": "date",
            "gridcolor": color["grid"],
            "zeroline": False,
            "tickfont": {"color": color["muted"]},
            "linecolor": color["line"],
            "hoverformat": "%m-%d %H:%M",
            "anchor": "y" if compact else "y3",
            "nticks": 8,
            # Figures only: month names would need a language file for each language.
            "tickformatstops": [
                {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
                {"dtickrange": [60_000, 43_200_000], "value": "%H:%M\n%m-%d"},
                {"dtickrange": [43_200_000, "M1"], "value": "%m-%d"},
                {"dtickrange": ["M1", None], "value": "%Y-%m"},
            ],
        },
        "yaxis": {**axis, "domain": [0, 1] if compact else [0.54, 1]},
    }
    if not compact:
        layout["yaxis2"] = {**axis, "domain": [0.25, 0.46], "ticksuffix": "%", "nticks": 3, "anchor": "x"}
        layout["yaxis3"] = {**axis, "domain": [0, 0.17], "nticks": 3, "anchor": "x"}
        layout["hoversubplots"] = "axis"
    return layout


def base_layout(color: dict[str, str]) -> dict[str, Any]:
    """The layout of three rows, the lowest for bars, with a legend below and an overlay for marks on the highest."""
    layout = _layout(color, False)
    layout["yaxis"]["domain"] = [0.55, 1]
    layout["yaxis2"]["domain"] = [0.29, 0.47]
    layout["yaxis3"]["domain"] = [0, 0.23]
    layout["yaxis4"] = {
        "domain": [0.55, 1],
        "overlaying": "y",
        "range": [0, 1],
        "visible": False,
        "fixedrange": True,
        "anchor": "x",
    }
    layout["margin"] = {"l": 40, "r": 8, "t": 26, "b": 64}
    layout["legend"] = {
        **layout["legend"],
        "x": 0,
        "xanchor": "left",
        "y": -0.1,
        "yanchor": "top",
        "traceorder": "normal",
    }
    layout["hoverdistance"] = 30
    return layout


def alert_mark(
    v: View, alerts: Sequence[tuple[int, int, int, str]], zone: ZoneInfo, color: dict[str, str]
) -> dict[str, Any]:
    """Triangles where alerts began; a click leads to the alert (``customdata`` is ``alert:ID``)."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [wall(a, zone) for _, a, _, _ in alerts],
        "y": [0.96] * len(alerts),
        "yaxis": "y4",
        "name": v.t("nav.alerts"),
        "customdata": [f"alert:{i}" for i, _, _, _ in alerts],
        "text": [text for *_, text in alerts],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "symbol": "triangle-down",
            "size": 13,
            "color": color["critical"],
            "line": {"width": 1, "color": color["hover"]},
        },
    }


def graph(id_: str, figure: dict[str, Any], height: int) -> dcc.Graph:
    """A chart without the tool bar, as high as asked."""
    config: Any = {
        "displayModeBar": False,
        "displaylogo": False,
        "responsive": True,
        "showTips": False,
        "doubleClick": "reset",
    }
    return dcc.Graph(id=id_, figure=figure, config=config, style={"height": f"{height}px"}, responsive=True)
