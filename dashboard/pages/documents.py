"""The latest texts, by topic, kind, sentiment and time."""

from __future__ import annotations

from typing import Any

import dash
import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html, no_update

from barometer.records import Sentiment
from barometer.store.queries import list_series
from barometer.store.queries_documents import latest_texts
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, chips, empty, href
from dashboard.components.texts import text_card, text_list
from dashboard.context import KINDS, RANGES, View, choose, context, view
from dashboard.i18n import series_name, t

PAGE = 40
FEELINGS = ("negative", "neutral", "positive", "unscored")
_FIELDS = ("series", "kind", "sentiment", "range", "before")


def layout(ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    chosen = {f: query.get(f) for f in _FIELDS}
    with context().store.read() as c:
        names = [s.name for s in list_series(c) if s.name != "all"]
    kept = {k: x for k, x in chosen.items() if k != "before"}
    kind, feeling = choose(chosen["kind"], KINDS, "all"), chosen["sentiment"] or ""
    span = chosen["range"] if chosen["range"] in RANGES else ""
    return html.Div(
        [
            dcc.Store(id="documents-query", data=chosen),
            html.Div(
                [
                    html.H1(v.t("documents.title")),
                    html.Div(
                        [
                            dmc.Select(
                                id="documents-series", value=chosen["series"] or "", searchable=True, w=220, size="sm",
                                allowDeselect=False,
                                data=[{"value": "", "label": f"{v.t('documents.series')}: {v.t('documents.any')}"}]
                                + [{"value": n, "label": series_name(v.lang, n)} for n in names],
                                **aria(label=v.t("documents.series")),
                            ),
                            chips(v.t("kind.label"), [(k if k != "all" else "", v.t(f"kind.{k}")) for k in KINDS],
                                  "" if kind == "all" else kind, "/documents", kept, "kind"),
                            chips(v.t("sentiment.label"), [("", v.t("kind.all")),
                                  *((f, v.t(f"sentiment.{f}")) for f in FEELINGS)], feeling, "/documents", kept,
                                  "sentiment"),
                            chips(v.t("range.label"), [("", v.t("documents.any")),
                                  *((r, v.t(f"range.{r}")) for r in ("1h", "24h", "7d"))], span, "/documents", kept,
                                  "range"),
                        ],
                        className="filters",
                    ),
                ],
                className="page-head",
            ),
            live("documents-body", body(v, chosen), "card"),
        ]
    )  # fmt: skip


def register(app: dash.Dash) -> None:
    dash.register_page("documents", path="/documents", layout=layout, title=t("zh", "product"))
    register_live(app, "documents-body")

    @app.callback(
        target("documents-body"),
        Input("tick", "n_intervals"),
        State("documents-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, query: dict[str, str], ui: dict[str, Any]) -> Any:
        # Older pages stand still while somebody reads them.
        return no_update if query.get("before") else fresh("documents-body", body(view(ui), query))

    @app.callback(
        Output("_pages_location", "search"),
        Input("documents-series", "value"),
        State("documents-query", "data"),
        prevent_initial_call=True,
    )
    def choose_series(name: str | None, query: dict[str, str]) -> Any:
        if (name or "") == (query.get("series") or ""):
            return no_update
        return href("", {**query, "series": name or None, "before": None}) or "?"


def body(v: View, query: dict[str, Any]) -> list[Any]:
    """The list, and the way to what is older."""
    ctx = context()
    before = _cursor(query.get("before"))
    feeling = query.get("sentiment")
    with ctx.store.read() as c:
        now = ctx.store.now_ms(c)
        ids = {s.name: s.id for s in list_series(c)}
        span = query.get("range")
        found = latest_texts(
            c,
            before=before,
            from_ms=now - RANGES[span] if span in RANGES else None,
            series_id=ids.get(str(query.get("series"))),
            kind=KINDS[query["kind"]][0] if query.get("kind") in ("news", "comment") else None,
            sentiment=Sentiment[feeling.upper()] if feeling in FEELINGS[:3] else None,
            unscored=feeling == "unscored",
            limit=PAGE,
        )
    if not found:
        return [empty(v.t("documents.none"), v.t("documents.none_hint"), "texts")]
    foot: list[Any] = []
    if before:
        foot.append(dcc.Link("← " + v.t("documents.newest"), href=href("/documents", {**query, "before": None})))
    if len(found) == PAGE:
        cursor = f"{found[-1].observed_at}-{found[-1].key}"
        foot.append(dcc.Link(v.t("documents.older") + " →", href=href("/documents", {**query, "before": cursor})))
    return [text_list([text_card(v, x, now) for x in found]), html.Div(foot, className="foot")]


def _cursor(value: object) -> tuple[int, int] | None:
    at, _, row = str(value or "").partition("-")
    return (int(at), int(row)) if at.isdigit() and row.isdigit() and len(at) < 16 and len(row) < 20 else None
