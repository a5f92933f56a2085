"""Settings of a webhook."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from monitor.notify.channels.base import ChannelType, UrlSettings
from monitor.notify.channels.webhook.sample import SAMPLE


class WebhookSettings(UrlSettings):
    """POST of JSON in the shape of Alertmanager's version 4 payload."""

    type: Literal["webhook"]
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    secret: SecretStr | None = None


CHANNEL = ChannelType(WebhookSettings, "Webhook", {"webhook": {"zh": "webhook", "en": "webhook"}}, SAMPLE)
