"""Settings of a WeCom robot."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from monitor.notify.channels.base import ChannelType, Ids, UrlSettings
from monitor.notify.channels.wecom.sample import SAMPLE


class WeComSettings(UrlSettings):
    """A robot of a WeCom group, by its whole URL."""

    type: Literal["wecom"]
    mention: Ids = Field(default_factory=list)
    """User ids."""


CHANNEL = ChannelType(WeComSettings, "WeCom", {"wecom": {"zh": "企业微信", "en": "WeCom"}}, SAMPLE)
