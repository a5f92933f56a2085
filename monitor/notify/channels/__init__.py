"""Ways to reach people. A channel takes a message or raises :class:`SendError`; it never tries twice by itself.

>>> Sent("HTTP 200").detail
'HTTP 200'
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

from barometer.errors import BarometerError
from barometer.settings import Settings
from monitor.notify.config import ChannelConfig
from monitor.notify.message import Message


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel took the message. ``detail`` goes into the record: no secrets."""

    detail: str = ""


class SendError(BarometerError):
    """The channel did not take the message, as far as we know.

    Args:
        text: what happened, without secrets (URLs of services hold tokens).
        retry_after: seconds that the other side asked us to wait.
        permanent: trying again with the same message cannot help.
    """

    def __init__(self, text: str, *, retry_after: float | None = None, permanent: bool = False) -> None:
        super().__init__(text)
        self.retry_after, self.permanent = retry_after, permanent


class HeldBack(SendError):
    """It was not sent: the service takes no more just now. That is no attempt."""


class Channel(Protocol):
    """One way to reach one receiver."""

    def send(self, message: Message) -> Sent:
        """Raises:
        SendError: it did not arrive.
        SettingsError: a secret is not there.
        """
        ...

    def preview(self, message: Message) -> str:
        """What would be sent, for people; without secrets."""
        ...


def open_channel(config: ChannelConfig, settings: Settings) -> Channel:
    """The sender for one entry of the file; imported only where it is used."""
    module, name = SENDERS[config.type]
    sender = getattr(importlib.import_module(f"monitor.notify.channels.{module}"), name)
    channel: Channel = sender(config, settings) if config.type == "mail" else sender(config)
    return channel


SENDERS = {
    # type: (module, class)
    "webhook": ("webhook", "Webhook"),
    "mail": ("mail", "Mail"),
    "feishu": ("feishu", "Feishu"),
    "dingtalk": ("dingtalk", "DingTalk"),
    "wecom": ("wecom", "WeCom"),
    "slack": ("slack", "Slack"),
    "telegram": ("telegram", "Telegram"),
    "teams": ("teams", "Teams"),
    "sms": ("sms", "Sms"),
    "voice": ("sms", "Sms"),
    "apprise": ("apprise", "AppriseService"),
}
