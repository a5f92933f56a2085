"""Every kind of channel as the file of receivers would have it, and messages for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter

from barometer.settings import load_settings
from monitor.notify.channels import CHANNEL_TYPES, ChannelConfig, ChannelSender, ChannelSettings, open_channel
from monitor.notify.channels.http import HttpSender, Request
from monitor.notify.channels.sample import ServiceAnswers
from monitor.notify.config import Receiver
from monitor.notify.facts import facts_of
from monitor.notify.message import Message, render
from tests.support.alert_examples import AT, alert

HTTP = tuple(type_ for type_, channel in CHANNEL_TYPES.items() if channel.sample.answers is not None)
CHECKS = "tests.unit.monitor.notify.channels"
TOKEN = "t0ken-a1b2c3d4e5"
SECRET = "s3cret-f6e5d4c3b2"


def config_of(kind: str, base: str = "http://127.0.0.1:1", **more: Any) -> ChannelSettings:
    """A channel that sends to ``base``, with a token in the URL and a secret where the kind has one."""
    values = CHANNEL_TYPES[kind].sample.filled(base, TOKEN, SECRET)
    return TypeAdapter(ChannelConfig).validate_python({"type": kind, **values, **more})


def answers_of(kind: str) -> ServiceAnswers:
    answers = CHANNEL_TYPES[kind].sample.answers
    assert answers is not None
    return answers


def channel_of(kind: str, base: str = "http://127.0.0.1:1", **more: Any) -> ChannelSender:
    return open_channel(config_of(kind, base, **more), load_settings())


def message(lang: str = "zh", reason: str = "first", **more: Any) -> Message:
    receiver = Receiver.model_validate({"name": "oncall", "lang": lang, "channels": [{"type": "mail", "to": "a@b.c"}]})
    config = load_settings(public_url="http://barometer.test/")
    facts = facts_of(alert(**more), reason=reason, receiver=receiver, settings=config, now_ms=AT + 1_200_000)
    return render(facts, "key-1")


def over() -> Message:
    return message(reason="resolved", state="resolved", resolved_by="detector", ended_at=1_700_001_000_000)


def request_of(kind: str, m: Message, **more: Any) -> Request:
    """The POST that a channel over HTTP would send."""
    channel = channel_of(kind, **more)
    assert isinstance(channel, HttpSender)
    return channel.request(m)


def elements(value: Any) -> list[dict[str, Any]]:
    """All objects of a JSON value."""
    if isinstance(value, dict):
        return [value, *(x for v in value.values() for x in elements(v))]
    return [x for v in value for x in elements(v)] if isinstance(value, list) else []


def markdown_is_harmless(text: str, m: Message) -> None:
    """No mention, no HTML, no link but to the alert."""
    assert "@" not in text
    assert "<" not in text
    assert "![" not in text or "](" not in text.split("![", 1)[1].split("\n", 1)[0]
    assert re.findall(r"\]\s*\(([^)]*)\)", text) == [m.facts["link"]] * text.count("](")
    assert not re.search(r"&(#|\w+;)", text)


def checks(name: str) -> list[tuple[str, Callable[[Any, Message], None]]]:
    """(type, function of that name) of the test of every channel over HTTP.

    Raises:
        AttributeError, ModuleNotFoundError: a channel has no such check.
    """
    found = []
    for kind in HTTP:
        folder = CHANNEL_TYPES[kind].settings.__module__.split(".")[-2]
        found.append((kind, getattr(import_module(f"{CHECKS}.test_{folder}"), name)))
    return found
