"""Sends a test message over every channel of a receiver."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

from barometer.errors import SettingsError
from monitor.notify.channels import ChannelSettings, SendError, Sent, open_channel
from monitor.notify.config import NotifyConfig, Receiver
from monitor.notify.examples import EXAMPLE_AT, example
from monitor.notify.facts import facts_of
from monitor.notify.message import render


@dataclass(frozen=True, slots=True)
class ChannelTestResult:
    """The outcome on one channel. ``detail`` holds no secrets."""

    channel: int
    type: str
    taken: bool
    detail: str
    permanent: bool = False
    """Trying again would not help."""


def send_test(config: NotifyConfig, receiver: Receiver) -> list[ChannelTestResult]:
    """Send a test now, over all channels at once; returns the outcomes in the order of the file."""
    with ThreadPoolExecutor(len(receiver.channels)) as pool:
        return list(pool.map(lambda x: _one(config, receiver, *x), enumerate(receiver.channels)))


def _one(config: NotifyConfig, receiver: Receiver, number: int, channel: ChannelSettings) -> ChannelTestResult:
    facts = facts_of(example(), reason="test", receiver=receiver, settings=config.settings, now_ms=EXAMPLE_AT + 600_000)
    try:
        sent: Sent = open_channel(channel, config.settings).send(render(facts, f"barometer-test-{uuid4().hex}"))
    except SendError as e:
        return ChannelTestResult(number, channel.type, False, str(e), e.permanent)
    except SettingsError as e:
        return ChannelTestResult(number, channel.type, False, str(e))
    return ChannelTestResult(number, channel.type, True, sent.detail)
