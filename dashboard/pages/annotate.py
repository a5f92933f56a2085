"""Labelling texts: one at a time, by keyboard, blind where it measures; and what the labels say about the model."""

from __future__ import annotations

from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html, no_update
from flask_login import current_user

from barometer.errors import BarometerError
from barometer.store.labels.annotations import labelled_since, recent_labels
from barometer.store.labels.sampling import ALL
from barometer.store.series.totals import list_series
from dashboard.components.annotate_parts import choices, recent_part, said_words, text_part
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, chips, data, empty, href, section
from dashboard.components.trust_parts import agreement_words, audit_table
from dashboard.context import DAY, View, context, view
from dashboard.i18n.texts import series_name
from dashboard.navigation import Screen, add
from dashboard.services.acts import Refused
from dashboard.services.document_query import cursor
from dashboard.services.labelling import (
    AUDIT_SECONDS,
    QUEUES,
    Labelling,
    audit_figures,
    label,
    look_at,
    next_of,
    take_back,
    topics_here,
)

SCREEN = add(Screen("annotate", "/annotate", order=50, key="l"))

PATH = "/annotate"
RECENT = 12
NOTHING: dict[str, Any] = {"sentiment": None, "topics": None}


def layout(ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    if not current_user.is_authenticated:
        return html.Div()
    queue = query.get("queue") if query.get("queue") in QUEUES else "random"
    series = query.get("series") or ALL
    one = {name: query.get(name) for name in ("text", "doc")}
    correcting = any(one.values())
    with context().store.read() as c:
        names = [s.name for s in list_series(c) if s.name.startswith("topic:")]
        topics = topics_here(c)
    series = series if series in names else ALL
    parts: list[Any] = [_head(v, str(queue), series, names, correcting)]
    if not current_user.may_act:
        parts.append(html.Div(v.t("annotate.role"), className="card note"))
    else:
        found = _first(str(queue), series, one)
        parts.append(_work(v, found, topics, correcting, {"queue": queue, "series": series, **one}))
    parts.append(live("annotate-figures", _figures(v, 1.0)))
    return html.Div(parts)


def register(app: dash.Dash) -> None:
    register_live(app, "annotate-figures")

    @app.callback(
        target("annotate-figures"),
        Input("tick", "n_intervals"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, ui: dict[str, Any]) -> Any:
        return fresh("annotate-figures", _figures(view(ui)))

    @app.callback(
        Output("annotate-card", "children"),
        Output("annotate-text", "data"),
        Output("annotate-choice", "data"),
        Output("annotate-comment", "value"),
        Output("annotate-done", "children"),
        Output("annotate-recent", "children"),
        Input("annotate-act", "data"),
        State("annotate-text", "data"),
        State("annotate-comment", "value"),
        State("annotate-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def act(
        given: dict[str, Any] | None,
        text_id: int | None,
        comment: str | None,
        query: dict[str, Any],
        ui: dict[str, Any],
    ) -> Any:
        v = view(ui)
        try:
            found, done = _act(v, given or {}, text_id, comment, query)
        except BarometerError as e:
            why = e.text(v.lang) if isinstance(e, Refused) else str(e)
            error = html.Span(v.t("annotate.failed", why=why), className="bad")
            return (no_update, no_update, no_update, no_update, error, no_update)
        return (_card(v, found, query), _id(found), _chosen(found), _comment(found), done, _recent(v))

    app.clientside_callback(
        ClientsideFunction("barometer_annotate", "paint"),
        Output("annotate-painted", "data"),  # without an output it would not be called when the page comes up
        Input("annotate-choice", "data"),
        Input("annotate-text", "data"),
        Input("annotate-done", "children"),
    )

    @app.callback(
        Output("_pages_location", "search", allow_duplicate=True),
        Input("annotate-series", "value"),
        State("annotate-query", "data"),
        prevent_initial_call=True,
    )
    def choose_series(name: str | None, query: dict[str, Any]) -> Any:
        if (name or ALL) == query["series"]:
            return no_update
        return href("", {"queue": query["queue"], "series": None if name == ALL else name}) or "?"


def _act(
    v: View, given: dict[str, Any], text_id: int | None, comment: str | None, query: dict[str, Any]
) -> tuple[Labelling | None, Any]:
    """Do what was asked; returns the text that is in front of the user then, and what is said of it."""
    what = given.get("act")
    if what == "undo":
        found = take_back()
        key = "annotate.nothing_back" if found is None else "annotate.taken_back"
        return found or _first(query["queue"], query["series"], query), html.Span(v.t(key), className="warn")
    if what not in ("save", "skip") or text_id is None:
        return _first(query["queue"], query["series"], query), None
    sentiment, topics = given.get("sentiment"), given.get("topics")
    if what == "skip":
        label(text_id, None, None, comment, skip=True)
        done: Any = html.Span("✓ " + v.t("annotate.skipped"), className="good")
    else:
        chosen = [str(x) for x in topics] if isinstance(topics, list) else None
        label(text_id, sentiment, chosen, comment)
        with context().store.read() as c:
            last = recent_labels(c, current_user.user.id, 1)[0][0]
        done = html.Span("✓ " + v.t("annotate.saved", what=said_words(v, last)), className="good")
    if query.get("text") or query.get("doc"):
        return look_at(text_id), done
    return next_of(query["queue"], query["series"]), done


def _first(queue: str, series: str, one: dict[str, Any]) -> Labelling | None:
    text, doc = one.get("text"), cursor(one.get("doc"))
    try:
        if text:
            return look_at(int(text)) if str(text).isdecimal() and len(str(text)) < 16 else None
        if one.get("doc"):
            return look_at(document=doc) if doc else None
    except BarometerError:
        return None
    return next_of(queue, series)


def _head(v: View, queue: str, series: str, names: list[str], correcting: bool) -> Any:
    kept = {"series": None if series == ALL else series}
    hint = v.t("annotate.correct_hint" if correcting else f"annotate.{queue}_hint")
    options = [{"value": ALL, "label": v.t("annotate.series_all")}]
    options += [{"value": n, "label": series_name(v.lang, n)} for n in names]
    exports = [
        html.A(form, href=f"/export/annotations.{form.lower()}", className="chip", download="")
        for form in ("CSV", "JSONL")
    ]
    boxes: list[Any] = []
    if current_user.may_act:
        boxes = [
            chips(
                v.t("annotate.queue"),
                [(q, v.t(f"annotate.{q}")) for q in QUEUES],
                "" if correcting else queue,
                PATH,
                kept,
                "queue",
            ),
            dmc.Select(
                id="annotate-series",
                value=series,
                data=options,
                searchable=True,
                w=200,
                size="sm",
                allowDeselect=False,
                **aria(label=v.t("annotate.series")),
            ),
            html.Nav(
                [html.Span(v.t("annotate.export"), className="chip-label"), *exports],
                className="chips",
                **aria(label=v.t("annotate.export")),
            ),
        ]
    return html.Div(
        [
            html.Div([html.H1(v.t("annotate.title")), html.P(hint, className="note")], className="annotate-head"),
            html.Div(boxes, className="filters"),
        ],
        className="page-head",
    )


def _work(v: View, found: Labelling | None, topics: list[str], correcting: bool, query: dict[str, Any]) -> Any:
    return html.Div(
        [
            dcc.Store(id="annotate-query", data=query),
            dcc.Store(id="annotate-text", data=_id(found)),
            dcc.Store(id="annotate-choice", data=_chosen(found)),
            dcc.Store(id="annotate-act"),
            dcc.Store(id="annotate-painted"),
            html.Div(
                [
                    html.Section(
                        _card(v, found, query),
                        id="annotate-card",
                        className="card annotate-card",
                        **aria(live="polite", label=v.t("annotate.text")),
                    ),
                    html.Section(
                        choices(v, topics, correcting=correcting),
                        className="card",
                        id="annotate-form",
                        **data(first=v.t("annotate.choose_first")),
                    ),
                    html.Div(id="annotate-done", className="done", role="status"),
                ],
                className="wide",
            ),
            html.Div(_recent(v), id="annotate-recent"),
        ],
        className="columns annotating",
    )


def _card(v: View, found: Labelling | None, query: dict[str, Any]) -> Any:
    if found is not None:
        return text_part(v, found, _now())
    if query.get("text") or query.get("doc"):
        return empty(v.t("annotate.gone"), None, "lost")
    queue = query["queue"]
    return empty(v.t(f"annotate.empty_{queue}"), v.t(f"annotate.empty_{queue}_hint"), "texts")


def _id(found: Labelling | None) -> int | None:
    return None if found is None else int(found.text.id)


def _chosen(found: Labelling | None) -> dict[str, Any]:
    """What stands chosen when a text comes up: what one said of it; where one corrects the model, its answer."""
    if found is None:
        return dict(NOTHING)
    if found.mine is not None and found.mine.action == "label":
        return {"sentiment": found.mine.sentiment, "topics": found.mine.topics}
    if found.open:
        return dict(NOTHING)
    return {"sentiment": found.text.sentiment, "topics": list(found.text.topics) or None}


def _comment(found: Labelling | None) -> str:
    return "" if found is None or found.mine is None else found.mine.comment or ""


def _recent(v: View) -> Any:
    me, zone = current_user.user.id, context().zone
    now = _now()
    offset = zone.utcoffset(None)
    midnight = now - (now + (int(offset.total_seconds() * 1000) if offset else 0)) % DAY
    with context().store.read() as c:
        rows = recent_labels(c, me, RECENT)
        today = labelled_since(c, me, midnight)
    return recent_part(v, rows, today, now)


def _figures(v: View, age_s: float = AUDIT_SECONDS) -> Any:
    """What random checks say; the figures may be so old."""
    found, _ = audit_figures(age_s)
    return [
        section(v.t("trust.table"), audit_table(v, found), None, "flush audit-table"),
        html.P(v.t("trust.hint"), className="note"),
        section(v.t("annotate.people"), html.P(agreement_words(v, found))),
    ]


def _now() -> int:
    store = context().store
    with store.read() as c:
        return store.now_ms(c)
