"""Silences: which hold, who made them and why, what they keep quiet; one can be made and ended here."""

from __future__ import annotations

from collections import defaultdict
from glob import escape
from typing import Any

import dash
from dash import ALL, ClientsideFunction, Input, Output, State, ctx, dcc, html, no_update
from flask_login import current_user

from barometer.errors import BarometerError
from barometer.store.alerts import silences
from barometer.store.series.totals import list_series
from dashboard.components.alert_forms import words
from dashboard.components.alert_nav import alert_nav
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, chips, section
from dashboard.components.silence_parts import CUSTOM, SCOPES, silence_form, silence_table
from dashboard.context import View, context, view
from dashboard.format import stamp
from dashboard.navigation import Screen, add
from dashboard.services.acts import MAX_COMMENT, MAX_NAME, Malformed
from dashboard.services.silencing import end_silence, make_silence

SCREEN = add(Screen("silences", "/silences", order=31, under="alerts"))

PAST = 100
"""Of those that are over, so many are shown."""


def layout(ui: dict[str, Any] | None = None, past: str = "", **_query: str) -> Any:
    v = view(ui)
    which = "all" if past == "all" else ""
    choice = chips(
        v.t("silences.which"),
        [("", v.t("silences.now")), ("all", v.t("silences.past"))],
        which,
        "/silences",
        {},
        "past",
    )
    return html.Div(
        [
            dcc.Store(id="silences-past", data=which),
            html.Div([html.H1(v.t("silences.title")), alert_nav(v, "/silences")], className="page-head"),
            html.P(v.t("silences.lead"), className="note"),
            html.Div(id="silence-said", role="status", **aria(live="polite")),
            live("silences-body", body(v, which)),
            html.Div(choice, className="filters below"),
            _form(v) if current_user.may_act else None,
        ]
    )


def register(app: dash.Dash) -> None:
    register_live(app, "silences-body")
    app.clientside_callback(
        ClientsideFunction("barometer_alerts", "silence_fields"),
        Output("silence-series-box", "hidden"),
        Output("silence-value-box", "hidden"),
        Output("silence-end-box", "hidden"),
        Input("silence-scope", "value"),
        Input("silence-until", "value"),
    )

    @app.callback(
        target("silences-body"),
        Input("tick", "n_intervals"),
        Input("silence-said", "children"),
        State("silences-past", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int | None, _said: Any, past: object, ui: dict[str, Any]) -> Any:
        return fresh("silences-body", body(view(ui), past))

    @app.callback(
        Output("silence-said", "children"),
        Output("silence-why", "value"),
        Output("silence-value", "value"),
        Input("silence-make", "n_clicks"),
        State("silence-scope", "value"),
        State("silence-series", "value"),
        State("silence-value", "value"),
        State("silence-until", "value"),
        State("silence-end-at", "value"),
        State("silence-why", "value"),
        State("silence-start", "value"),
        State("silence-severity", "value"),
        State("silence-hours", "value"),
        State("ui", "data"),
        running=[(Output("silence-make", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    def make(
        clicks: int | None,
        scope: object,
        series: object,
        value: object,
        until: object,
        end_at: object,
        why: object,
        start: object,
        severity: object,
        hours: object,
        ui: dict[str, Any],
    ) -> Any:
        if not clicks:
            return no_update
        v = view(ui)
        try:
            end = _text("until", end_at if until == CUSTOM else until)
            reason = _text("comment", why, MAX_COMMENT)
            if reason is None:
                raise Malformed("no_why")
            if end is None:
                raise Malformed("no_until")
            row = make_silence(
                end,
                reason,
                start=_text("start", start),
                severity=_text("severity", severity),
                hours=[h] if (h := _text("hours", hours)) else [],
                **_named(scope, series, value),
            )
        except BarometerError as e:
            return _said(words(v, e)), no_update, no_update
        return _said(v.t("silences.made", id=row.id, time=stamp(row.ends_at, context().zone)), True), "", ""

    @app.callback(
        Output("silence-said", "children", allow_duplicate=True),
        Input({"type": "silence-end", "id": ALL}, "n_clicks"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def end(clicks: list[int | None], ui: dict[str, Any]) -> Any:
        asked, v = ctx.triggered_id, view(ui)
        number = asked.get("id") if isinstance(asked, dict) else None
        if not any(clicks) or isinstance(number, bool) or not isinstance(number, int):
            return no_update
        try:
            end_silence(number)
        except BarometerError as e:
            return _said(words(v, e))
        return _said(v.t("silences.ended", id=number), True)


def body(v: View, past: object = "") -> list[Any]:
    """The list; ``past="all"`` shows those that are over as well."""
    app = context()
    with app.store.read() as c:
        now = app.store.now_ms(c)
        rows = silences.list_silences(c, now)
        if past == "all":
            over = silences.list_silences(c, now, past=True, limit=PAST)
            rows = [*rows, *(r for r in over if r.ends_at <= now)]
        covered: dict[int, list[int]] = defaultdict(list)
        for alert_id, s in silences.silenced_alerts(c, app.settings, now).items():
            covered[s.id].append(alert_id)
    shown = silence_table(v, rows, covered, now, current_user.may_act)
    return [section(v.t("silences.past" if past == "all" else "silences.now"), shown, class_name="flush")]


def _form(v: View) -> Any:
    with context().store.read() as c:
        names = [s.name for s in list_series(c) if s.name != "all"]
    return silence_form(v, names, context().source_names())


def _named(scope: object, series: object, value: object) -> dict[str, str]:
    """What is kept quiet, for :func:`make_silence`."""
    if scope not in SCOPES:
        raise Malformed("one_of", field="scope", value=str(scope)[:40], options=", ".join(SCOPES))
    said = _text("series" if scope == "series" else "value", series if scope == "series" else value)
    if said is None:
        key = {"series": "no_subject", "pattern": "no_pattern", "source": "no_source", "word": "no_word"}[str(scope)]
        raise Malformed(key)
    if scope == "series":
        return {"series": said if said == "*" else escape(said)}
    return {"series" if scope == "pattern" else str(scope): said}


def _text(field: str, value: object, most: int = MAX_NAME) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Malformed("not_text", field=field)
    if len(value) > most:
        raise Malformed("too_long", field=field, most=most)
    return value.strip() or None


def _said(text: str, good: bool = False) -> Any:
    return html.P(text, className="said good" if good else "said bad")
