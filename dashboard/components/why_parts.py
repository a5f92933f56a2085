"""*Why* and *correct* under a text, and the dialog in which the answer stands: one for all texts of a page, so that a
list may refresh behind it."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from flask_login import current_user

from barometer.vocabulary import Sentiment
from dashboard.components.annotate_parts import sentiment_word
from dashboard.components.parts import aria, data, empty, sentiment_pill
from dashboard.context import View, view
from dashboard.format import number
from dashboard.services.document_query import cursor
from dashboard.services.why import NoExplanation, Why, why

STRONG = 0.05
"""Log-odds below which a part is not marked."""


def text_tools(v: View, observed_at: int | None, row_id: str) -> list[Any]:
    """Buttons for a document; nothing where the store has none."""
    if observed_at is None or not row_id.isdecimal():
        return []
    key = f"{observed_at}-{row_id}"
    tools: list[Any] = [
        html.Button(
            v.t("why.button"),
            type="button",
            className="why-link",
            title=v.t("why.title"),
            **aria(haspopup="dialog"),
            **data(why=key),
        )
    ]
    if current_user.may_act:
        tools.append(
            dcc.Link(
                v.t("annotate.correct"),
                href=f"/annotate?doc={key}",
                title=v.t("annotate.correct_label"),
                className="correct-link",
            )
        )
    return tools


def dialog(v: View) -> Any:
    """The dialog of the frame; ``assets/why.js`` opens it."""
    return html.Div(
        [
            dcc.Store(id="why-asked"),
            dmc.Modal(
                html.Div(id="why-body", **aria(live="polite")),
                id="why-modal",
                title=v.t("why.title"),
                opened=False,
                size="lg",
                centered=True,
                classNames={"body": "dialog", "content": "dialog-box", "header": "dialog-head"},
                closeButtonProps=aria(label=v.t("act.close")),
            ),
        ]
    )


def register(app: Dash) -> None:
    app.clientside_callback(
        ClientsideFunction("barometer_why", "open"),
        Output("why-modal", "opened"),
        Input("why-asked", "data"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("why-body", "children"),
        Output("why-modal", "title"),
        Input("why-asked", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def answer(asked: dict[str, Any] | None, ui: dict[str, Any]) -> Any:
        v = view(ui)
        return body(v, str((asked or {}).get("key") or "")), v.t("why.title")


def body(v: View, asked: str) -> Any:
    key = cursor(asked)
    try:
        if key is None:
            raise NoExplanation("gone")
        found = why(key)
    except NoExplanation as e:
        if e.code in ("busy", "unscored"):
            return empty(v.t(f"why.{e.code}"), None, "lost")
        return empty(v.t("why.off", why=v.t(f"why.{e.code}")), e.detail or None, "lost")
    return html.Div(_explained(v, found), **data(explained=asked))


def _explained(v: View, found: Why) -> list[Any]:
    label = sentiment_word(v, found.sentiment)
    named = Sentiment(found.sentiment)
    marks = [sentiment_pill(v, s, found.probabilities[s]) for s in (0, 1, 2)]
    notes: list[Any] = []
    if found.said_by != found.model:
        notes.append(html.P(v.t("why.other_model", now=found.model, then=found.said_by or "–"), className="note"))
    if found.said is not None and found.said != found.sentiment:
        words = v.t("why.other_answer", now=label, then=sentiment_word(v, found.said))
        notes.append(html.P(words, className="warn"))
    unread = sum(len(p.text) for p in found.parts if p.effect is None)
    if unread:
        notes.append(html.P(v.t("why.beyond", n=number(v.lang, unread)), className="note"))
    return [
        html.Div(marks, className="marks"),
        html.P(v.t("why.words", label=label), className="note"),
        html.P([_part(p.text, p.effect) for p in found.parts], className=f"why-text why-of-{named.name.lower()}"),
        *notes,
        html.P(html.Small(found.model, className="muted")),
    ]


def _part(text: str, effect: float | None) -> Any:
    if effect is None:
        return html.Span(text, className="why-part why-unread")
    if abs(effect) < STRONG:
        return html.Span(text, className="why-part")
    sign = "+" if effect > 0 else "−"
    return html.Span(
        [text, html.Small(f"{sign}{abs(effect):.1f}")],
        className="why-part " + ("why-for" if effect > 0 else "why-against"),
    )
