"""Small parts: pills, chips, figures, tables, empty states. All text is passed as children, which React escapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from dash import dcc, html

from barometer.vocabulary import Kind, Sentiment
from dashboard.context import View
from dashboard.i18n.texts import code_text, has, series_name

Component = Any


def aria(**names: Any) -> Any:
    """Attributes for screen readers: ``aria(label=...)`` is aria-label."""
    return {f"aria-{name}": value for name, value in names.items()}


def data(**names: Any) -> Any:
    """Attributes for style sheet and tests."""
    return {f"data-{name}": value for name, value in names.items()}


def icon(name: str) -> Component:
    """A picture of the style sheet; says nothing to a screen reader."""
    return html.Span(className=f"icon icon-{name}", **aria(hidden="true"))


def severity_pill(v: View, severity: str) -> Component:
    return html.Span([html.Span(className="dot"), v.t(f"severity.{severity}")], className=f"pill severity-{severity}")


def state_pill(v: View, state: str) -> Component:
    return html.Span(v.t(f"state.{state}"), className=f"pill state-{state}")


def sentiment_pill(
    v: View, sentiment: int | None, confidence: float | None = None, title: str | None = None
) -> Component:
    """A label with its probability; ``title`` says more to who points at it."""
    if sentiment is None:
        return html.Span(v.t("sentiment.unscored"), className="pill sentiment-unscored")
    name = Sentiment(sentiment).label
    label: list[Any] = [v.t(f"sentiment.{name}")]
    if confidence is not None:
        label.append(html.Span(f"{confidence:.2f}", className="num pill-figure"))
    return html.Span(label, className=f"pill sentiment-{name}", title=title)


def kind_name(v: View, kind: int) -> str:
    return v.t(f"kind.{Kind(kind).label}") if kind in set(Kind) else str(kind)


def language_name(v: View, code: str) -> str:
    return v.t(f"overview.lang_{code}") if has(f"overview.lang_{code}") else code


def or_code(v: View, prefix: str, code: str | None) -> str:
    """The text for a code of the store; the code itself where we have none."""
    return code_text(v.lang, prefix, code)


def href(path: str, query: Mapping[str, str | None]) -> str:
    kept = {k: x for k, x in query.items() if x}
    return path + ("?" + urlencode(kept) if kept else "")


def series_href(name: str, **query: str | None) -> str:
    return href(f"/series/{quote(name, safe=':')}", query)


def chips(
    label: str, options: Iterable[tuple[str, str]], chosen: str, path: str, query: Mapping[str, str | None], name: str
) -> Component:
    """A choice as links, so that the address line says what is shown and a new tab works."""
    links = [
        dcc.Link(text, href=href(path, {**query, name: value}), className="chip on" if value == chosen else "chip")
        for value, text in options
    ]
    return html.Nav(links, className="chips", **aria(label=label))


def kpi(label: str, value: str, note: Any = None, tone: str = "") -> Component:
    return html.Div(
        [
            html.Div(label, className="kpi-label"),
            html.Div(value, className="kpi-value num"),
            html.Div(note or "\u00a0", className="kpi-note"),
        ],
        className=f"kpi {tone}",
    )


def section(title: Any, body: Any, aside: Any = None, class_name: str = "") -> Component:
    return html.Section(
        [html.Div([html.H2(title), html.Div(aside, className="aside")], className="section-head"), body],
        className=f"card {class_name}",
    )


def empty(title: str, hint: str | None = None, name: str = "calm") -> Component:
    return html.Div(
        [
            icon(name),
            html.Div(title, className="empty-title"),
            html.Div(hint, className="empty-hint") if hint else None,
        ],
        className="empty",
    )


def table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]], scrolled: str = "") -> Component:
    """A plain table; heads are (text, class of the column). On narrow screens rows become cards with these labels.

    Args:
        scrolled: the name of a table that is too wide for its place, which can then be scrolled from the keyboard.
    """
    box: dict[str, Any] = {"tabIndex": 0, "role": "region", **aria(label=scrolled)} if scrolled else {}
    return html.Div(
        html.Table(
            [
                html.Thead(html.Tr([html.Th(text, className=c, scope="col") for text, c in heads])),
                html.Tbody(
                    [
                        html.Tr(
                            [
                                html.Td(html.Div(x), className=heads[i][1], **data(label=heads[i][0]))
                                for i, x in enumerate(row)
                            ]
                        )
                        for row in rows
                    ]
                ),
            ]
        ),
        className="table-scroll",
        **box,
    )


def facts(pairs: Iterable[tuple[str, Any]]) -> Component:
    items: list[Component] = []
    for label, value in pairs:
        items.append(html.Div([html.Dt(label), html.Dd(value)], className="fact"))
    return html.Dl(items, className="facts")


def safe_link(v: View, url: str | None) -> Component | None:
    """A link to a source, only where it is http or https: a text's url comes from the stream."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    return html.A(
        [parts.netloc[:60], " ↗"],
        href=url,
        target="_blank",
        rel="noopener noreferrer nofollow",
        title=v.t("documents.open_source"),
    )


def topic_links(v: View, names: Iterable[str], sure: Mapping[str, float] | None = None) -> list[Component]:
    """Topics as links to their series, with how sure the model is of each."""
    return [
        dcc.Link(
            [
                series_name(v.lang, f"topic:{t}"),
                html.Span(f" {sure[t]:.2f}", className="num pill-figure") if sure and t in sure else None,
            ],
            href=series_href(f"topic:{t}"),
            className="tag",
        )
        for t in names
    ]
