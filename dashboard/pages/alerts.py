"""The work list: what waits for somebody first; filters and order in the address line; acts on several at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html, no_update
from flask_login import current_user

from barometer.store.alerts import worklist
from barometer.store.alerts.deliveries import unreached
from barometer.store.alerts.silences import silenced_alerts
from barometer.store.series.totals import list_series
from dashboard.components.alert_forms import dialog, opener, register_acts
from dashboard.components.alert_list import Beside, list_table
from dashboard.components.alert_nav import alert_nav
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, chips, data, empty, href
from dashboard.context import View, choose, context, view
from dashboard.i18n.texts import series_name
from dashboard.navigation import Screen, add

SCREEN = add(Screen("alerts", "/alerts", order=30, key="a"))

PAGE = 50
MINE = "me"
FIELDS = ("state", "severity", "level", "owner", "series", "sort", "page")
SELECTS = ("severity", "level", "series", "sort")
SORTS = ("", "-severity", "-level", "started", "-started", "due", "owner")
DIALOGS = ("snooze", "silence", "resolve", "false-alarm")
PLAIN: Mapping[str, Mapping[str, Any]] = {
    "acknowledge": {"act": "acknowledge"},
    "assign-me": {"act": "assign", "to": State("alerts-me", "data")},
}


def layout(ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    chosen = {f: query.get(f) or None for f in FIELDS}
    return html.Div(
        [
            dcc.Store(id="alerts-query", data=chosen),
            dcc.Store(id="alerts-picked", data=[]),
            dcc.Store(id="alerts-me", data=current_user.name),
            html.Div(
                [html.H1(v.t("alerts.title")), alert_nav(v, "/alerts"), _filters(v, chosen)], className="page-head"
            ),
            html.Button(v.t("alerts.held"), id="alerts-held", className="button held", hidden=True),
            live("alerts-body", body(v, chosen)),
            _bulk(v) if current_user.may_act else None,
        ]
    )


def register(app: dash.Dash) -> None:
    ours = "barometer_alerts"
    register_live(app, "alerts-body", by=ClientsideFunction(ours, "list"), beside=[State("alerts-picked", "data")])
    register_live(app, "alerts-chips")
    register_acts(app, "bulk", PLAIN, DIALOGS, State("alerts-picked", "data"))
    app.clientside_callback(
        ClientsideFunction(ours, "release"),
        Output("alerts-held", "n_clicks"),
        Input("alerts-held", "n_clicks"),
        State("alerts-picked", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(ours, "bar"),
        Output("bulk-bar", "hidden"),
        Output("bulk-count", "children"),
        Input("alerts-picked", "data"),
        State("bulk-count", "data-text"),
    )
    app.clientside_callback(
        ClientsideFunction(ours, "unpick"),
        Output("alerts-picked", "data"),
        Input("bulk-done", "children"),
        Input("bulk-none", "n_clicks"),
        prevent_initial_call=True,
    )

    @app.callback(
        target("alerts-body"),
        target("alerts-chips"),
        Input("tick", "n_intervals"),
        Input("alerts-picked", "data"),
        State("alerts-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, picked: list[int], query: dict[str, str], ui: dict[str, Any]) -> Any:
        if dash.ctx.triggered_id == "alerts-picked" and picked:
            return no_update, no_update
        v = view(ui)
        return fresh("alerts-body", body(v, query)), fresh("alerts-chips", _chips(v, query))

    @app.callback(
        Output("_pages_location", "search", allow_duplicate=True),
        *(Input(f"alerts-{name}", "value") for name in SELECTS),
        State("alerts-query", "data"),
        prevent_initial_call=True,
    )
    def narrow(*values: Any) -> Any:
        query = values[-1]
        new = {**query, **{name: value or None for name, value in zip(SELECTS, values[:-1], strict=True)}}
        return no_update if new == query else href("", {**new, "page": None}) or "?"


def body(v: View, query: dict[str, Any]) -> list[Any]:
    """The list for one choice."""
    ctx = context()
    wanted = _wanted(query)
    sort = query.get("sort") if query.get("sort") in SORTS or _turned(query.get("sort")) in SORTS else ""
    page = min(1000, int(query["page"])) if str(query.get("page") or "").isdigit() else 1
    page = max(1, page)
    with ctx.store.read() as c:
        now = ctx.store.now_ms(c)
        order = sort or ("-started" if wanted.state == "resolved" else "")
        found = worklist.work_list(c, wanted, order, limit=PAGE + 1, offset=(page - 1) * PAGE)
        alerts = found[:PAGE]
        beside = Beside(
            now,
            silenced_alerts(c, ctx.settings, now),
            worklist.next_steps(c, [a.id for a in alerts]),
            worklist.incident_sizes(c, [a.incident_id for a in alerts if a.incident_id is not None]),
            unreached(c, [a.id for a in alerts]),
        )
    if not alerts:
        narrowed = any(query.get(f) for f in FIELDS if f != "sort")
        return [
            html.Section(
                [
                    empty(v.t("alerts.none_filtered" if narrowed else "alerts.none_open"), v.t("alerts.none_hint")),
                    dcc.Link(v.t("alerts.clear"), href="/alerts", className="more center") if narrowed else None,
                ],
                className="card",
            )
        ]
    foot = []
    if page > 1:
        newer = str(page - 1) if page > 2 else None
        foot.append(dcc.Link("← " + v.t("alerts.before"), href=href("/alerts", {**query, "page": newer})))
    if len(found) > PAGE:
        foot.append(dcc.Link(v.t("alerts.more") + " →", href=href("/alerts", {**query, "page": str(page + 1)})))
    return [
        html.Section(
            [
                list_table(v, alerts, beside, query, current_user.may_act),
                html.Div(foot, className="foot list-foot") if foot else None,
            ],
            className="card flush alerts-table",
        )
    ]


def _wanted(query: dict[str, Any]) -> worklist.AlertFilter:
    owner = query.get("owner")
    return worklist.AlertFilter(
        state=choose(query.get("state"), worklist.STATES, "open"),
        severity=query.get("severity") if query.get("severity") in worklist.WORST_FIRST else None,
        level=query.get("level") if query.get("level") in (*worklist.GRAVEST_FIRST, worklist.NONE) else None,
        owner=current_user.name if owner == MINE else str(owner)[:64] if owner else None,
        series=str(query["series"])[:200] if query.get("series") else None,
    )


def _turned(sort: Any) -> str:
    return str(sort).removeprefix("-") if str(sort).startswith("-") else f"-{sort}"


def _chips(v: View, query: dict[str, Any]) -> list[Any]:
    """States, with how many alerts are open, and whose."""
    with context().store.read() as c:
        counts = worklist.open_counts(c)
    state = choose(query.get("state"), worklist.STATES, "open")
    n = {**counts, "open": sum(counts.values())}
    states = [
        (s if s != "open" else "", v.t(f"alerts.{s}") + (f" {n[s]}" if n.get(s) else "")) for s in worklist.STATES
    ]
    whose = [("", v.t("alerts.anybody")), (MINE, v.t("alerts.mine")), (worklist.NONE, v.t("alerts.unassigned"))]
    owner = query.get("owner") or ""
    if owner and owner not in (MINE, worklist.NONE):
        whose.append((owner, v.t("alerts.owned_by", name=owner[:64])))
    kept = {k: x for k, x in query.items() if k != "page"}
    return [
        chips(v.t("alerts.state"), states, "" if state == "open" else state, "/alerts", kept, "state"),
        chips(v.t("alerts.whose"), whose, owner, "/alerts", kept, "owner"),
    ]


def _filters(v: View, query: dict[str, Any]) -> Any:
    with context().store.read() as c:
        names = [s.name for s in list_series(c) if s.name != "all"]
    if query.get("series") and query["series"] not in names:
        names.append(str(query["series"])[:200])

    def options(prefix: str, names_: tuple[str, ...]) -> list[dict[str, str]]:
        return [{"value": x, "label": v.t(f"{prefix}.{x}")} for x in names_]

    return html.Div(
        [
            live("alerts-chips", _chips(v, query), "chip-groups"),
            _select(v, "severity", query, options("severity", worklist.WORST_FIRST), 128),
            _select(
                v,
                "level",
                query,
                [*options("level", worklist.GRAVEST_FIRST), {"value": worklist.NONE, "label": v.t("alerts.no_level")}],
                118,
            ),
            _select(v, "series", query, [{"value": x, "label": series_name(v.lang, x)} for x in names], 170),
            _select(
                v,
                "sort",
                query,
                [
                    {
                        "value": x,
                        "label": v.t(
                            f"alerts.sort_{x.removeprefix('-')}" if x != "-started" else "alerts.sort_-started"
                        ),
                    }
                    for x in SORTS
                    if x
                ],
                170,
                "narrow-only",
            ),
        ],
        className="filters alerts-filters",
    )


def _select(
    v: View, name: str, query: dict[str, Any], offered: list[dict[str, str]], width: int, extra: str = ""
) -> Any:
    label = v.t(f"alerts.{name}")
    none = v.t("alerts.sort_default") if name == "sort" else v.t("alerts.any")
    value = query.get(name) or ""
    if value not in {o["value"] for o in offered}:
        value = ""
    return dmc.Select(
        id=f"alerts-{name}",
        size="xs",
        w=width,
        allowDeselect=False,
        searchable=name == "series",
        value=value,
        data=[{"value": "", "label": f"{label}: {none}"}, *offered],
        className=f"filter {extra}",
        **aria(label=label),
    )


def _bulk(v: View) -> Any:
    """What can be done to the selected alerts; stands at the foot of the window while there are any."""
    return html.Div(
        [
            html.Div(id="bulk-done", className="toast", role="status"),
            html.Div(
                [
                    html.Strong(id="bulk-count", **data(text=v.t("alerts.picked", n="{n}"))),
                    html.Div(
                        [
                            html.Button(v.t("act.acknowledge"), id="bulk-acknowledge", className="button primary"),
                            html.Button(v.t("act.assign_me"), id="bulk-assign-me", className="button"),
                            *(opener(v, "bulk", d) for d in DIALOGS),
                        ],
                        className="bulk-acts",
                    ),
                    html.Button(
                        "✕",
                        id="bulk-none",
                        className="tool square",
                        title=v.t("alerts.unpick"),
                        **aria(label=v.t("alerts.unpick")),
                    ),
                ],
                id="bulk-bar",
                hidden=True,
                role="toolbar",
                **aria(label=v.t("alerts.bulk")),
            ),
            *(dialog(v, "bulk", d, hint=v.t("hint.bulk")) for d in DIALOGS),
        ],
    )
