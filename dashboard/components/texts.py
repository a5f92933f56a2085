"""Texts as cards: who said it, when, how it was read. What the stream brings is only ever shown as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dash import html

from barometer.store.queries_documents import Text
from dashboard.components.parts import data, kind_name, or_code, safe_link, sentiment_pill, topic_links
from dashboard.context import View, context
from dashboard.format import clock, number


def text_card(v: View, text: Text, now: int, *, topics: bool = True, extra: Sequence[Any] = ()) -> Any:
    """One document of the store; ``extra`` stands under it."""
    marks: list[Any] = [sentiment_pill(v, text.sentiment, text.p_negative)]
    if text.copies > 1:
        marks.append(_copies(v, text.copies))
    if text.late:
        marks.append(html.Span(v.t("documents.late"), className="pill quiet", title=v.t("documents.late_hint")))
    if text.sentiment is None and text.unscored_reason:
        marks.append(html.Span(or_code(v, "unscored", text.unscored_reason), className="pill quiet"))
    found = sorted(text.topics, key=lambda name: -text.topics[name]) if topics else []
    return _card(
        v, text.key, text.title, text.text + ("…" if text.cut else ""), marks, text.kind, text.source,
        text.observed_at, now, text.url, topic_links(v, found), extra,
    )  # fmt: skip


def evidence_card(v: View, evidence: Mapping[str, Any], now: int) -> Any:
    """One of the copies that an alert keeps; every field but the text may be missing."""
    p = evidence.get("p_negative")
    marks: list[Any] = [sentiment_pill(v, 0, float(p) if p is not None else None)]
    copies = int(evidence.get("copies") or 1)
    if copies > 1:
        marks.append(_copies(v, copies))
    at = evidence.get("observed_at")
    return _card(
        v, str(evidence.get("row_id", "")), evidence.get("title"), str(evidence.get("text", "")), marks,
        int(evidence.get("kind") or 0), evidence.get("source"), int(at) if at is not None else None, now,
        evidence.get("url"), [],
    )  # fmt: skip


def _copies(v: View, n: int) -> Any:
    return html.Span(v.t("series.copies", n=number(v.lang, n)), className="pill copies")


def _card(v: View, key: str, title: str | None, text: str, marks: list[Any], kind: int, source: str | None,
          at: int | None, now: int, url: str | None, tags: Iterable[Any],
          extra: Sequence[Any] = ()) -> Any:  # fmt: skip
    link = safe_link(v, url)
    meta: list[Any] = [html.Span(clock(at, context().zone, now), className="num"), html.Span(kind_name(v, kind))]
    if source:
        meta.append(html.Span(source))
    if link:
        meta.append(link)
    return html.Article(
        [
            html.Div(
                [html.Div([*marks, *tags], className="marks"), html.Div(meta, className="meta")], className="text-head"
            ),
            html.Div(title, className="text-title") if title else None,
            html.P(text),
            html.Div(list(extra), className="meta text-foot") if extra else None,
        ],
        className="text-card",
        **data(row=key),
    )


def text_list(cards: list[Any]) -> Any:
    return html.Div(cards, className="texts")
