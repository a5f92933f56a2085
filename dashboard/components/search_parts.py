"""What stands beside the texts that a search found: how many, when, what they say, who sent them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import dcc, html

from barometer.vocabulary import Sentiment
from dashboard.components.parts import aria, href
from dashboard.context import View, context
from dashboard.format import exact, percent, period
from dashboard.services.search_summary import Summary

PATH = "/documents"
SOURCES = 8
Query = Mapping[str, str | None]


def summary_part(v: View, query: Query, s: Summary, now: int) -> Any:
    """The panel; labels and sources narrow the search."""
    if not s.count:
        return None
    count = exact(s.count) + ("+" if s.more else "")
    parts = [
        html.H2(v.t("found.count", n=count)),
        html.P(v.t("found.newest", n=exact(s.count)), className="note") if s.more else None,
        _trend(v, s, now),
        html.H3(v.t("sentiment.label")),
        _sentiments(v, query, s),
        html.H3(v.t("found.sources")),
        _sources(v, query, s),
    ]
    return html.Section(parts, className="card found", **aria(label=v.t("found.title")))


def _trend(v: View, s: Summary, now: int) -> Any:
    """A picture: its bars are too narrow to be pressed, and forty stops on the way of who uses the keyboard."""
    most, zone = max(b.count for b in s.bars), context().zone
    bars = [
        html.Span(
            html.Span(style={"height": f"{100 * b.count / most:.0f}%"}, className="found-bar" if b.count else ""),
            title=v.t("found.bar", **period(b.begin, b.end, zone, now), n=exact(b.count)),
            className="found-step",
        )
        for b in s.bars
    ]
    ends = period(s.bars[0].begin, s.bars[-1].end, zone, now)
    busiest = max(s.bars, key=lambda b: b.count)
    said = v.t("found.trend", **period(busiest.begin, busiest.end, zone, now), n=exact(busiest.count))
    return html.Div(
        [
            html.Div(bars, className="found-trend", role="img", **aria(label=said)),
            html.Div([html.Span(ends["from_"]), html.Span(ends["to"])], className="found-ends num"),
        ]
    )


def _sentiments(v: View, query: Query, s: Summary) -> Any:
    rows = []
    for code in (Sentiment.NEGATIVE, Sentiment.NEUTRAL, Sentiment.POSITIVE, None):
        name = "unscored" if code is None else code.label
        n = s.found.sentiments.get(None if code is None else int(code), 0)
        if n:
            link = href(PATH, {**query, "sentiment": name, "before": None})
            rows.append(_row(v.t(f"sentiment.{name}"), link, n, s.count, f"bar-{name}"))
    return html.Div(rows, className="bars")


def _sources(v: View, query: Query, s: Summary) -> Any:
    rows, shown = [], 0
    for name, n in s.found.sources.most_common(SOURCES):
        shown += n
        link = None if name is None else href(PATH, {**query, "source": name, "before": None})
        rows.append(_row(v.t("found.no_source") if name is None else name, link, n, s.count, "bar-source"))
    rest = sum(s.found.sources.values()) - shown
    if rest:
        others = len(s.found.sources) - SOURCES
        rows.append(_row(v.t("found.others", n=others), None, rest, s.count, "bar-expected"))
    return html.Div(rows, className="bars")


def _row(label: str, link: str | None, n: int, of: int, tone: str) -> Any:
    name = html.Span(label, className="bar-label", title=label)
    return html.Div(
        [
            dcc.Link(name, href=link, className="bar-label") if link else name,
            html.Div(html.I(style={"width": f"{100 * n / of:.1f}%"}), className=f"bar {tone}"),
            html.Span(exact(n), className="num", title=percent(n / of)),
        ],
        className="bar-row",
    )
