"""``barometer alerts``: see and work on alerts from a shell, and try out who would be told."""

from __future__ import annotations

import getpass
import json

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from barometer.errors import BarometerError
from barometer.records import Kind
from barometer.settings import settings
from barometer.store import alerts
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.queries_alerts import AlertPage, alert_page, open_alerts, past_alerts
from monitor.notify.config import Target, explain_route, load_config
from monitor.notify.formats import clock, number
from monitor.notify.wording import LEVEL, SEVERITY, series_name

app = typer.Typer(add_completion=False)
group = typer.Typer(help="Alerts, and who is told of them.", no_args_is_help=True)
app.add_typer(group, name="alerts")

STATES = {"open": ("firing", "acknowledged"), "resolved": ("resolved",), "all": ("firing", "acknowledged", "resolved")}
RESOLUTIONS = ("real", "false_alarm", "known", "other")


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
    with _store().read() as c:
        found = open_alerts(c, limit) if state == "open" else past_alerts(c, states=states, limit=limit)
    if as_json:
        for a in found:
            print(json.dumps(dict(a._mapping), ensure_ascii=False))
        return
    if not found:
        print("no alerts" if state == "all" else f"no alerts that are {state}")
        return
    zone = settings().zone
    table = Table("#", "severity", "state", "series", "since", "negative/expected", "by", box=None)
    for a in found:
        figures = f"{a.seen_negative}/{number(a.expected_negative)}" if a.seen_total else ""
        by = (a.resolved_by if a.state == "resolved" else a.acknowledged_by) or ""
        row = (str(a.id), a.severity, a.state, a.fingerprint, clock(a.started_at, zone), figures, by)
        table.add_row(*(escape(x) for x in row))
    Console().print(table)


@group.command()
def show(
    alert_id: int = typer.Argument(help="The alert's number."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object, for machines."),
) -> None:
    """One alert with its evidence, history and notifications."""
    with _store().read() as c:
        page = alert_page(c, alert_id)
    if page is None:
        raise BarometerError(f"there is no alert {alert_id}")
    if as_json:
        whole = {**page.alert._mapping, "events": [dict(e._mapping) for e in page.events],
                 "notifications": [dict(n._mapping) for n in page.notifications]}  # fmt: skip
        print(json.dumps(whole, ensure_ascii=False))
        return
    _print(page)


@group.command()
def ack(
    alert_id: int = typer.Argument(help="The alert's number."),
    comment: str = typer.Option("", help="For colleagues."),
) -> None:
    """Acknowledge: it is yours, and reminders stop."""
    store = _store()
    with store.write() as c:
        alerts.acknowledge(c, alert_id, _me(), comment or None, store.now_ms(c))
    print(f"alert {alert_id} is acknowledged by {_me()}")


@group.command()
def resolve(
    alert_id: int = typer.Argument(help="The alert's number."),
    resolution: str = typer.Option("other", help="real, false_alarm, known or other."),
    comment: str = typer.Option("", help="For colleagues."),
) -> None:
    """Close an alert. Those who were told of it are told so by the monitor."""
    if resolution not in RESOLUTIONS:
        raise BarometerError(f"--resolution {resolution}: use one of {', '.join(RESOLUTIONS)}")
    store = _store()
    with store.write() as c:
        alerts.resolve(c, alert_id, _me(), resolution, comment or None, store.now_ms(c))
    print(f"alert {alert_id} is resolved by {_me()}")


@group.command("route-test")
def route_test(
    series: str = typer.Argument(help="For example topic:real_estate or system:lag."),
    severity: str = typer.Option("warning", help="info, warning or critical."),
    kind: str = typer.Option("", help="news, comment, or both with a comma."),
    type_: str = typer.Option("", "--type", help="surge, rule or system; by default from the series."),
) -> None:
    """Who would be told of such an alert, and what each route of the file says to it. Sends nothing."""
    if severity not in alerts.SEVERITIES:
        raise BarometerError(f"--severity {severity}: use one of {', '.join(alerts.SEVERITIES)}")
    names = {k.name.lower(): int(k) for k in Kind}
    kinds = [k for k in kind.split(",") if k]
    if unknown := [k for k in kinds if k not in names]:
        raise BarometerError(f"--kind {unknown[0]}: use news, comment or news,comment")
    type_ = type_ or ("system" if series.startswith("system:") else "surge")
    if type_ not in ("surge", "rule", "system"):
        raise BarometerError(f"--type {type_}: use surge, rule or system")
    config = load_config(settings(), check_secrets=False)
    receivers, steps = explain_route(config, Target(series, type_, severity, tuple(names[k] for k in kinds)))
    for step in steps:
        print(f"{'*' if step.matched else ' '} {step.route}: {step.why}")
    for r in receivers:
        print(f"-> {r.name} ({', '.join(c.type for c in r.channels)}; {r.lang})")
    if not receivers:
        print("-> nobody")


def _print(page: AlertPage) -> None:
    a, zone, out = page.alert, settings().zone, Console(highlight=False, soft_wrap=True)
    name = series_name(a.fingerprint, "zh", settings().topics_file)
    out.print(f"[bold]#{a.id} {escape(name)}[/bold] ({escape(a.fingerprint)})  {SEVERITY[a.severity]['zh']} {a.state}")
    if a.level:
        out.print(f"level      {LEVEL[a.level]['zh']} ({a.level})")
    out.print(f"started    {clock(a.started_at, zone)}, detected {clock(a.detected_at, zone)}")
    out.print(f"ended      {clock(a.ended_at, zone) if a.ended_at else 'still running'}")
    if a.seen_total:
        out.print(f"figures    {a.seen_negative} negative of {a.seen_total}, {number(a.expected_negative)} expected, "
                  f"in {a.window_seconds} s; score {a.score:.2f}")  # fmt: skip
    for e in a.evidence[:5]:
        out.print(f"  - {escape(str(e.get('text', ''))[:160])}")
    out.print("history")
    for e in page.events:
        out.print(f"  {clock(e.at, zone)}  {escape(e.actor)}  {e.action}  {escape(e.comment or '')}")
    for n in page.notifications:
        error = f"  {escape(n.last_error)}" if n.last_error else ""
        out.print(
            f"  to {escape(n.receiver)}, channel {n.channel}  {n.reason}  {n.state}  {n.attempts} attempts{error}"
        )


def _store() -> Store:
    return open_store(settings())


def _me() -> str:
    return getpass.getuser()
