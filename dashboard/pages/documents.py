"""Searching texts: words and phrases, filters, copies, export. What is asked stands in the address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash
from dash import ClientsideFunction, Input, Output, State, dcc, html, no_update
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from barometer.store.documents.copies import with_copies
from barometer.store.documents.listing import Text
from barometer.store.labels.annotations import labels_of_copies
from barometer.store.search.query import SearchPage, search_documents
from barometer.store.search.terms import SearchError
from barometer.store.series.filtered import languages
from barometer.store.series.totals import list_series
from dashboard.components import texts
from dashboard.components.document_filters import (
    BOXES,
    PATH,
    chosen_tags,
    day_of,
    export_links,
    filters,
    search_box,
    search_help,
)
from dashboard.components.parts import empty, href
from dashboard.components.search_parts import summary_part
from dashboard.components.texts import asked_of, document_facts, text_card, text_list
from dashboard.context import View, context, view
from dashboard.navigation import Screen, add
from dashboard.services.document_query import FIELDS, NotSought, as_cursor, cursor, wanted
from dashboard.services.search_summary import summary

SCREEN = add(Screen("documents", "/documents", order=40, key="d"))

PAGE = 40
EACH = "all"
"""``copies=all`` in the address: every text by itself."""
_WORDS_EVERY = 5
"""A search by words looks for news at every so many-th tick only: it costs more than a list."""


def layout(ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    if not current_user.is_authenticated:
        return html.Div()
    chosen = {f: query.get(f) or None for f in (*FIELDS, "before", "copies")}
    chosen["kind"] = None if chosen["kind"] == "all" else chosen["kind"]
    with context().store.read() as c:
        series = [s.name for s in list_series(c) if s.name.startswith("topic:")]
        langs = languages(c)
    sources = context().source_names()
    shown, newest = body(v, chosen)
    return html.Div(
        [
            dcc.Store(id="documents-query", data=chosen),
            dcc.Store(id="documents-newest", data=newest),
            dcc.Store(id="documents-days", data={x: day_of(chosen[x], context().zone) for x in ("from", "to")}),
            html.Div([html.H1(v.t("documents.title")), export_links(v, chosen)], className="page-head"),
            search_box(v, chosen),
            html.Div([filters(v, chosen, series, sources, langs), search_help(v)], className="below-search"),
            chosen_tags(v, chosen),
            html.Div(
                [
                    html.Div(
                        [
                            html.Div(
                                [
                                    _order(v, chosen),
                                    html.Button(
                                        id="documents-news", type="button", className="button held", hidden=True
                                    ),
                                ],
                                className="list-head",
                            ),
                            html.Div(shown, id="documents-body"),
                        ],
                        className="card",
                    ),
                    html.Div(id="documents-summary", className="summary-slot"),
                ],
                className="columns found-columns",
            ),
        ]
    )


def register(app: dash.Dash) -> None:
    texts.register(app)

    @app.callback(
        Output("documents-news", "children"),
        Output("documents-news", "hidden"),
        Input("tick", "n_intervals"),
        State("documents-query", "data"),
        State("documents-newest", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def news(n: int | None, query: dict[str, str], newest: str | None, ui: dict[str, Any]) -> Any:
        """How many texts came since: they are shown when asked for, so that nothing moves under who reads."""
        if query.get("before") or (query.get("q") and (n or 0) % _WORDS_EVERY):
            return no_update, no_update
        found = _find(query)
        if not isinstance(found, SearchPage):
            return no_update, no_update
        since, v = cursor(newest) or (0, 0), view(ui)
        fresh = sum((x.observed_at, x.row_id) > since for x in found.texts)
        return v.t("documents.news", n=f"{fresh}+" if fresh == PAGE else fresh), not fresh

    @app.callback(
        Output("documents-body", "children"),
        Output("documents-newest", "data"),
        Output("documents-news", "hidden", allow_duplicate=True),
        Input("documents-news", "n_clicks"),
        State("documents-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def show_news(clicks: int | None, query: dict[str, str], ui: dict[str, Any]) -> Any:
        if not clicks:
            return no_update, no_update, no_update
        return *body(view(ui), query), True

    # Apart from the list, which does not wait for it.
    @app.callback(
        Output("documents-summary", "children"),
        Input("documents-query", "data"),
        Input("documents-newest", "data"),
        State("ui", "data"),
    )
    def summed(query: dict[str, str] | None, _newest: Any, ui: dict[str, Any]) -> Any:
        found = summary(query or {})
        if found is None:
            return None
        store = context().store
        with store.read() as c:
            now = store.now_ms(c)
        asked = {name: x for name, x in (query or {}).items() if name in (*FIELDS, "copies")}
        return summary_part(view(ui), asked, found, now)

    app.clientside_callback(
        ClientsideFunction("barometer_documents", "ask"),
        Output("_pages_location", "search", allow_duplicate=True),
        Input("documents-q", "value"),
        Input("documents-go", "n_clicks"),
        *(Input(f"documents-{name}", "value") for name in BOXES),
        State("documents-query", "data"),
        State("documents-days", "data"),
        prevent_initial_call=True,
    )


def body(v: View, query: dict[str, Any]) -> tuple[list[Any], str | None]:
    """The list with the way to what is older, and the place of its newest text."""
    found = _find(query)
    if isinstance(found, Exception):
        return [_problem(v, found)], None
    before = cursor(query.get("before"))
    ctx = context()
    with ctx.store.read() as c:
        now = ctx.store.now_ms(c)
        shown = with_copies(c, ctx.store, found.texts)
        people = labels_of_copies(c, [x.fingerprint for x in shown])
    if not shown:
        narrowed = any(query.get(f) for f in FIELDS)
        if not narrowed and not before:
            return [empty(v.t("documents.nothing_yet"), v.t("documents.nothing_yet_hint"), "texts")], None
        clear = dcc.Link(v.t("documents.clear"), href=PATH, className="button")
        return [
            empty(v.t("documents.none"), v.t("documents.none_hint"), "texts"),
            html.Div(clear, className="lone"),
        ], None
    words = query.get("q") or ""
    asked = asked_of(words)
    once = shown if query.get("copies") == EACH else newest_of_copies(shown)
    cards = [
        text_card(
            v, x, now, extra=document_facts(v, x, now), asked=asked, words=words, people=people.get(x.fingerprint, ())
        )
        for x in once
    ]
    foot: list[Any] = []
    if before:
        foot.append(dcc.Link("← " + v.t("documents.newest"), href=href(PATH, {**query, "before": None})))
    if found.before:
        foot.append(
            dcc.Link(v.t("documents.older") + " →", href=href(PATH, {**query, "before": as_cursor(found.before)}))
        )
    first = shown[0]
    return [
        None if found.complete else html.P(v.t("documents.incomplete"), className="note"),
        text_list(cards),
        html.Div(foot, className="foot"),
    ], as_cursor((first.observed_at, first.row_id))


def newest_of_copies(texts: Sequence[Text]) -> list[Text]:
    """Of texts that are the same, the first in the list, where it stands: a list with the newest first stays one."""
    once: dict[int, Text] = {}
    for x in texts:
        once.setdefault(x.fingerprint, x)
    return list(once.values())


def _order(v: View, query: dict[str, Any]) -> Any:
    """In what order the list is, and whether copies stand in it one by one."""
    each = query.get("copies") == EACH
    other = href(PATH, {**query, "copies": None if each else EACH})
    return html.Span(
        [
            v.t("documents.older_held" if query.get("before") else "documents.order"),
            " · ",
            v.t("documents.each" if each else "documents.folded"),
            " ",
            dcc.Link(v.t("documents.fold" if each else "documents.unfold"), href=other),
        ],
        className="note",
    )


def _find(query: dict[str, Any]) -> SearchPage | Exception:
    """The page that is asked for, the same for all who ask at the same moment; or why there is none."""
    ctx = context()
    key = ("documents", *(query.get(f) for f in (*FIELDS, "before")))

    def make() -> SearchPage | Exception:
        try:
            with ctx.store.read() as c:
                look = wanted(query, ctx.store.now_ms(c), ctx.zone)
                whole = bool(query.get("q"))
                return search_documents(c, ctx.store, look, limit=PAGE, before=cursor(query.get("before")), whole=whole)
        except (NotSought, SearchError, SQLAlchemyError) as e:
            return e

    return ctx.brief.get(key, make)


def _problem(v: View, why: Exception) -> Any:
    """What is wrong with the question, or with us."""
    if isinstance(why, SearchError):
        return empty(v.t("documents.wrong"), v.t("documents.wrong_q"), "lost")
    if isinstance(why, NotSought):
        hint = v.t("documents.wrong_field", name=v.t(f"export.field_{why.field}"))
        if why.field in ("from", "to"):
            hint = v.t("documents.wrong_time")
        return empty(v.t("documents.wrong"), hint, "lost")
    return html.Div(empty(v.t("documents.failed"), v.t("documents.failed_hint"), "lost"), role="alert")
