"""What is going on: running alerts on top, then every series against what is usual for it, as rows with trends or as a
heat map. What is chosen stands in the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html, no_update
from flask_login import current_user

from barometer.store.series.filtered import languages
from barometer.store.series.totals import Totals
from dashboard.components.alert_parts import strips
from dashboard.components.board import board_rows, board_words, version
from dashboard.components.grid import board_grid, heat_legend
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, chips, empty, href, kpi, language_name
from dashboard.components.peers import group_name
from dashboard.context import DAY, KIND_FILTERS, RANGES, View, choose, context, ranges, view
from dashboard.format import clock, number, percent
from dashboard.navigation import Screen, add
from dashboard.services.figures import Figures, figures, filtered_figures
from dashboard.services.last_seen import watch, watched
from dashboard.services.measure import group_of, shown_share, standing

SCREEN = add(Screen("overview", "/overview", order=20, key="o"))

FIELDS = ("range", "kind", "group", "source", "lang", "view", "find")
VIEWS = ("table", "heat")
_SHOWN = 6


def layout(ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    if not current_user.is_authenticated:
        return html.Div()
    chosen = _chosen(query)
    found = _figures(chosen)
    stores = [
        dcc.Store(id="overview-query", data=chosen),
        dcc.Store(id="overview-version", data=None),
    ]
    head = _head(v, chosen, found)
    if isinstance(found, int):
        sorry = empty(v.t("overview.too_many", n=number(v.lang, found)), None, "lost")
        return html.Div([*stores, head, html.Section([sorry, _clear(v, chosen)], className="card")])
    if not found.series:
        hint = html.Section(empty(v.t("overview.empty"), v.t("overview.empty_hint"), "empty"), className="card")
        return html.Div([*stores, head, hint])
    rows = _rows(v, chosen, found)
    heat = chosen["view"] == "heat"
    words = board_words(v, found)
    stores[1] = dcc.Store(id="overview-version", data=version(rows, words))
    return html.Div(
        [
            *stores,
            head,
            html.P(note, className="note") if (note := _notes(v, chosen, found)) else None,
            live("overview-alerts", _alerts(v, found)),
            live("overview-figures", _kpis(v, found), "kpis"),
            html.Section(
                [
                    heat_legend(v, words) if heat else None,
                    board_grid(v, rows, words, heat=heat)
                    if rows
                    else html.Div([empty(v.t("overview.no_match"), None, "lost"), _clear(v, chosen)]),
                ],
                className="card board-card",
            ),
        ]
    )


def register(app: dash.Dash) -> None:
    register_live(app, "overview-alerts", "overview-figures")

    @app.callback(
        target("overview-alerts"),
        target("overview-figures"),
        Input("tick", "n_intervals"),
        State("overview-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, query: dict[str, Any], ui: dict[str, Any]) -> Any:
        v, found = view(ui), _figures(query)
        if isinstance(found, int):
            return no_update, no_update
        return fresh("overview-alerts", _alerts(v, found)), fresh("overview-figures", _kpis(v, found))

    @app.callback(
        Output("board", "rowData"),
        Output("board", "dashGridOptions"),
        Output("overview-version", "data"),
        Input("tick", "n_intervals"),
        State("overview-query", "data"),
        State("overview-version", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def rows(_n: int, query: dict[str, Any], shown: str | None, ui: dict[str, Any]) -> Any:
        v, found = view(ui), _figures(query)
        if isinstance(found, int) or not found.series:
            return no_update, no_update, no_update
        new, words = _rows(v, query, found), board_words(v, found)
        now = version(new, words)
        if now == shown:
            return no_update, no_update, no_update
        options = dash.Patch()
        options["context"] = words
        return new, options, now

    @app.callback(
        Output("board", "cellRendererData"),
        Input("board", "cellRendererData"),
        prevent_initial_call=True,
    )
    def star(pressed: dict[str, Any] | None) -> Any:
        value = (pressed or {}).get("value") or {}
        if isinstance(value.get("name"), str):
            known = {s.name for s in figures(context(), None, "all").series}
            if value["name"] in known:
                watch(value["name"], bool(value.get("on")))
        return no_update

    @app.callback(
        Output("_pages_location", "search", allow_duplicate=True),
        Input("overview-source", "value"),
        Input("overview-lang", "value"),
        Input("overview-find", "value"),
        State("overview-query", "data"),
        prevent_initial_call=True,
    )
    def narrow(source: str | None, lang: str | None, find: str | None, query: dict[str, Any]) -> Any:
        new = {**query, "source": source or None, "lang": lang or None, "find": (find or "").strip() or None}
        return no_update if new == query else href("", new) or "?"


def _chosen(query: Mapping[str, str | None]) -> dict[str, str | None]:
    """What the address asks for; what is usual is left out, so that addresses stay short."""
    offered, first = ranges(context().settings.bucket_ms)
    span = choose(query.get("range"), {r: r for r in offered}, first)
    kind = choose(query.get("kind"), KIND_FILTERS, "all")
    how = choose(query.get("view"), {x: x for x in VIEWS}, "table")
    rest = {name: (query.get(name) or "")[:200] or None for name in ("group", "source", "lang", "find")}
    return {
        "range": None if span == first else span,
        "kind": None if kind == "all" else kind,
        "view": None if how == "table" else how,
        **rest,
    }


def _figures(query: Mapping[str, str | None]) -> Figures | int:
    ctx, kind = context(), query.get("kind") or "all"
    if query.get("source") or query.get("lang"):
        return filtered_figures(ctx, query.get("range"), kind, query.get("source"), query.get("lang"))
    return figures(ctx, query.get("range"), kind)


def _rows(v: View, query: Mapping[str, str | None], found: Figures) -> list[dict[str, Any]]:
    link = href("", {"range": query.get("range"), "kind": query.get("kind")})
    return board_rows(
        v,
        found,
        heat=query.get("view") == "heat",
        watched=watched(),
        group=query.get("group"),
        find=query.get("find") or "",
        link=link,
    )


def _head(v: View, query: Mapping[str, str | None], found: Figures | int) -> Any:
    ctx = context()
    offered, first = ranges(ctx.settings.bucket_ms)
    by_text = bool(query.get("source") or query.get("lang"))
    if by_text:
        offered = tuple(r for r in offered if RANGES[r] <= DAY) or offered[:1]
    chosen = found.span.name if isinstance(found, Figures) else query.get("range") or first
    path = "/overview"
    groups = sorted({group_of(s.name) for s in found.series} - {"all"}) if isinstance(found, Figures) else []
    with ctx.store.read() as c:
        langs = languages(c)
    sources = ctx.source_names()
    boxes = [
        chips(
            v.t("kind.label"),
            [(k, v.t(f"kind.{k}")) for k in KIND_FILTERS],
            query.get("kind") or "all",
            path,
            query,
            "kind",
        ),
        chips(v.t("range.label"), [(r, v.t(f"range.{r}")) for r in offered], chosen, path, query, "range"),
        chips(
            v.t("overview.view"),
            [(x, v.t(f"overview.view_{x}")) for x in VIEWS],
            query.get("view") or "table",
            path,
            query,
            "view",
        ),
    ]
    if len(groups) > 1:
        options = [("", v.t("group.any")), *((g, group_name(v, g)) for g in groups)]
        boxes.insert(0, chips(v.t("group.label"), options, query.get("group") or "", path, query, "group"))
    more = [
        dmc.TextInput(
            id="overview-find",
            value=query.get("find") or "",
            debounce=400,
            size="xs",
            className="find",
            placeholder=v.t("overview.find"),
            **aria(label=v.t("overview.find")),
        ),
        _select(v, "source", v.t("overview.any_source"), [(s, s) for s in sources], query.get("source")),
        _select(v, "lang", v.t("overview.any_lang"), [(x, language_name(v, x)) for x in langs], query.get("lang")),
    ]
    return html.Div(
        [html.H1(v.t("overview.title")), html.Div([*boxes, *more], className="filters")], className="page-head"
    )


def _select(v: View, name: str, all_of_them: str, options: Sequence[tuple[str, str]], value: str | None) -> Any:
    known = [{"value": code, "label": text} for code, text in options]
    if value and value not in {code for code, _ in options}:
        known.append({"value": value, "label": value})
    return dmc.Select(
        id=f"overview-{name}",
        data=known,
        value=value,
        placeholder=all_of_them,
        clearable=True,
        searchable=True,
        size="xs",
        className="select",
        nothingFoundMessage="–",
        **aria(label=v.t(f"overview.{name}")),
    )


def _clear(v: View, query: Mapping[str, str | None]) -> Any:
    kept = {name: query.get(name) for name in ("range", "kind", "view")}
    return html.Div(dcc.Link(v.t("overview.clear"), href=href("/overview", kept), className="button"), className="lone")


def _notes(v: View, query: Mapping[str, str | None], found: Figures) -> str:
    said = []
    if found.span.anchored:
        said.append(v.t("overview.until", time=clock(found.span.to_ms, context().zone, found.span.now)))
    if query.get("source") or query.get("lang"):
        said.append(v.t("overview.from_texts"))
    return " · ".join(said)


def _alerts(v: View, found: Figures) -> Any:
    running = found.running
    if not running:
        report = context().status()
        calm = report["stream"] == "live"
        return [
            html.Div(v.t("overview.calm" if calm else "overview.not_calm"), className="calm" if calm else "calm unsure")
        ]
    names = {s.id: s.name for s in found.series}
    shown, left = strips(v, running, names, found.span.now, _SHOWN)
    if left:
        shown.append(dcc.Link(f"{v.t('nav.alerts')} ({len(running)}) →", href="/alerts", className="more"))
    return [html.Section(shown, className="strips", **aria(label=v.t("overview.running")))]


def _kpis(v: View, found: Figures) -> list[Any]:
    whole = next((found.of(s) for s in found.series if s.name == "all" and s.id in found.counts), None)
    judged = [s for s in found.series if s.judged]
    above = sum(standing(found.of(s)).way == "above" for s in judged)
    waiting = sum(a.state == "firing" for a in found.alerts)
    item = whole or Totals()
    known, share = whole is not None, shown_share(item)
    return [
        kpi(
            v.t("overview.kpi_texts"),
            number(v.lang, item.total if known else None),
            v.t("overview.negatives_of", n=number(v.lang, item.negative)) if known else None,
        ),
        kpi(
            v.t("overview.kpi_share"),
            percent(share),
            html.Div(html.I(style={"width": percent(share)}), className="meter") if share is not None else None,
            "tone-negative",
        ),
        kpi(v.t("overview.kpi_above"), str(above), v.t("overview.of", n=len(judged))),
        kpi(v.t("overview.kpi_open"), str(waiting), None, "tone-alert" if waiting else ""),
    ]
