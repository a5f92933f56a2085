"""``barometer alerts``: see and work on alerts from a shell, and try out who would be told."""

# ruff: noqa: T201

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store.alerts.handling import STEP_NAMES, overdue, steps_of
from barometer.store.alerts.silences import Silenced, silenced_alerts
from barometer.store.alerts.views import AlertPage, alert_page, open_alerts, past_alerts
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.vocabulary import ALERT_STATES, OPEN_STATES, AlertState
from barometer.when import minute
from monitor.notify.cli import acts, routes
from monitor.notify.formats import number
from monitor.notify.wording import LEVEL, SEVERITY, series_name

app = typer.Typer(add_completion=False)
group = typer.Typer(help="Alerts, and who is told of them.", no_args_is_help=True)
app.add_typer(group, name="alerts")
for part in (acts.group, routes.group):
    group.registered_commands += part.registered_commands

STATES: Mapping[str, tuple[AlertState, ...]] = {"open": OPEN_STATES, "resolved": ("resolved",), "all": ALERT_STATES}


@group.command("list")
def list_(
    state: str = typer.Option("open", help="open, firing, acknowledged, resolved or all."),
    limit: int = typer.Option(50, min=1, max=1000, help="At most so many."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line, for machines."),
) -> None:
    """Alerts: open ones by urgency, others with the newest first."""
    states = STATES.get(state, (state,))
    if not set(states) <= set(STATES["all"]):
        raise BarometerError(f"--state {state}: use open, firing, acknowledged, resolved or all")
    store = _store()
    with store.read() as c:
        found = open_alerts(c, limit) if state == "open" else past_alerts(c, states=states, limit=limit)
        now = store.now_ms(c)
        silenced = silenced_alerts(c, settings(), now)
        late = {s.alert_id for s in overdue(steps_of(c, [a.id for a in found]), now)}
    if as_json:
        for a in found:
            more = {"silenced_until": silenced[a.id].until if a.id in silenced else None, "overdue": a.id in late}
            print(json.dumps({**a._mapping, **more}, ensure_ascii=False))
        return
    if not found:
        print("no alerts" if state == "all" else f"no alerts that are {state}")
        return
    zone = settings().zone
    table = Table("#", "severity", "state", "series", "since", "negative/expected", "level", "by", "", box=None)
    for a in found:
        figures = f"{a.seen_negative}/{number(a.expected_negative)}" if a.seen_total else ""
        by = (a.resolved_by if a.state == "resolved" else a.acknowledged_by) or ""
        snoozed = a.snoozed_until is not None and a.snoozed_until > now
        marks = (("silenced", a.id in silenced), ("snoozed", snoozed), ("overdue", a.id in late))
        level = LEVEL[a.level]["zh"] if a.level else ""
        row = (
            str(a.id),
            a.severity,
            a.state,
            a.fingerprint,
            minute(a.started_at, zone),
            figures,
            level,
            by,
            ", ".join(name for name, holds in marks if holds),
        )
        table.add_row(*(escape(x) for x in row))
    Console().print(table)


@group.command()
def show(
    alert_id: int = typer.Argument(help="The alert's number."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object, for machines."),
) -> None:
    """One alert with its evidence, history and notifications."""
    store = _store()
    with store.read() as c:
        page, now = alert_page(c, alert_id), store.now_ms(c)
        if page is None:
            raise BarometerError(f"there is no alert {alert_id}")
        silenced = silenced_alerts(c, settings(), now).get(alert_id)
    if as_json:
        whole = {
            **page.alert._mapping,
            "events": [dict(e._mapping) for e in page.events],
            "notifications": [dict(n._mapping) for n in page.notifications],
            "steps": [dict(x._mapping) for x in page.steps],
            "together": [a.id for a in page.together],
            "silenced": None if silenced is None else asdict(silenced),
        }
        print(json.dumps(whole, ensure_ascii=False))
        return
    _print(page, silenced, now)


def _print(page: AlertPage, silenced: Silenced | None, now: int) -> None:
    a, zone, out = page.alert, settings().zone, Console(highlight=False, soft_wrap=True)
    name = series_name(a.fingerprint, "zh", settings().topics_file)
    out.print(f"[bold]#{a.id} {escape(name)}[/bold] ({escape(a.fingerprint)})  {SEVERITY[a.severity]['zh']} {a.state}")
    if a.level:
        out.print(f"level      {LEVEL[a.level]['zh']} ({a.level}), by {escape(a.level_by or '?')}")
    for step in page.steps:
        late = "OVERDUE, " if step.state == "open" and step.due_at <= now else ""
        done = f" by {escape(step.done_by)}" if step.done_by else f" until {minute(step.due_at, zone)}"
        note = f"  {escape(step.note)}" if step.note else ""
        out.print(f"  {STEP_NAMES[step.step]} ({step.step})  {late}{step.state}{done}{note}")
    if page.together:
        told = ", ".join(f"#{o.id} {escape(o.fingerprint)} {o.state}" for o in page.together)
        out.print(f"incident   {a.incident_id}, with {told}")
    if a.assignee:
        out.print(f"assigned   {escape(a.assignee)}")
    if silenced is not None:
        out.print(f"silenced   until {minute(silenced.until, zone)} by {escape(silenced.by)}: {escape(silenced.why)}")
    if a.snoozed_until and a.snoozed_until > now:
        out.print(f"put off    until {minute(a.snoozed_until, zone)}")
    out.print(f"started    {minute(a.started_at, zone)}, detected {minute(a.detected_at, zone)}")
    out.print(f"ended      {minute(a.ended_at, zone) if a.ended_at else 'still running'}")
    if a.seen_total:
        out.print(
            f"figures    {a.seen_negative} negative of {a.seen_total}, {number(a.expected_negative)} expected, "
            f"in {a.window_seconds} s; score {a.score:.2f}"
        )
    for e in a.evidence[:5]:
        out.print(f"  - {escape(str(e.get('text', ''))[:160])}")
    out.print("history")
    for e in page.events:
        more = escape(_more(e.data, zone))
        out.print(f"  {minute(e.at, zone)}  {escape(e.actor)}  {e.action}  {more}{escape(e.comment or '')}")
    for n in page.notifications:
        error = f"  {escape(n.last_error)}" if n.last_error else ""
        out.print(
            f"  to {escape(n.receiver)}, channel {n.channel}  {n.reason}  {n.state}  {n.attempts} attempts{error}"
        )


def _more(data: dict[str, Any], zone: ZoneInfo) -> str:
    """What an event says besides, where people need it."""
    said = []
    for key in ("to", "step", "receiver", "receivers", "incident", "with"):
        value = data.get(key)
        if value is not None:
            said.append(f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    if isinstance(data.get("until"), int):
        said.append(f"until {minute(data['until'], zone)}")
    return "; ".join(said) + "  " if said else ""


def _store() -> Store:
    return open_store(settings())
