"""Rows of the work list: what an alert is about, whose it is, how long it runs, and what is due next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from barometer.store.alerts.handling import snoozed
from barometer.store.alerts.silences import Silenced
from barometer.telling import telling
from dashboard.components.alert_parts import actor_name, alert_href, joined, subject
from dashboard.components.parts import aria, data, href, icon, or_code, severity_pill, state_pill
from dashboard.context import View, context
from dashboard.format import clock, duration, number


@dataclass(frozen=True, slots=True)
class Beside:
    """What a row tells beyond the alert's own columns."""

    now: int
    silenced: Mapping[int, Silenced] = field(default_factory=dict)
    steps: Mapping[int, str] = field(default_factory=dict)
    """The step that is due next."""
    incidents: Mapping[int, int] = field(default_factory=dict)
    """Alerts of an incident, where there is more than one."""
    unreached: frozenset[int] = frozenset()


def grouped(alerts: Sequence[Any], incidents: Mapping[int, int]) -> list[tuple[Any, bool]]:
    """Alerts of one incident one below the other, where its first one stands; True: below another."""
    members: dict[int, list[Any]] = {}
    for a in alerts:
        if a.incident_id in incidents:
            members.setdefault(a.incident_id, []).append(a)
    found: list[tuple[Any, bool]] = []
    for a in alerts:
        group = members.get(a.incident_id, [a]) if a.incident_id is not None else [a]
        if group[0] is a:
            found += [(x, i > 0) for i, x in enumerate(group)]
    return found


def list_table(v: View, alerts: Sequence[Any], beside: Beside, query: Mapping[str, str | None], may_act: bool) -> Any:
    """The table; rows become cards on narrow screens."""
    heads: list[tuple[str, str, str]] = [
        (v.t("alerts.subject"), "grow", ""),
        (v.t("alerts.severity"), "", "-severity"),
        (v.t("alerts.level"), "", "-level"),
        (v.t("alerts.whose"), "", "owner"),
        (v.t("alerts.age"), "", "started"),
        (v.t("alerts.due"), "", "due"),
        (v.t("alerts.seen"), "right num", ""),
    ]
    cells: list[Any] = []
    if may_act:
        box = dmc.Checkbox(id="pick-all", size="xs", radius=4, **aria(label=v.t("alerts.pick_all")))
        cells.append(html.Th(box, className="pick", scope="col"))
    for text, class_name, sort in heads:
        cells.append(_head(text, class_name, sort, query))
    body = []
    for a, below in grouped(alerts, beside.incidents):
        row = _cells(v, a, beside, below)
        tds: list[Any] = [
            html.Td(
                html.Div(_none() if x is None else x),
                className=heads[i][1] + (" nothing" if x is None else ""),
                **data(label=heads[i][0] if i else ""),
            )
            for i, x in enumerate(row)
        ]
        if may_act:
            tick = dmc.Checkbox(id=f"pick-{a.id}", size="xs", radius=4, **aria(label=v.t("alerts.pick", id=a.id)))
            tds.insert(0, html.Td(tick, className="pick"))
        body.append(html.Tr(tds, className=f"is-{a.state}" + (" member" if below else ""), **data(alert=str(a.id))))
    return html.Div(html.Table([html.Thead(html.Tr(cells)), html.Tbody(body)]), className="table-scroll")


def _head(text: str, class_name: str, sort: str, query: Mapping[str, str | None]) -> Any:
    if not sort:
        return html.Th(text, className=class_name, scope="col")
    now, opposite = query.get("sort"), sort.removeprefix("-") if sort.startswith("-") else f"-{sort}"
    on = now in (sort, opposite)
    then = opposite if now == sort else None if now == opposite else sort
    order = {"sort": "descending" if str(now).startswith("-") else "ascending"} if on else {}
    mark = html.Span(
        ("▼" if str(now).startswith("-") else "▲") if on else "", className="sort-mark", **aria(hidden="true")
    )
    link = dcc.Link([text, mark], href=href("/alerts", {**query, "sort": then, "page": None}), className="sort-link")
    return html.Th(link, className=class_name, scope="col", **aria(**order))


def _cells(v: View, a: Any, beside: Beside, below: bool) -> list[Any]:
    zone, now = context().zone, beside.now
    notes: list[Any] = []
    if about := telling(a.explanation, a.seen_negative):
        notes.append(html.Span(joined(v, about), className="about"))
    if a.ended_at and a.state != "resolved":
        notes.append(html.Span(v.t("state.over")))
    if a.state == "resolved" and a.resolution:
        notes.append(html.Span(or_code(v, "resolution", a.resolution)))
    if snoozed(a, now):
        notes.append(html.Span([icon("snooze"), v.t("alerts.snoozed", time=clock(a.snoozed_until, zone, now))]))
    if (s := beside.silenced.get(a.id)) is not None:
        notes.append(html.Span([icon("mute"), v.t("alerts.silenced", time=clock(s.until, zone, now))]))
    if a.id in beside.unreached:
        notes.append(html.Span("⚠ " + v.t("alerts.unreached"), className="bad"))
    if not below and a.incident_id in beside.incidents:
        notes.append(html.Span(v.t("alerts.incident", n=beside.incidents[a.incident_id])))
    title = dcc.Link(
        [html.Strong(subject(v, a, a.series)), html.Small(f"#{a.id}", className="muted num")],
        href=alert_href(a),
        className="row-link",
    )
    seen = [html.Strong(number(v.lang, a.seen_negative)), f" / {number(v.lang, round(a.expected_negative, 1))}"]
    end = a.ended_at or a.resolved_at
    level = html.Span(v.t(f"level.{a.level}"), className=f"level level-{a.level}") if a.level else None
    return [
        html.Div(
            [html.Div([title, state_pill(v, a.state)], className="title-line"), html.Div(notes, className="row-notes")]
        ),
        severity_pill(v, a.severity),
        level,
        actor_name(v, a.owner) if a.owner else None,
        html.Span(duration(v.lang, (end or now) - a.started_at), className="num", title=clock(a.started_at, zone, now)),
        due(v, a.due_at, beside.steps.get(a.id), now),
        seen if a.seen_total else None,
    ]


def due(v: View, at: int | None, step: str | None, now: int) -> Any:
    """A deadline: how long there is, or how long it has passed; the latter with a sign, not by colour alone. None: no
    deadline."""
    if at is None:
        return None
    name = v.t(f"step.{step}") + " · " if step else ""
    if at <= now:
        return html.Span(f"⚠ {name}{v.t('alerts.overdue', time=duration(v.lang, now - at))}", className="overdue")
    return html.Span(f"{name}{v.t('alerts.due_in', time=duration(v.lang, at - now))}")


def _none() -> Any:
    return html.Span("–", className="muted")
