"""Settings of Teams."""

from __future__ import annotations

from typing import Literal

from monitor.notify.channels.base import ChannelType, UrlSettings
from monitor.notify.channels.teams.sample import SAMPLE


class TeamsSettings(UrlSettings):
    """A workflow of Teams that posts what a webhook brings."""

    type: Literal["teams"]


CHANNEL = ChannelType(TeamsSettings, "Teams", {"teams": {"zh": "Teams", "en": "Teams"}}, SAMPLE)
