"""Texts as cards: who said it, when, how it was read. What the stream brings is only ever shown as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dash
from dash import MATCH, Input, Output, State, dcc, html, no_update
from flask_login import current_user

from barometer.readable import readable
from barometer.records import Flag
from barometer.store.documents.listing import Text, texts_of
from barometer.store.labels.rows import LabelRow
from barometer.store.search.terms import CJK, Question, SearchError, question
from barometer.vocabulary import Sentiment
from dashboard.components.marked import excerpt, marked, spots
from dashboard.components.parts import (
    data,
    href,
    kind_name,
    safe_link,
    sentiment_pill,
    topic_links,
)
from dashboard.components.why_parts import text_tools
from dashboard.context import View, context, view
from dashboard.format import clock, number
from dashboard.i18n.texts import why_unscored

REACH = ("reads", "likes", "reposts", "replies", "followers")
_BEGINNING = re.compile(rf".{{0,24}}[^\W_{CJK}]*", re.DOTALL)
"""Of a text, by whose phrase its copies are searched; a word is not cut."""


def text_card(
    v: View,
    text: Text,
    now: int,
    *,
    topics: bool = True,
    extra: Sequence[Any] = (),
    asked: Question | None = None,
    words: str = "",
    people: Sequence[LabelRow] = (),
) -> Any:
    """One document of the store; ``extra`` stands under it.

    Args:
        people: what people say of it (their labels).
        asked: what was searched for, to be marked.
        words: the same as it was typed.
    """
    marks: list[Any] = [
        sentiment_pill(v, text.sentiment, text.confidence, _probabilities(v, text)),
        *said_by_people(v, people),
    ]
    if text.copies > 1 and not topics:
        marks.append(_copies(v, text.copies))
    if text.late:
        marks.append(html.Span(v.t("documents.late"), className="pill quiet", title=v.t("documents.late_hint")))
    if text.sentiment is None and text.unscored_reason:
        marks.append(html.Span(why_unscored(v.lang, text.unscored_reason), className="pill quiet"))
    marks += [
        html.Span(v.t(f"flag.{f.name.lower()}"), className="pill quiet") for f in Flag if f & text.flags and f.name
    ]
    found = sorted(text.topics, key=lambda name: -text.topics[name]) if topics else []
    shown, head = readable(text.text), readable(text.title) if text.title else None
    where = spots(shown, asked)
    begin, end = excerpt(shown, where)
    inside = [(max(a, begin) - begin, min(b, end) - begin) for a, b in where if b > begin and a < end]
    body: list[Any] = ["…" if begin else None, *marked(shown[begin:end], inside)]
    cut = text.cut or begin > 0 or end < len(shown)
    title = marked(head, spots(head, asked)) if head else None
    return _card(
        v,
        text.key,
        title,
        [*body, "…" if text.cut or end < len(shown) else None],
        marks,
        text.kind,
        text.source,
        text.observed_at,
        now,
        text.url,
        topic_links(v, found, text.topics),
        [*extra, *text_tools(v, text.observed_at, text.key)],
        whole=_whole(v, text, words) if cut else None,
    )


def evidence_card(v: View, evidence: Mapping[str, Any], now: int, people: Sequence[LabelRow] = ()) -> Any:
    """One of the copies that an alert keeps; every field but the text may be missing."""
    p = evidence.get("p_negative")
    marks: list[Any] = [sentiment_pill(v, 0, float(p) if p is not None else None), *said_by_people(v, people)]
    copies = int(evidence.get("copies") or 1)
    if copies > 1:
        marks.append(_copies(v, copies))
    at = evidence.get("observed_at")
    return _card(
        v,
        str(evidence.get("row_id", "")),
        evidence.get("title"),
        readable(str(evidence.get("text", ""))),
        marks,
        int(evidence.get("kind") or 0),
        evidence.get("source"),
        int(at) if at is not None else None,
        now,
        evidence.get("url"),
        [],
        text_tools(v, int(at) if at is not None else None, str(evidence.get("row_id", ""))),
    )


def said_by_people(v: View, people: Sequence[LabelRow]) -> list[Any]:
    """A mark for each sentiment that people gave, beside what the model says; who they are is under the pointer."""
    by_sentiment: dict[int, list[str]] = {}
    for r in people:
        if r.sentiment is not None:
            by_sentiment.setdefault(r.sentiment, []).append(r.user)
    return [
        html.Span(
            v.t("annotate.person", what=v.t(f"sentiment.{Sentiment(sentiment).label}")),
            className=f"pill people sentiment-{Sentiment(sentiment).label}",
            title=", ".join(dict.fromkeys(users)),
        )
        for sentiment, users in sorted(by_sentiment.items())
    ]


def document_facts(v: View, text: Text, now: int) -> list[Any]:
    """What is known beside the text itself: copies and who was first, reach, when it was published, which model."""
    zone = context().zone
    said: list[Any] = []
    if text.copies > 1:
        many = text.copies >= MANY_COPIES
        words = v.t("documents.copies_many" if many else "documents.copies", n=number(v.lang, text.copies))
        copies = href("/documents", {"q": copies_phrase(text.text), "copies": "all"})
        said.append(dcc.Link(words, href=copies, title=v.t("documents.show_copies")))
        said.append(_first(v, text, now))
    reach = reach_words(v, text.engagement)
    if reach:
        said.append(html.Span(reach, className="num"))
    if text.symbols:
        said.append(html.Span("、".join(text.symbols[:6]) if v.lang == "zh" else ", ".join(text.symbols[:6])))
    if text.published_at is not None and abs(text.published_at - text.observed_at) > PUBLISHED_APART_MS:
        time = clock(text.published_at, zone, now)
        said.append(html.Span(v.t("documents.published", time=time), className="num"))
    if text.model:
        said.append(html.Span(v.t("documents.model", name=text.model), title=_probabilities(v, text)))
    return said


MANY_COPIES = 1_000
"""Copies are counted to here (:data:`barometer.store.documents.copies.MOST_COPIES`)."""
PUBLISHED_APART_MS = 5 * 60_000
"""A publication time nearer than this to when it was seen says nothing new."""


def copies_phrase(text: str) -> str:
    """A search that finds the copies of a text: its beginning as a phrase."""
    beginning = _BEGINNING.match(text)
    return '"' + " ".join((beginning[0] if beginning else "").replace('"', " ").split()) + '"'


def reach_words(v: View, counts: Mapping[str, Any]) -> str:
    """How far it went: 阅读 1.2万 · 点赞 88."""
    parts = [
        v.t(f"reach.{name}", n=number(v.lang, counts[name]))
        for name in REACH
        if isinstance(counts.get(name), int) and counts[name] > 0
    ]
    return " · ".join(parts)


def register(app: dash.Dash) -> None:
    """The button that shows all of a long text."""
    here = {"type": "whole", "row": MATCH, "at": MATCH, "q": MATCH}

    @app.callback(
        Output({**here, "type": "body"}, "children"),
        Output(here, "hidden"),
        Input(here, "n_clicks"),
        State(here, "id"),
        prevent_initial_call=True,
    )
    def show(clicks: int | None, id_: dict[str, str]) -> Any:
        if not clicks or not current_user.is_authenticated:
            return no_update, no_update
        with context().store.read() as c:
            found = texts_of(c, [(int(id_["at"]), int(id_["row"]))], whole=True)
        if not found:
            return html.Span(view().t("documents.gone"), className="bad"), True
        text = readable(found[0].text)
        return marked(text, spots(text, asked_of(id_["q"]))), True


def asked_of(words: str) -> Question | None:
    """What was typed, if it can be asked."""
    try:
        return question(words) if words.strip() else None
    except SearchError:
        return None


def _whole(v: View, text: Text, words: str) -> tuple[dict[str, str], Any]:
    id_ = {"row": text.key, "at": str(text.observed_at), "q": words}
    button = html.Button(v.t("documents.whole"), id={"type": "whole", **id_}, type="button", className="link-button")
    return {"type": "body", **id_}, button


def _first(v: View, text: Text, now: int) -> Any:
    if text.first_at is None:
        return None
    if text.first_at == text.observed_at:
        return html.Span(v.t("documents.is_first"), className="pill first")
    time = clock(text.first_at, context().zone, now)
    words = (
        v.t("documents.first", source=text.first_source, time=time)
        if text.first_source
        else v.t("documents.first_unknown", time=time)
    )
    return html.Span(words, className="num")


def _probabilities(v: View, text: Text) -> str | None:
    ps = (text.p_negative, text.p_neutral, text.p_positive)
    if text.sentiment is None or None in ps:
        return None
    named = dict(zip(("negative", "neutral", "positive"), (f"{p:.2f}" for p in ps if p is not None), strict=True))
    return v.t("documents.confidence_title", model=text.model or "–", **named)


def _copies(v: View, n: int) -> Any:
    return html.Span(v.t("series.copies", n=number(v.lang, n)), className="pill copies")


def _card(
    v: View,
    key: str,
    title: Any,
    text: Any,
    marks: list[Any],
    kind: int,
    source: str | None,
    at: int | None,
    now: int,
    url: str | None,
    tags: Iterable[Any],
    extra: Sequence[Any] = (),
    whole: tuple[dict[str, str], Any] | None = None,
) -> Any:
    link = safe_link(v, url)
    meta: list[Any] = [html.Span(clock(at, context().zone, now), className="num"), html.Span(kind_name(v, kind))]
    if source:
        meta.append(html.Span(source, className="source"))
    if link:
        meta.append(link)
    body = html.P(text, id=whole[0]) if whole else html.P(text)
    return html.Article(
        [
            html.Div(
                [html.Div([*marks, *tags], className="marks"), html.Div(meta, className="meta")], className="text-head"
            ),
            html.Div(title, className="text-title") if title else None,
            body,
            whole[1] if whole else None,
            html.Div(list(extra), className="meta text-foot") if extra else None,
        ],
        className="text-card",
        **data(row=key),
    )


def text_list(cards: list[Any]) -> Any:
    return html.Div(cards, className="texts")
