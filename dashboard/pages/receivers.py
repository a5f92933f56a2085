"""Receivers and duty: who is told of which alerts, by which way, whether it works; an administrator may send a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ALL, Input, Output, State, ctx, html, no_update
from flask_login import current_user

from barometer.errors import SettingsError
from barometer.store.accounts import audit_log
from barometer.store.alerts.deliveries import TEST, deliveries, last_test
from barometer.store.series.totals import list_series
from barometer.unreached import retold
from barometer.vocabulary import NOTIFIED_SEVERITIES
from dashboard.components.alert_nav import alert_nav
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, empty, section
from dashboard.components.receiver_parts import duty_part, quiet_part, receivers_part, routes_part
from dashboard.context import MINUTE, View, context, view
from dashboard.format import clock, duration
from dashboard.i18n.texts import series_name
from dashboard.navigation import Screen, add
from dashboard.services.people_file import KEPT_SECONDS, people_file
from monitor.notify.channels import channel_label
from monitor.notify.config import NotifyConfig, load_config
from monitor.notify.routes import Recipient, Router, Target
from monitor.notify.testing import ChannelTestResult, send_test

SCREEN = add(Screen("receivers", "/receivers", order=33, under="alerts"))

TEST_EVERY_MS = 10_000
"""A receiver is tested at most so often: the messages reach people."""


def layout(ui: dict[str, Any] | None = None, **_query: str) -> Any:
    v = view(ui)
    return html.Div(
        [
            html.Div([html.H1(v.t("receivers.title")), alert_nav(v, "/receivers")], className="page-head"),
            html.P(v.t("receivers.lead"), className="note"),
            html.Div(id="receiver-said", role="status", **aria(live="polite")),
            live("receivers-body", body(v)),
            _try_form(v),
        ]
    )


def register(app: dash.Dash) -> None:
    register_live(app, "receivers-body")

    @app.callback(
        target("receivers-body"),
        Input("tick", "n_intervals"),
        Input("receiver-said", "children"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int | None, _said: Any, ui: dict[str, Any]) -> Any:
        return fresh("receivers-body", body(view(ui), at_once=ctx.triggered_id == "receiver-said"))

    @app.callback(
        Output("receiver-said", "children"),
        Input({"type": "receiver-test", "name": ALL}, "n_clicks"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def test(clicks: list[int | None], ui: dict[str, Any]) -> Any:
        asked = ctx.triggered_id
        name = asked.get("name") if isinstance(asked, dict) else None
        if not any(clicks) or not isinstance(name, str):
            return no_update
        return _test(view(ui), name)

    @app.callback(
        Output("receivers-told", "children"),
        Input("receivers-series", "value"),
        Input("receivers-severity", "value"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def would_tell(series: object, severity: object, ui: dict[str, Any]) -> Any:
        config, _ = people_file()
        if config is None or not isinstance(series, str) or severity not in NOTIFIED_SEVERITIES:
            return no_update
        return _told(view(ui), config, series[:200], str(severity))


def body(v: View, *, at_once: bool = False) -> list[Any]:
    """All that the file says, with how it went of late."""
    app = context()
    config, why = people_file()
    if config is None:
        return [html.Div(v.t("receivers.refused", why=why), className="calm unsure", role="alert")]
    if app.settings.notify_file is None:
        hint = v.t("receivers.no_file_hint")
        return [html.Section(empty(v.t("receivers.no_file"), hint, "mute"), className="card")]
    with app.store.read() as c:
        now = app.store.now_ms(c)
        went = app.brief.get("deliveries", lambda: deliveries(c, now), 0.0 if at_once else KEPT_SECONDS)
    file = config.file
    return [
        duty_part(v, file, now),
        receivers_part(v, file, went, now, current_user.role == "admin"),
        routes_part(v, file, app.settings.repeat_interval_minutes),
        quiet_part(v, file),
    ]


def _test(v: View, name: str) -> Any:
    """Send the test and write it into the audit log, with what came of it."""
    app = context()
    if current_user.role != "admin":
        return _said(v.t("receivers.test_admin"))
    try:
        config = load_config(app.settings, check_secrets=False)
    except SettingsError as e:
        return _said(v.t("receivers.refused", why=str(e)))
    receiver = config.receiver(name)
    if receiver is None:
        return _said(v.t("receivers.test_gone", name=name[:100]))
    # Written before it is sent, so that two clicks, or two dashboards, send one test.
    with app.store.write() as c:
        now = app.store.now_ms(c)
        before = last_test(c, name)
        if before is not None and now - before < TEST_EVERY_MS:
            wait = -(-(TEST_EVERY_MS - (now - before)) // 1000)
            return _said(v.t("receivers.test_soon", name=name, n=wait))
        audit_log.note(c, now, current_user.name, TEST, name, {"channels": []})
    outcomes = send_test(config, receiver)
    told = [{"type": x.type, "taken": x.taken, "detail": x.detail} for x in outcomes]
    with app.store.write() as c:
        audit_log.note(c, app.store.now_ms(c), current_user.name, TEST, name, {"channels": told})
    return [_outcome(v, name, x) for x in outcomes]


def _outcome(v: View, name: str, x: ChannelTestResult) -> Any:
    way = channel_label(x.type, v.lang)
    if x.taken:
        return _said(v.t("receivers.test_taken", name=name, way=way), True)
    return _said(v.t("receivers.test_failed", name=name, way=way, why=retold(x.detail, v.lang)))


def _try_form(v: View) -> Any:
    config, _ = people_file()
    if config is None or not config.file.receivers:
        return None
    with context().store.read() as c:
        names = [s.name for s in list_series(c) if s.name != "all"]
    first = names[0] if names else "topic:real_estate"
    kinds = [("system:lag", v.t("receivers.type_system"))]
    data = [{"value": s, "label": series_name(v.lang, s)} for s in (names or [first])]
    return section(
        v.t("receivers.try"),
        html.Div(
            [
                html.Div(
                    [
                        dmc.Select(
                            id="receivers-series",
                            label=v.t("receivers.try_series"),
                            value=first,
                            searchable=True,
                            allowDeselect=False,
                            size="sm",
                            data=[*data, *({"value": code, "label": name} for code, name in kinds)],
                        ),
                        dmc.Select(
                            id="receivers-severity",
                            label=v.t("receivers.try_severity"),
                            value="critical",
                            allowDeselect=False,
                            size="sm",
                            data=[{"value": s, "label": v.t(f"severity.{s}")} for s in NOTIFIED_SEVERITIES],
                        ),
                    ],
                    className="fields",
                ),
                html.Div(
                    _told(v, config, first, "critical"), id="receivers-told", role="status", **aria(live="polite")
                ),
            ],
            className="form",
        ),
    )


def _told(v: View, config: NotifyConfig, series: str, severity: str) -> Any:
    """Who would be told now, and who later."""
    store = context().store
    with store.read() as c:
        now = store.now_ms(c)
    kind = "system" if series.startswith("system:") else "rule" if series.startswith("rule:") else "surge"
    router, alert = Router(config), Target(series, kind, severity, () if kind == "system" else (1, 2))
    lines = [html.Li(_recipient(v, r, now)) for r in router.route(alert, now)]
    lines += [
        html.Li([v.t("receivers.try_later", time=duration(v.lang, r.after_minutes * MINUTE)), _recipient(v, r, now)])
        for r in router.escalations(alert, now)
    ]
    return html.Ul(lines, className="tried") if lines else html.P(v.t("receivers.nobody"), className="note")


def _recipient(v: View, r: Recipient, now: int) -> str:
    ways = _joined(v, [channel_label(c.type, v.lang) for c in r.receiver.channels])
    when = v.t("receivers.at_once")
    if r.quiet_until is not None:
        when = v.t("receivers.at", time=clock(r.quiet_until, context().zone, now))
    return v.t("receivers.try_told", name=r.receiver.name, ways=ways, when=when)


def _joined(v: View, names: Sequence[str]) -> str:
    return ("、" if v.lang == "zh" else ", ").join(names)


def _said(text: str, good: bool = False) -> Any:
    return html.P(text, className="said good" if good else "said bad")
