"""Settings of a Telegram bot."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from monitor.notify.channels.base import ChannelType, HttpSettings
from monitor.notify.channels.telegram.sample import SAMPLE
from monitor.notify.secrets import masked_url


class TelegramSettings(HttpSettings):
    """A bot of Telegram and one chat."""

    type: Literal["telegram"]
    token: SecretStr
    chat_id: str | int
    thread_id: int | None = None
    base_url: str = Field("https://api.telegram.org", pattern=r"^https?://")

    def address(self) -> str:
        return f"{masked_url(self.base_url)} · {self.chat_id}"


CHANNEL = ChannelType(TelegramSettings, "Telegram", {"telegram": {"zh": "Telegram", "en": "Telegram"}}, SAMPLE)
