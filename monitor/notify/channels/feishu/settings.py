"""Settings of a Feishu robot."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from monitor.notify.channels.base import ChannelType, Ids, UrlSettings
from monitor.notify.channels.feishu.sample import SAMPLE


class FeishuSettings(UrlSettings):
    """A robot of a Feishu or Lark group, by its whole URL."""

    type: Literal["feishu"]
    secret: SecretStr | None = None
    mention: Ids = Field(default_factory=list)
    """open_ids, or ``all``."""


CHANNEL = ChannelType(FeishuSettings, "Feishu", {"feishu": {"zh": "飞书", "en": "Feishu"}}, SAMPLE)
