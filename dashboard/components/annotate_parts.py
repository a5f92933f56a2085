"""Parts of the Annotate page: the text in front of somebody, what they choose, what they said before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from barometer.readable import around, readable
from barometer.vocabulary import SENTIMENTS, Sentiment
from dashboard.components.parts import aria, data, empty, kind_name, language_name, safe_link, section, sentiment_pill
from dashboard.context import View, context
from dashboard.format import clock
from dashboard.i18n.texts import series_name
from dashboard.services.labelling import TOPIC_KEYS, Labelling

_SHORT = 60


def sentiment_word(v: View, sentiment: int | None) -> str:
    return v.t("sentiment.unscored" if sentiment is None else f"sentiment.{Sentiment(sentiment).label}")


def said_words(v: View, row: Any) -> str:
    """A label in a few words: 负面 · 房地产、债券."""
    if row.action != "label":
        return v.t(f"annotate.said_{row.action}")
    parts = [sentiment_word(v, row.sentiment)]
    if row.topics is not None:
        names = [series_name(v.lang, f"topic:{t}") for t in row.topics] or [v.t("annotate.no_topic")]
        parts.append(("、" if v.lang == "zh" else ", ").join(names))
    return " · ".join(parts)


def text_part(v: View, found: Labelling, now: int) -> Any:
    """The text as people read it; with the model's answer and earlier labels only where it is not hidden."""
    x = found.text
    meta: list[Any] = [
        html.Span(clock(x.observed_at, context().zone, now), className="num"),
        html.Span(kind_name(v, x.kind)),
        html.Span(language_name(v, x.lang or "")),
    ]
    if x.source:
        meta.append(html.Span(x.source))
    if (link := safe_link(v, x.url)) is not None:
        meta.append(link)
    return html.Div(
        [
            html.Div(meta, className="meta"),
            html.Div(readable(x.title), className="text-title") if x.title else None,
            html.P(readable(x.text), className="annotate-text", lang="zh-CN" if x.lang == "zh" else x.lang),
            None if found.open else _answer(v, found),
        ],
        **data(text=str(x.id)),
    )


def _answer(v: View, found: Labelling) -> Any:
    x = found.text
    probability = None if x.sentiment is None else (x.p_negative, x.p_neutral, x.p_positive)[x.sentiment]
    marks: list[Any] = [sentiment_pill(v, x.sentiment)]
    if probability is not None:
        marks.append(html.Span(f"{probability:.2f}", className="num muted"))
    marks += [
        html.Span(series_name(v.lang, f"topic:{t}"), className="tag")
        for t in sorted(x.topics, key=x.topics.__getitem__)
    ]
    if found.model:
        marks.append(html.Small(found.model, className="muted"))
    parts: list[Any] = [html.H2(v.t("annotate.model_said")), html.Div(marks, className="marks")]
    if found.said:
        parts += [
            html.H2(v.t("annotate.said_before")),
            html.Ul(
                [
                    html.Li(
                        [
                            html.Strong(r.user),
                            " ",
                            said_words(v, r),
                            " ",
                            html.Small(
                                f"{clock(r.created_at, context().zone, r.created_at)} · "
                                f"{v.t(f'annotate.origin_{r.origin}')} · "
                                + v.t("annotate.blind" if r.blind else "annotate.not_blind"),
                                className="muted num",
                            ),
                            html.P(r.comment, className="comment") if r.comment else None,
                        ]
                    )
                    for r in found.said
                ],
                className="said-list",
            ),
        ]
    return html.Div(parts, className="annotate-answer")


def choices(v: View, topics: Sequence[str], *, correcting: bool) -> Any:
    """What there is to choose: buttons that say their keys. Which are chosen is painted by ``assets/annotate.js``."""
    feelings = [
        _choice(str(i + 1), v.t(f"sentiment.{name}"), f"choice sentiment-{name}", sentiment=str(i))
        for i, name in enumerate(SENTIMENTS)
    ]
    tags = [
        _choice(key.upper(), series_name(v.lang, f"topic:{t}"), "choice topic-choice", topic=t)
        for key, t in zip(TOPIC_KEYS, topics, strict=False)
    ]
    tags.append(_choice("0", v.t("annotate.no_topic"), "choice topic-choice", topic=""))
    return html.Div(
        [
            html.H2(v.t("annotate.sentiment")),
            html.Div(feelings, className="feelings", role="group", **aria(label=v.t("annotate.sentiment"))),
            html.H2([v.t("annotate.topics"), html.Small(v.t("annotate.topics_hint"), className="muted")]),
            html.Div(tags, className="topics", role="group", **aria(label=v.t("annotate.topics"))),
            dmc.Textarea(
                id="annotate-comment",
                label=v.t("annotate.comment"),
                placeholder=v.t("annotate.comment_hint"),
                autosize=True,
                minRows=1,
                maxRows=4,
                value="",
            ),
            html.Div(
                [
                    html.Button(
                        [v.t("annotate.save_one" if correcting else "annotate.save"), html.Kbd("↵")],
                        type="button",
                        className="button primary",
                        **data(act="save"),
                    ),
                    html.Button(
                        [v.t("annotate.skip"), html.Kbd("S")], type="button", className="button", **data(act="skip")
                    ),
                    None
                    if correcting
                    else html.Button(
                        [v.t("annotate.undo"), html.Kbd("Z")], type="button", className="button", **data(act="undo")
                    ),
                    html.Button(v.t("annotate.back"), type="button", className="button", **data(act="back"))
                    if correcting
                    else None,
                ],
                className="annotate-acts",
            ),
            html.P(v.t("annotate.keys"), className="note keys-note"),
        ],
        className="annotate-form",
    )


def _choice(key: str, label: str, class_name: str, **value: str) -> Any:
    return html.Button(
        [html.Kbd(key), html.Span(label)],
        type="button",
        className=class_name,
        **aria(pressed="false", keyshortcuts=key),
        **data(**value),
    )


def recent_part(v: View, rows: Sequence[tuple[Any, Any]], today: int, now: int) -> Any:
    """What this user said last. The model's answer to the very last one stays hidden: it may still be taken back."""
    title, aside = v.t("annotate.recent"), v.t("annotate.today", n=today)
    if not rows:
        return section(title, empty(v.t("annotate.recent_none")), aside)
    items = []
    for i, (said, x) in enumerate(rows):
        shown = i > 0 or not said.blind
        answer: Any = html.Small(v.t("annotate.model_hidden"), className="muted")
        if shown and said.action == "label":
            same = said.sentiment == x.sentiment
            answer = html.Small(
                [
                    html.Span("= " if same else "≠ ", **aria(hidden="true")),
                    f"{v.t('annotate.agree' if same else 'annotate.differ')}: {sentiment_word(v, x.sentiment)}",
                ],
                className="muted" if same else "warn",
            )
        elif shown:
            answer = html.Small(sentiment_word(v, x.sentiment), className="muted")
        line = around(readable(x.title or x.text), (), _SHORT)
        items.append(
            html.Li(
                [
                    html.Div([html.Strong(said_words(v, said)), answer], className="recent-head"),
                    html.Div(line, className="recent-text"),
                    html.Div(
                        [
                            html.Small(clock(said.created_at, context().zone, now), className="num muted"),
                            html.Small(v.t(f"annotate.origin_{said.origin}"), className="muted"),
                            dcc.Link(v.t("annotate.revise"), href=f"/annotate?text={x.id}", className="small")
                            if shown
                            else None,
                        ],
                        className="meta",
                    ),
                ],
                **data(said=str(x.id)),
            )
        )
    return section(title, html.Ul(items, className="recent-list"), aside)
