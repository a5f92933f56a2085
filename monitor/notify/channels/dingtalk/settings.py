"""Settings of a DingTalk robot."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from monitor.notify.channels.base import ChannelType, Phones, UrlSettings
from monitor.notify.channels.dingtalk.sample import SAMPLE


class DingTalkSettings(UrlSettings):
    """A robot of a DingTalk group, by its whole URL."""

    type: Literal["dingtalk"]
    secret: SecretStr | None = None
    at_mobiles: Phones = Field(default_factory=list)
    at_all: bool = False


CHANNEL = ChannelType(DingTalkSettings, "DingTalk", {"dingtalk": {"zh": "钉钉", "en": "DingTalk"}}, SAMPLE)
