"""``barometer alerts route-test | oncall``: who would be told, and who is on duty."""

# ruff: noqa: T201

from __future__ import annotations

import time

import typer

from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.vocabulary import LEVELS, SEVERITIES, Kind
from barometer.when import minute, parse_when
from monitor.notify.config import load_config
from monitor.notify.roster import on_duty
from monitor.notify.routes import Recipient, Router, Target, guide_of

group = typer.Typer()
AT = typer.Option("now", help="When: a time, or so long from now: 6h, 2d.")


@group.command("route-test")
def route_test(
    series: str = typer.Argument(help="For example topic:real_estate or system:lag."),
    severity: str = typer.Option("warning", help="info, warning or critical."),
    kind: str = typer.Option("", help="news, comment, or both with a comma."),
    type_: str = typer.Option("", "--type", help="surge, rule or system; by default from the series."),
    level: str = typer.Option("", help="ordinary, major or grave."),
    at: str = AT,
) -> None:
    """Who would be told of such an alert, when and why, and what each route of the file says to it. Sends nothing."""
    if severity not in SEVERITIES:
        raise BarometerError(f"--severity {severity}: use one of {', '.join(SEVERITIES)}")
    names = {k.label: int(k) for k in Kind}
    kinds = [k for k in kind.split(",") if k]
    if unknown := [k for k in kinds if k not in names]:
        raise BarometerError(f"--kind {unknown[0]}: use news, comment or news,comment")
    type_ = type_ or ("system" if series.startswith("system:") else "surge")
    if type_ not in ("surge", "rule", "system"):
        raise BarometerError(f"--type {type_}: use surge, rule or system")
    if level and level not in LEVELS:
        raise BarometerError(f"--level {level}: use one of {', '.join(LEVELS)}")
    config = load_config(settings(), check_secrets=False)
    router, when = Router(config), _when(at)
    target = Target(series, type_, severity, tuple(names[k] for k in kinds), level or None)
    recipients, steps = router.explain(target, when)
    for step in steps:
        print(f"{'*' if step.matched else ' '} {step.route}: {step.why}")
    for r in recipients:
        print(f"-> {_told(r)}; again every {r.repeat_minutes:g} min until somebody acknowledges")
    if not recipients:
        print("-> nobody")
    for r in router.escalations(target, when):
        print(f"-> if nobody acknowledges, after {r.after_minutes:g} min: {_told(r)}")
    for name, value in guide_of(config, series).items():
        print(f"{name}: {value['zh'] if isinstance(value, dict) else value}")


@group.command()
def oncall(at: str = AT) -> None:
    """Who is on duty, of every roster of the file."""
    config = load_config(settings(), check_secrets=False)
    zone, when = settings().zone, _when(at)
    for roster in config.file.rosters:
        duty = on_duty(roster, when, zone)
        print(f"{duty.roster}: {duty.who}, {minute(duty.since, zone)} to {minute(duty.until, zone)} ({duty.why})")
    if not config.file.rosters:
        print("the file has no rosters")


def _told(r: Recipient) -> str:
    channels = ", ".join(c.type for c in r.receiver.channels)
    then = "at once" if r.quiet_until is None else f"at {minute(r.quiet_until, settings().zone)}, after quiet hours"
    return f"{r.receiver.name} ({channels}; {r.receiver.lang}) {then}, by {r.why}"


def _when(at: str) -> int:
    return parse_when(at, time.time_ns() // 1_000_000, settings().zone, "--at")
