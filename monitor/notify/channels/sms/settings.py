"""Settings of SMS and calls."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from monitor.notify.channels.base import ChannelType, Phones, UrlSettings
from monitor.notify.channels.sms.sample import SAMPLE
from monitor.notify.secrets import masked_phone


class SmsSettings(UrlSettings):
    """A short text to telephone numbers, by the webhook of a provider of SMS or voice calls."""

    type: Literal["sms", "voice"]
    to: Phones = Field(min_length=1)
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    body: dict[str, SecretStr] = Field(default_factory=dict)
    """Names and values of the request; ``{to}``, ``{text}`` and ``{id}`` are filled in. Empty: our own."""
    form: bool = False
    """A form instead of JSON."""
    parts: int = Field(1, ge=1, le=6)
    """SMS that one message may take."""

    def address(self) -> str:
        return ", ".join(map(masked_phone, self.to)) + f" · {super().address()}"


CHANNEL = ChannelType(
    SmsSettings, "Sms", {"sms": {"zh": "短信", "en": "SMS"}, "voice": {"zh": "语音电话", "en": "voice"}}, SAMPLE
)
