"""The contract of a channel: its settings, its sender, and what sending may end in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, Field, SecretStr

from barometer.errors import BarometerError
from barometer.settings import Settings
from monitor.notify.channels.sample import ChannelSample
from monitor.notify.formats import Lang
from monitor.notify.message import Message
from monitor.notify.policy import Strict, listed
from monitor.notify.secrets import masked_url


def _text(value: object) -> object:
    """YAML reads a telephone number as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Ids = Annotated[list[Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]], BeforeValidator(listed)]
"""Whom a message mentions, by the service's identifiers; one or a list."""
Phones = Annotated[
    list[Annotated[str, BeforeValidator(_text), Field(pattern=r"^\+?[0-9-]{3,20}$")]], BeforeValidator(listed)
]


class ChannelSettings(Strict):
    """One entry of ``channels`` in the file of receivers. Secrets are ``SecretStr``;
    :func:`monitor.notify.secrets.reveal` looks them up."""

    type: str

    @abstractmethod
    def address(self) -> str:
        """The target for people who look at the configuration: enough to recognise it, without any secret."""


class HttpSettings(ChannelSettings):
    timeout_seconds: float = Field(10.0, gt=0, le=60)


class UrlSettings(HttpSettings):
    """A service whose URL says it all, and so is a secret."""

    url: SecretStr

    def address(self) -> str:
        return masked_url(self.url.get_secret_value())


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel accepted the message. ``detail`` goes into the alert's history: no secrets.

    >>> Sent("HTTP 200").detail
    'HTTP 200'
    """

    detail: str = ""


class SendError(BarometerError):
    """The channel did not accept the message, as far as we know.

    Args:
        text: what happened, without secrets (URLs of services hold tokens).
        retry_after: seconds that the service asked us to wait.
        permanent: trying again with the same message cannot help.
    """

    def __init__(self, text: str, *, retry_after: float | None = None, permanent: bool = False) -> None:
        super().__init__(text)
        self.retry_after, self.permanent = retry_after, permanent


class HeldBack(SendError):
    """Nothing was sent, since the service accepts no more just now. It does not count as an attempt."""


class ChannelSender(Protocol):
    """Sends to one channel of one receiver. Never retries by itself: that is for the outbox."""

    def send(self, message: Message) -> Sent:
        """Raises:
        SendError: it did not arrive.
        SettingsError: a secret is not there.
        """
        ...

    def preview(self, message: Message) -> str:
        """What would be sent, for people; without secrets."""
        ...


@dataclass(frozen=True, slots=True)
class ChannelType:
    """A kind of channel, as its folder declares it in ``settings.py`` under the name ``CHANNEL``.

    Args:
        settings: the model of its entry in the file of receivers; its field ``type`` is a ``Literal`` of the names.
        sender: the class in the folder's ``sender.py``, called with the channel's settings and the product's.
        labels: name of the type -> what screens call it, by language.
        sample: an entry to preview messages with and to test the sender with.
    """

    settings: type[ChannelSettings]
    sender: str
    labels: Mapping[str, Mapping[Lang, str]]
    sample: ChannelSample

    def open(self, config: ChannelSettings, settings: Settings) -> ChannelSender:
        """The sender, imported only now: it may need a library that nothing else does."""
        folder = self.settings.__module__.rpartition(".")[0]
        made: Any = getattr(import_module(f"{folder}.sender"), self.sender)
        sender: ChannelSender = made(config, settings)
        return sender
