"""One alert: what was seen, what was expected, the chart around it, its evidence, its history; and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html, no_update
from flask_login import current_user

from barometer.alarm_runbook import runbook_entry
from barometer.store.alerts.handling import snoozed
from barometer.store.alerts.silences import Silenced, Silencer
from barometer.store.alerts.views import AlertPage, alert_page
from barometer.store.labels.annotations import labels_of_documents
from barometer.store.series.points import Point, points
from dashboard.components.alert_forms import dialog, opener, register_acts
from dashboard.components.alert_parts import actor_name, sentence, subject
from dashboard.components.alert_story import history, incident, joined, notifications, steps, why
from dashboard.components.charts import graph, trend_figure
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import (
    empty,
    facts,
    href,
    icon,
    kind_name,
    or_code,
    section,
    series_href,
    severity_pill,
    state_pill,
)
from dashboard.components.texts import evidence_card, text_list
from dashboard.components.trust_parts import trust_section
from dashboard.context import KIND_FILTERS, View, context, view
from dashboard.format import clock, duration, exact, number, percent, stamp
from dashboard.navigation import Screen, add
from dashboard.services.acts import people

SCREEN = add(Screen("alert", "/alerts/<number>", under="alerts"))

PARTS = ("alert-head", "alert-side", "alert-why", "alert-steps", "alert-history")
DIALOGS = ("assign", "level", "step", "snooze", "silence", "resolve", "false-alarm")
_COMMENT = State("alert-comment", "value")
PLAIN: Mapping[str, Mapping[str, Any]] = {
    "acknowledge": {"act": "acknowledge", "comment": _COMMENT},
    "comment-do": {"act": "comment", "comment": _COMMENT},
    "assign-me": {"act": "assign", "to": State("alert-me", "data")},
    "wake": {"act": "wake", "comment": _COMMENT},
    "unsilence": {"act": "unsilence", "comment": _COMMENT},
}


def layout(number_: str = "", ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    number_ = query.get("number", number_)
    page = load(int(number_)) if number_.isdigit() and len(number_) < 16 else None
    if page is None:
        return html.Div(
            [
                html.H1(v.t("alert.unknown")),
                empty(v.t("not_found.hint"), None, "lost"),
                dcc.Link(v.t("alert.back"), href="/alerts"),
            ],
            className="lost",
        )
    figure, now = chart(v, page), _now()
    return html.Div(
        [
            dcc.Store(id="alert-id", data=page.alert.id),
            dcc.Store(id="alert-me", data=current_user.name),
            live("alert-head", head(v, page, now)),
            html.Div(
                [
                    html.Div(
                        [
                            _what_to_do(v, page),
                            _evidence(v, page),
                            live("alert-why", why(v, page.alert, page.series)),
                            section(v.t("alert.chart"), graph("alert-chart", figure, 260)) if figure else None,
                            live("alert-history", _history(v, page, now)),
                        ],
                        className="wide",
                    ),
                    html.Div([_form(v, page, now), live("alert-side", side(v, page, now)), _trust(v, page)]),
                ],
                className="columns acting",
            ),
        ]
    )


def register(app: dash.Dash) -> None:
    register_live(app, *PARTS)
    register_acts(app, "alert", PLAIN, DIALOGS, State("alert-id", "data"))
    app.clientside_callback(
        ClientsideFunction("barometer_alerts", "cleared"),
        Output("alert-comment", "value"),
        Input("alert-done", "children"),
        prevent_initial_call=True,
    )

    @app.callback(
        *(target(part) for part in PARTS),
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
            return (no_update,) * (len(PARTS) + 1)
        now = _now()
        new = (
            head(v, page, now),
            side(v, page, now),
            why(v, page.alert, page.series),
            steps(v, page.steps, now),
            _history(v, page, now),
        )
        return (*(fresh(part, x) for part, x in zip(PARTS, new, strict=True)), form_class(page, now))


def load(alert_id: int) -> AlertPage | None:
    with context().store.read() as c:
        return alert_page(c, alert_id)


def _trust(v: View, page: AlertPage) -> Any:
    """Whether labels and alerts of its series have been right so far."""
    return None if page.alert.type == "system" or page.series is None else trust_section(v, page.series)


def _now() -> int:
    store = context().store
    with store.read() as c:
        return store.now_ms(c)


def head(v: View, page: AlertPage, now: int) -> list[Any]:
    """Title, the sentence, and who has it in hand."""
    a = page.alert
    zone = context().zone
    marks = [severity_pill(v, a.severity), state_pill(v, a.state)]
    if a.level:
        marks.append(html.Span(or_code(v, "level", a.level), className=f"level level-{a.level}"))
    if a.ended_at and a.state != "resolved":
        marks.append(html.Span(v.t("state.over"), className="pill quiet"))
    summary = [sentence(v, a)]
    if a.seen_total:
        of = v.t("alert.of_total", total=number(v.lang, a.seen_total), share=percent(a.seen_negative / a.seen_total))
        summary.append(of)
    hands = None
    if a.state == "resolved" and a.resolved_by:
        hands = v.t("alert.resolved_by", name=actor_name(v, a.resolved_by), time=clock(a.resolved_at, zone, now))
        if a.resolution:
            hands += f" · {or_code(v, 'resolution', a.resolution)}"
    elif a.acknowledged_by:
        hands = v.t("alert.acknowledged_by", name=a.acknowledged_by, time=clock(a.acknowledged_at, zone, now))
    if a.state != "resolved":
        owner = v.t("alert.owner", name=a.assignee) if a.assignee else None
        hands = " · ".join(x for x in (owner, hands) if x) or v.t("alert.no_owner")
    notices = []
    if snoozed(a, now):
        notices.append(
            html.P(
                [icon("snooze"), v.t("alert.is_snoozed", time=clock(a.snoozed_until, zone, now))], className="notice"
            )
        )
    if (s := silenced(a, now)) is not None:
        said = v.t("alert.is_silenced", time=clock(s.until, zone, now), name=s.by, why=s.why)
        notices.append(html.P([icon("mute"), said], className="notice"))
    unreached = sorted({n.receiver for n in page.notifications if n.state == "failed"})
    if unreached:
        notices.append(
            html.P(
                [
                    html.Strong("⚠ " + v.t("alert.unreached", names=joined(v, unreached))),
                    html.Span(v.t("alert.unreached_hint")),
                ],
                className="notice notice-bad",
            )
        )
    return [
        html.Div(
            [
                dcc.Link(v.t("alert.back"), href="/alerts", className="crumb"),
                html.Div([html.H1(subject(v, a, page.series)), *marks], className="alert-title"),
                html.P((" · " if v.lang == "en" else "，").join(summary), className="lead"),
                html.P([html.Span(hands), *_ways_on(v, page)], className="note ways-on"),
            ],
            className=f"alert-head strip-{a.severity} is-{a.state}",
        ),
        html.Div(notices, className="notices"),
    ]


def _ways_on(v: View, page: AlertPage) -> list[Any]:
    """Where an analyst goes from here: the series around the alert, and its texts."""
    a = page.alert
    if not page.series:
        return []
    end = a.ended_at or a.last_bucket_end
    asked = {"sentiment": "negative", "series": page.series, "from": str(a.started_at), "to": str(end)}
    return [
        dcc.Link(v.t("alert.see_series") + " →", href=series_href(page.series)),
        dcc.Link(v.t("alert.to_texts") + " →", href=href("/documents", asked)) if end > a.started_at else None,
    ]


def silenced(a: Any, now: int) -> Silenced | None:
    """The silence that covers an open alert."""
    if a.state == "resolved":
        return None
    with context().store.read() as c:
        return Silencer(c, context().settings, now).of(dict(a._mapping))


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
        found: list[Point] = points(c, a.series_id, begin, until, KIND_FILTERS["all"], width)[0]
    return trend_figure(v, found, [(a.started_at, end)], compact=True, window=(begin, until))


def _what_to_do(v: View, page: AlertPage) -> Any:
    """Steps for alarms about the product itself."""
    a = page.alert
    if a.type != "system":
        return None
    what, steps = runbook_entry(a.fingerprint, v.lang)
    todo = section(v.t("alert.to_do"), html.P(what), html.Ol([html.Li(step) for step in steps], className="steps"))
    names = [str(x) for x in a.explanation.get("names") or ()]
    if not names:
        return todo
    return html.Div([todo, section(v.t("system.silent_now"), html.P(", ".join(names)), exact(len(names)))])


def side(v: View, page: AlertPage, now: int) -> list[Any]:
    """Notifications, the incident, figures."""
    a, zone = page.alert, context().zone
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
            (v.t("kind.label"), joined(v, (kind_name(v, int(k)) for k in a.kinds)) or "–"),
            (v.t("alert.window"), duration(v.lang, a.window_seconds * 1000)),
            (v.t("alert.score"), f"{a.score:.2f}"),
        ]
        if a.arm:
            rows.append((v.t("alert.arm"), or_code(v, "arm", a.arm)))
        if a.detector_version:
            rows.append((v.t("alert.detector"), a.detector_version))
        if page.model:
            rows.append((v.t("alert.model"), page.model))
    figures = section(v.t("alert.numbers"), facts(rows))
    return [
        section(v.t("alert.notifications"), notifications(v, page.notifications, now)),
        incident(v, page.together, {x.fingerprint: subject(v, x, x.fingerprint) for x in page.together}),
        figures,
    ]


def _history(v: View, page: AlertPage, now: int) -> Any:
    return section(v.t("alert.history"), history(v, page.events, now, page.alert.explanation))


def _evidence(v: View, page: AlertPage) -> Any:
    kept = [e for e in page.alert.evidence if isinstance(e, dict)]
    if not kept and page.alert.series_id is None:
        return None
    if not kept:
        return section(v.t("alert.evidence"), empty(v.t("alert.no_evidence"), None, "texts"))
    now = _now()
    keys = [
        (int(e["observed_at"]), int(e["row_id"])) if e.get("row_id") and e.get("observed_at") else (0, 0) for e in kept
    ]
    with context().store.read() as c:
        people = labels_of_documents(c, keys)
    cards = [evidence_card(v, e, now, people.get(key, ())) for e, key in zip(kept, keys, strict=True)]
    return section(v.t("alert.evidence"), text_list(cards), v.t("alert.evidence_hint"))


def form_class(page: AlertPage, now: int) -> str:
    """What the alert is like, for the style sheet, which shows the buttons that fit."""
    a = page.alert
    marks = [f"form-{a.state}"]
    marks += ["snoozed"] if snoozed(a, now) else []
    marks += ["silenced"] if silenced(a, now) is not None else []
    marks += ["mine"] if a.assignee == current_user.name else []
    marks += ["with-steps"] if any(s.state == "open" for s in page.steps) else []
    return " ".join(marks)


def _form(v: View, page: AlertPage, now: int) -> Any:
    """What a person can do, and what the level asks for; the buttons that fit are shown by the class."""
    listed = live("alert-steps", steps(v, page.steps, now))
    if not current_user.may_act:
        return html.Div(
            [
                section(v.t("alert.steps"), listed),
                html.P(v.t("alert.viewer"), className="note viewer"),
                html.Div([html.Div(id="alert-form", hidden=True), html.Div(id="alert-done", hidden=True)]),
            ]
        )

    def button(what: str, id_: str, class_name: str = "") -> Any:
        return html.Button(v.t(f"act.{what}"), id=f"alert-{id_}", className=f"button {class_name}".strip())

    with context().store.read() as c:
        names = people(c)
    others = sum(1 for x in page.together if x.state != "resolved")
    sources = list(dict.fromkeys(str(e["source"]) for e in page.alert.evidence if e.get("source")))
    acts = section(
        v.t("alert.act"),
        html.Div(
            [
                html.Div(
                    [
                        button("acknowledge", "acknowledge", "primary only-firing"),
                        button("assign_me", "assign-me", "only-open not-mine"),
                    ],
                    className="act-first",
                ),
                html.Div(
                    [
                        opener(v, "alert", "assign", "only-open"),
                        opener(v, "alert", "level"),
                        opener(v, "alert", "snooze", "only-open not-snoozed"),
                        button("wake", "wake", "only-open only-snoozed"),
                        opener(v, "alert", "silence", "only-open not-silenced"),
                        button("unsilence", "unsilence", "only-open only-silenced"),
                        opener(v, "alert", "resolve", "only-open"),
                        opener(v, "alert", "false-alarm", "only-open"),
                    ],
                    className="act-grid",
                ),
                dmc.Textarea(
                    id="alert-comment",
                    label=v.t("alert.comment"),
                    placeholder=v.t("alert.comment_hint"),
                    autosize=True,
                    minRows=2,
                    value="",
                ),
                button("comment", "comment-do", "quiet-button"),
                html.Div(id="alert-done", className="done", role="status"),
            ],
            className="form",
        ),
    )
    todo = section(v.t("alert.steps"), html.Div([listed, opener(v, "alert", "step", "only-with-steps step-button")]))
    given = {
        "assign": {"people": names},
        "level": {"level": page.alert.level},
        "silence": {"sources": sources},
        "resolve": {"others": others},
        "false-alarm": {"others": others},
    }
    return html.Div(
        [acts, todo, *(dialog(v, "alert", d, **given.get(d, {})) for d in DIALOGS)],  # type: ignore[arg-type]
        id="alert-form",
        className=form_class(page, now),
    )
