"""Settings of mail."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from monitor.notify.channels.base import ChannelSettings, ChannelType
from monitor.notify.channels.mail.sample import SAMPLE
from monitor.notify.policy import listed


class MailSettings(ChannelSettings):
    """Mail by the SMTP server of the product's settings."""

    type: Literal["mail"]
    to: Annotated[list[Annotated[str, Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")]], BeforeValidator(listed)] = Field(
        min_length=1
    )

    def address(self) -> str:
        return ", ".join(self.to)


CHANNEL = ChannelType(MailSettings, "Mail", {"mail": {"zh": "邮件", "en": "mail"}}, SAMPLE)
