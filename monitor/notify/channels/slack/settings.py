"""Settings of Slack."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from monitor.notify.channels.base import ChannelType, Ids, UrlSettings
from monitor.notify.channels.slack.sample import SAMPLE


class SlackSettings(UrlSettings):
    """An incoming webhook of Slack."""

    type: Literal["slack"]
    mention: Ids = Field(default_factory=list)
    """Members (``U…``), user groups (``S…``), ``channel`` or ``here``."""


CHANNEL = ChannelType(SlackSettings, "Slack", {"slack": {"zh": "Slack", "en": "Slack"}}, SAMPLE)
