"""``barometer notify``: see what a message looks like on a channel, and send a test."""

# ruff: noqa: T201

from __future__ import annotations

from dataclasses import replace

import typer
from pydantic import TypeAdapter

from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store.alerts.notifiable import NotifiableAlert, notifiable_alert
from barometer.store.migrate import open_store
from barometer.vocabulary import SEVERITIES
from monitor.notify.channels import CHANNEL_TYPES, ChannelConfig, ChannelSettings, open_channel
from monitor.notify.config import Receiver, load_config
from monitor.notify.examples import EXAMPLE_AT, EXAMPLES, example
from monitor.notify.facts import facts_of
from monitor.notify.message import render
from monitor.notify.routes import guide_of
from monitor.notify.testing import send_test
from monitor.notify.wording import REASON

app = typer.Typer(add_completion=False)
group = typer.Typer(help="What people are told: look at messages, send a test.", no_args_is_help=True)
app.add_typer(group, name="notify")


@group.command()
def preview(
    channel: str = typer.Option(
        "mail", help=f"{', '.join(CHANNEL_TYPES)}; or a receiver of the file and a number: oncall/0."
    ),
    language: str = typer.Option("zh", help="zh, en or both."),
    type_: str = typer.Option("surge", "--type", help="The example: surge, rule or system."),
    reason: str = typer.Option(
        "first", help="first, worse, matter, repeated, escalated, unsnoozed, overdue, resolved or test."
    ),
    severity: str = typer.Option("", help="info, warning or critical; by default the example's own."),
    alert: int = typer.Option(0, help="An alert of the store instead of an example."),
    html: bool = typer.Option(False, "--html", help="The page of a mail."),
) -> None:
    """Print what would be sent over a channel. Sends nothing, and looks up no secrets."""
    _one_of("--language", language, ("zh", "en", "both"))
    _one_of("--type", type_, EXAMPLES)
    _one_of("--reason", reason, tuple(REASON))
    shown = _stored(alert) if alert else example(type_)
    if severity:
        _one_of("--severity", severity, SEVERITIES)
        shown = replace(shown, severity=severity)
    if reason == "resolved" and shown.state != "resolved" and not alert:
        over = EXAMPLE_AT + 1_800_000
        shown = replace(shown, state="resolved", ended_at=over, resolved_at=over, resolved_by="detector")
    found = _channel(channel)
    receiver = Receiver.model_validate({"name": "preview", "lang": language, "channels": [found]})
    now = EXAMPLE_AT + 600_000 if not alert else shown.detected_at
    facts = facts_of(shown, reason=reason, receiver=receiver, settings=settings(), now_ms=now)
    if settings().notify_file is not None:
        facts |= guide_of(load_config(settings(), check_secrets=False), shown.fingerprint)
    message = render(facts, "barometer-preview")
    print(message.html if html else open_channel(found, settings()).preview(message))


@group.command("test")
def send(receiver: str = typer.Argument(help="A name from the file.")) -> None:
    """Send a message that says it is a test over every channel of a receiver, now. Exit code 1 if one fails."""
    config = load_config(settings())
    found = config.receiver(receiver)
    if found is None:
        known = ", ".join(r.name for r in config.file.receivers) or "none; is notify_file set?"
        raise BarometerError(f"there is no receiver {receiver!r} (receivers: {known})")
    outcomes = send_test(config, found)
    for x in outcomes:
        again = "it would be tried again" if not x.permanent else "trying again would not help"
        said = f"taken, {x.detail}" if x.taken else f"failed, {x.detail}; {again}"
        print(f"channel {x.channel} ({x.type}): {said}")
    if not all(x.taken for x in outcomes):
        raise typer.Exit(1)


def _channel(name: str) -> ChannelSettings:
    """The sample of a type of channel, or a channel of the file."""
    if name in CHANNEL_TYPES:
        sample = {"type": name, **CHANNEL_TYPES[name].sample.filled("https://example.com", "token", "secret")}
        return TypeAdapter(ChannelConfig).validate_python(sample)
    who, _, place = name.partition("/")
    receiver = load_config(settings(), check_secrets=False).receiver(who)
    if receiver is None or not place.isdigit() or int(place) >= len(receiver.channels):
        raise BarometerError(f"--channel {name}: use one of {', '.join(CHANNEL_TYPES)}, or RECEIVER/NUMBER of the file")
    return receiver.channels[int(place)]


def _stored(alert_id: int) -> NotifiableAlert:
    with open_store(settings()).read() as c:
        found = notifiable_alert(c, alert_id)
    if found is None:
        raise BarometerError(f"there is no alert {alert_id}")
    return found


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BarometerError(f"{option} {value}: use {', '.join(known)}")
