"""The work list: what waits for somebody first, what is over after it."""

from __future__ import annotations

from typing import Any

import dash
from dash import Input, State, dcc, html

from barometer.store.queries import list_series
from barometer.store.queries_alerts import open_alerts, past_alerts
from dashboard.components.alert_parts import actor_name, alert_href, subject
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import chips, empty, href, severity_pill, state_pill, table
from dashboard.context import View, choose, context, view
from dashboard.format import clock, duration, number
from dashboard.i18n import t

PAGE = 50
SHOW = {"open": "alerts.open", "resolved": "alerts.resolved", "all": "alerts.all"}


def layout(ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    chosen = {"show": query.get("show"), "before": query.get("before")}
    return html.Div([dcc.Store(id="alerts-query", data=chosen), live("alerts-body", body(v, chosen))])


def register(app: dash.Dash) -> None:
    dash.register_page("alerts", path="/alerts", layout=layout, title=t("zh", "product"))
    register_live(app, "alerts-body")

    @app.callback(
        target("alerts-body"),
        Input("tick", "n_intervals"),
        State("alerts-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, query: dict[str, str], ui: dict[str, Any]) -> Any:
        return fresh("alerts-body", body(view(ui), query))


def body(v: View, query: dict[str, Any]) -> list[Any]:
    """The list for one choice of states."""
    ctx = context()
    show = choose(query.get("show"), SHOW, "open")
    before = int(query["before"]) if str(query.get("before") or "").isdigit() else None
    with ctx.store.read() as c:
        names = {s.id: s.name for s in list_series(c)}
        now = ctx.store.now_ms(c)
        if show == "open":
            alerts = open_alerts(c)
        else:
            states = ("resolved",) if show == "resolved" else ("firing", "acknowledged", "resolved")
            alerts = past_alerts(c, states=states, before_id=before, limit=PAGE)
    head = html.Div(
        [
            html.H1(v.t("alerts.title")),
            chips(v.t("alerts.state"), [(k, v.t(x)) for k, x in SHOW.items()], show, "/alerts", {}, "show"),
        ],
        className="page-head",
    )
    if not alerts:
        return [
            head,
            html.Section(empty(v.t("alerts.none_open" if show == "open" else "alerts.none")), className="card"),
        ]
    heads = [
        (v.t("alerts.state"), ""), (v.t("alerts.subject"), "grow"), (v.t("alerts.seen"), "right num"),
        (v.t("alerts.score"), "right num"), (v.t("alerts.started"), "num"), (v.t("alerts.lasted"), "num"),
        (v.t("alerts.by"), ""),
    ]  # fmt: skip
    older = None
    if show != "open" and len(alerts) == PAGE:
        older = dcc.Link(v.t("alerts.more") + " →", href=href("/alerts", {"show": show, "before": str(alerts[-1].id)}),
                         className="more")  # fmt: skip
    return [
        head,
        html.Section([table(heads, [_row(v, a, names.get(a.series_id), now) for a in alerts]), older],
                     className="card flush alerts-table"),
    ]  # fmt: skip


def _row(v: View, a: Any, series: str | None, now: int) -> list[Any]:
    zone = context().zone
    end = a.ended_at or a.resolved_at
    over = html.Span(v.t("state.over"), className="muted small") if a.ended_at and a.state != "resolved" else None
    seen = [html.Strong(number(v.lang, a.seen_negative)), f" / {number(v.lang, round(a.expected_negative, 1))}"]
    return [
        html.Div([severity_pill(v, a.severity), state_pill(v, a.state)], className="marks one-line"),
        dcc.Link([html.Strong(subject(v, a, series)), html.Small(f"#{a.id}", className="muted num"), over],
                 href=alert_href(a), className="row-link"),
        seen if a.seen_total else "–",
        f"{a.score:.1f}" if a.score else "–",
        clock(a.started_at, zone, now),
        duration(v.lang, (end or now) - a.started_at),
        actor_name(v, a.resolved_by if a.state == "resolved" else a.acknowledged_by),
    ]  # fmt: skip
