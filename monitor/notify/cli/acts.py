"""``barometer alerts ack | assign | comment | level | step | snooze | resolve | false-alarm``: what people do. The
actor is the user of the system."""

# ruff: noqa: T201

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from sqlalchemy import Connection

from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store.alerts import handling, life_cycle
from barometer.store.alerts.incidents import incident_alerts
from barometer.store.alerts.notifiable import notifiable_alert
from barometer.store.migrate import open_store
from barometer.vocabulary import FALSE_ALARM_REASONS, RESOLUTIONS, STEPS
from barometer.when import minute, parse_when

group = typer.Typer()

NUMBER = typer.Argument(help="The alert's number.")
COMMENT = typer.Option("", help="For colleagues.")
WHOLE = typer.Option(False, "--incident", help="All open alerts of its incident.")


def me() -> str:
    """Who acts."""
    return getpass.getuser()


@contextmanager
def transaction() -> Iterator[tuple[Connection, int]]:
    """A transaction of the store, and its time."""
    store = open_store(settings())
    try:
        with store.write() as c:
            yield c, store.now_ms(c)
    finally:
        store.close()


@group.command()
def ack(alert_id: int = NUMBER, comment: str = COMMENT) -> None:
    """Acknowledge: it is yours, with the others of its incident, and reminders stop."""
    with transaction() as (c, now):
        life_cycle.acknowledge(c, alert_id, me(), comment or None, now)
    print(f"alert {alert_id} is acknowledged by {me()}")


@group.command()
def assign(
    alert_id: int = NUMBER,
    to: str = typer.Argument("", help="Whose it is now; left out: nobody's."),
) -> None:
    """Give an open alert to somebody."""
    with transaction() as (c, now):
        life_cycle.assign(c, alert_id, me(), to or None, now)
    print(f"alert {alert_id} is {to}'s" if to else f"alert {alert_id} is nobody's")


@group.command("comment")
def comment_(alert_id: int = NUMBER, text: str = typer.Argument(help="What colleagues should know.")) -> None:
    """Add a remark, in any state."""
    with transaction() as (c, now):
        life_cycle.comment(c, alert_id, me(), text, now)
    print(f"noted on alert {alert_id}")


@group.command()
def level(
    alert_id: int = NUMBER,
    value: str = typer.Argument(metavar="LEVEL", help="ordinary 一般, major 较大, grave 重大, or none."),
    comment: str = COMMENT,
) -> None:
    """Say how grave the matter is; sets the deadlines of its steps. No rule changes what a person said."""
    names = {zh: code for code, zh in handling.LEVEL_NAMES.items()}
    chosen = None if value == "none" else names.get(value, value)
    with transaction() as (c, now):
        handling.set_level(c, alert_id, me(), chosen, now, comment or None, settings().level_steps)
        steps = handling.steps_of(c, [alert_id])
    print(f"alert {alert_id}: level {value}")
    for s in steps:
        if s.state == "open":
            print(f"  {handling.STEP_NAMES[s.step]} ({s.step}) until {minute(s.due_at, settings().zone)}")


@group.command()
def step(
    alert_id: int = NUMBER,
    name: str = typer.Argument(metavar="STEP", help="assess 研判, respond 处置, report 报告 or review 总结."),
    note: str = typer.Option("", help="What was done or found."),
    waive: bool = typer.Option(False, "--waive", help="It is not needed; the note says why."),
) -> None:
    """A step of the alert's level is done."""
    codes = {zh: code for code, zh in handling.STEP_NAMES.items()}
    with transaction() as (c, now):
        handling.do_step(c, alert_id, codes.get(name, name), me(), note or None, now, waive=waive)
        left = [s.step for s in handling.steps_of(c, [alert_id]) if s.state == "open"]
    left.sort(key=STEPS.index)
    print(f"alert {alert_id}: {name} {'is not needed' if waive else 'is done'}; left: {', '.join(left) or 'nothing'}")


@group.command()
def snooze(
    alert_id: int = NUMBER,
    until: str = typer.Option(..., help="A time, a span like 90m, 6h, 2d, or now to end it."),
    comment: str = COMMENT,
) -> None:
    """Not now: no reminders until then, unless it gets worse; then it is told again."""
    with transaction() as (c, now):
        at = None if until == "now" else parse_when(until, now, settings().zone, "--until")
        handling.snooze(c, alert_id, me(), at, comment or None, now)
    print(f"alert {alert_id} is " + (f"put off until {minute(at, settings().zone)}" if at else "no longer put off"))


@group.command()
def resolve(
    alert_id: int = NUMBER,
    resolution: str = typer.Option("other", help="real, false_alarm, known or other."),
    comment: str = COMMENT,
    incident: bool = WHOLE,
) -> None:
    """Close an alert. Those who were told of it are told so by the monitor."""
    if resolution not in RESOLUTIONS:
        raise BarometerError(f"--resolution {resolution}: use one of {', '.join(RESOLUTIONS)}")
    _close(alert_id, resolution, comment, incident)


@group.command("false-alarm")
def false_alarm(
    alert_id: int = NUMBER,
    reason: str = typer.Option("", help=f"Why it is one: {', '.join(FALSE_ALARM_REASONS)}."),
    comment: str = COMMENT,
    incident: bool = WHOLE,
) -> None:
    """Close an alert as a false alarm; its open steps are waived."""
    _close(alert_id, "false_alarm", comment, incident, reason or None)


def _close(alert_id: int, resolution: str, comment: str, incident: bool, reason: str | None = None) -> None:
    closed = [alert_id]
    with transaction() as (c, now):
        life_cycle.resolve(c, alert_id, me(), resolution, comment or None, now, reason)
        if incident:
            alert = notifiable_alert(c, alert_id)
            place = None if alert is None else alert.incident_id
            for other in incident_alerts(c, place) if place is not None else []:
                if other.state != "resolved":
                    life_cycle.resolve(c, other.id, me(), resolution, comment or None, now, reason)
                    closed.append(other.id)
    for number in closed:
        print(f"alert {number} is resolved by {me()}")
