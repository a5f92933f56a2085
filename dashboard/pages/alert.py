"""One alert: what was seen, what was expected, the chart around it, its evidence, its history; and what to do."""

from __future__ import annotations

from typing import Any

import dash
import dash_mantine_components as dmc
from dash import Input, Output, State, ctx, dcc, html, no_update
from flask_login import current_user

from barometer.errors import BarometerError
from barometer.faults import fault_wording
from barometer.store.alerts import SEVERITIES
from barometer.store.queries import Point, points
from barometer.store.queries_alerts import AlertPage, alert_page
from dashboard.acts import RESOLUTIONS, act
from dashboard.components.alert_parts import actor_name, sentence, subject
from dashboard.components.charts import graph, trend_figure
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import (
    aria,
    empty,
    facts,
    kind_name,
    or_code,
    section,
    series_href,
    severity_pill,
    state_pill,
    table,
)
from dashboard.components.texts import evidence_card, text_list
from dashboard.context import KINDS, View, context, view
from dashboard.format import clock, duration, number, percent, stamp
from dashboard.i18n import t


def layout(number_: str = "", ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    number_ = query.get("number", number_)
    page = load(int(number_)) if number_.isdigit() and len(number_) < 16 else None
    if page is None:
        return html.Div(
            [empty(v.t("alert.unknown"), None, "lost"), dcc.Link(v.t("alert.back"), href="/alerts")], className="lost"
        )
    figure = chart(v, page)
    return html.Div(
        [
            dcc.Store(id="alert-id", data=page.alert.id),
            live("alert-head", head(v, page)),
            html.Div(
                [
                    html.Div(
                        [
                            section(v.t("alert.chart"), graph("alert-chart", figure, 260)) if figure else None,
                            _what_to_do(v, page),
                            _evidence(v, page),
                        ],
                        className="wide",
                    ),
                    html.Div([_form(v, page), live("alert-side", side(v, page))]),
                ],
                className="columns acting",
            ),
        ]
    )


def register(app: dash.Dash) -> None:
    dash.register_page("alert", path_template="/alerts/<number>", layout=layout, title=t("zh", "product"))
    register_live(app, "alert-head", "alert-side")

    @app.callback(
        target("alert-head"),
        target("alert-side"),
        Output("alert-form", "className"),
        Input("tick", "n_intervals"),
        Input("alert-done", "children"),
        State("alert-id", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, _done: Any, alert_id: int, ui: dict[str, Any]) -> Any:
        v, page = view(ui), load(alert_id)
        if page is None:
            return no_update, no_update, no_update
        return fresh("alert-head", head(v, page)), fresh("alert-side", side(v, page)), f"form-{page.alert.state}"

    @app.callback(
        Output("alert-done", "children"),
        Output("alert-comment", "value"),
        Input("alert-acknowledge", "n_clicks"),
        Input("alert-resolve", "n_clicks"),
        State("alert-comment", "value"),
        State("alert-resolution", "value"),
        State("alert-id", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def do(acks: int | None, resolves: int | None, comment: str | None, resolution: str | None, alert_id: int,
           ui: dict[str, Any]) -> Any:  # fmt: skip
        v = view(ui)
        acknowledging = ctx.triggered_id == "alert-acknowledge"
        if not (acks if acknowledging else resolves):
            return no_update, no_update
        try:
            act("acknowledge" if acknowledging else "resolve", alert_id, comment, resolution)
        except (BarometerError, ValueError) as e:
            return html.Span(str(e), className="bad"), no_update
        done = v.t("alert.done_acknowledged" if acknowledging else "alert.done_resolved")
        return html.Span(f"{done} · {stamp(int(_now()), context().zone)}", className="good"), ""


def load(alert_id: int) -> AlertPage | None:
    with context().store.read() as c:
        return alert_page(c, alert_id)


def _now() -> int:
    store = context().store
    with store.read() as c:
        return store.now_ms(c)


def head(v: View, page: AlertPage) -> list[Any]:
    """Title, the sentence, and who has it in hand."""
    a = page.alert
    zone, now = context().zone, _now()
    marks = [severity_pill(v, a.severity), state_pill(v, a.state)]
    if a.level:
        marks.append(html.Span(or_code(v, "level", a.level), className="pill quiet"))
    if a.ended_at and a.state != "resolved":
        marks.append(html.Span(v.t("state.over"), className="pill quiet"))
    said = [sentence(v, a)]
    if a.seen_total:
        of = v.t("alert.of_total", total=number(v.lang, a.seen_total), share=percent(a.seen_negative / a.seen_total))
        said.append(of)
    hands = None
    if a.state == "resolved" and a.resolved_by:
        hands = v.t("alert.resolved_by", name=actor_name(v, a.resolved_by), time=clock(a.resolved_at, zone, now))
        if a.resolution:
            hands += f" · {or_code(v, 'resolution', a.resolution)}"
    elif a.acknowledged_by:
        hands = v.t("alert.acknowledged_by", name=a.acknowledged_by, time=clock(a.acknowledged_at, zone, now))
    return [
        html.Div(
            [
                dcc.Link(v.t("alert.back"), href="/alerts", className="crumb"),
                html.Div([html.H1(subject(v, a, page.series)), *marks], className="alert-title"),
                html.P((" · " if v.lang == "en" else "，").join(said), className="lead"),
                html.P(hands, className="note") if hands else None,
            ],
            className=f"alert-head strip-{a.severity} is-{a.state}",
        )
    ]


def chart(v: View, page: AlertPage) -> dict[str, Any] | None:
    """The series from well before the alert until after it; None for alerts that are about no series."""
    a, ctx_ = page.alert, context()
    if a.series_id is None:
        return None
    width = ctx_.settings.bucket_ms
    end = a.ended_at or a.last_bucket_end
    before = max(12 * width, 3 * (end - a.started_at))
    begin = (a.started_at - min(before, 500 * width)) // width * width
    until = end + max(6 * width, (end - a.started_at) // 2)
    with ctx_.store.read() as c:
        until = min(until, ctx_.store.now_ms(c) // width * width + width)
        found: list[Point] = points(c, a.series_id, begin, until, KINDS["all"], width)[0]
    return trend_figure(v, found, [(a.started_at, end)], compact=True, window=(begin, until))


def _what_to_do(v: View, page: AlertPage) -> Any:
    """Steps for alarms about the product itself."""
    a = page.alert
    if a.type != "system":
        return None
    what, steps = fault_wording(a.fingerprint, v.lang)
    return section(v.t("alert.to_do"), html.P(what), html.Ol([html.Li(step) for step in steps], className="steps"))


def side(v: View, page: AlertPage) -> list[Any]:
    """Figures, history and notifications."""
    a, zone, now = page.alert, context().zone, _now()
    rows: list[tuple[str, Any]] = [
        (v.t("alert.number", id=a.id), or_code(v, "type", a.type)),
        (v.t("alert.started"), stamp(a.started_at, zone)),
        (v.t("alert.detected"), stamp(a.detected_at, zone)),
    ]
    if a.seen_total:
        rows.append((v.t("alert.peak"), stamp(a.peak_at, zone)))
    rows.append((v.t("alert.ended"), stamp(a.ended_at, zone) if a.ended_at else v.t("alert.running")))
    if a.seen_total:
        rows += [
            (v.t("kind.label"), "、".join(kind_name(v, int(k)) for k in a.kinds) or "–"),
            (v.t("alert.window"), duration(v.lang, a.window_seconds * 1000)),
            (v.t("alert.score"), f"{a.score:.2f}"),
        ]
        if a.arm:
            rows.append((v.t("alert.arm"), or_code(v, "arm", a.arm)))
        why = a.explanation
        if why.get("expected_share") is not None:
            rows.append((v.t("alert.usual_share"), percent(why["expected_share"])))
        if why.get("copies"):
            rows.append((v.t("alert.copies"), number(v.lang, why["copies"])))
        sources = [s for s in why.get("sources") or [] if s.get("source")]
        if sources:
            told_by = "、" if v.lang == "zh" else ", "
            rows.append((v.t("alert.sources"), told_by.join(f"{s['source']} {s['negative']}" for s in sources[:3])))
        if a.detector_version:
            rows.append((v.t("alert.detector"), a.detector_version))
        if page.model:
            rows.append((v.t("alert.model"), page.model))
    figures = section(v.t("alert.numbers"), facts(rows), dcc.Link(v.t("alert.see_series"),
                      href=series_href(page.series)) if page.series else None)  # fmt: skip
    history = html.Ol(
        [
            html.Li(
                [
                    html.Div(
                        [
                            html.Strong(or_code(v, "action", e.action)),
                            severity_pill(v, e.data["severity"]) if e.data.get("severity") in SEVERITIES else None,
                            html.Span(actor_name(v, e.actor)),
                        ]
                    ),
                    html.Div(clock(e.at, zone, now, seconds=True), className="muted num small"),
                    html.P(e.comment, className="comment") if e.comment else None,
                ]
            )
            for e in page.events
        ],
        className="timeline",
    )
    told: Any = html.P(v.t("alert.no_notifications"), className="muted")
    if page.notifications:
        told = table(
            [("", "grow"), ("", ""), ("", "num")],
            [
                [
                    [html.Strong(n.receiver), f" · {or_code(v, 'reason', n.reason)}"],
                    html.Span(or_code(v, "notification", n.state), className=f"pill notify-{n.state}",
                              title=n.last_error or ""),
                    clock(n.sent_at or n.created_at, zone, now),
                ]
                for n in page.notifications
            ],
        )  # fmt: skip
    return [figures, section(v.t("alert.history"), history), section(v.t("alert.notifications"), told)]


def _evidence(v: View, page: AlertPage) -> Any:
    kept = [e for e in page.alert.evidence if isinstance(e, dict)]
    if not kept and page.alert.series_id is None:
        return None
    if not kept:
        return section(v.t("alert.evidence"), empty(v.t("alert.no_evidence"), None, "texts"))
    now = _now()
    return section(
        v.t("alert.evidence"), text_list([evidence_card(v, e, now) for e in kept]), v.t("alert.evidence_hint")
    )


def _form(v: View, page: AlertPage) -> Any:
    """What a person can do; the buttons that fit the state are shown by the class of the form."""
    parts: list[Any]
    if current_user.may_act:
        parts = [
            dmc.Textarea(id="alert-comment", label=v.t("alert.comment"), placeholder=v.t("alert.comment_hint"),
                         autosize=True, minRows=2),
            html.Button(v.t("alert.acknowledge"), id="alert-acknowledge", className="button primary only-firing"),
            html.Div(
                [
                    dmc.Select(id="alert-resolution", value="real", allowDeselect=False, w=170,
                               data=[{"value": r, "label": v.t(f"resolution.{r}")} for r in RESOLUTIONS],
                               **aria(label=v.t("alert.resolution"))),
                    html.Button(v.t("alert.resolve"), id="alert-resolve", className="button"),
                ],
                className="resolve-row",
            ),
        ]  # fmt: skip
    else:
        parts = [html.P(v.t("alert.viewer"), className="muted")]
    # The result stays visible when the form has done its work.
    return html.Div(
        [
            html.Div(section(v.t("alert.act"), html.Div(parts, className="form")), id="alert-form",
                     className=f"form-{page.alert.state}"),
            html.Div(id="alert-done", className="done", role="status"),
        ]
    )  # fmt: skip
