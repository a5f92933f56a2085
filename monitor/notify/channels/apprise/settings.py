"""Settings of Apprise."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from monitor.notify.channels.apprise.sample import SAMPLE
from monitor.notify.channels.base import ChannelSettings, ChannelType
from monitor.notify.secrets import HIDDEN, is_reference


class AppriseSettings(ChannelSettings):
    """Any service that apprise knows, by its URL."""

    type: Literal["apprise"]
    url: SecretStr

    def address(self) -> str:
        """The service only: its URLs hold tokens in the place of the host, too."""
        url = self.url.get_secret_value()
        if is_reference(url):
            return url
        return f"{url.partition('://')[0][:20]}://{HIDDEN}" if "://" in url else HIDDEN


CHANNEL = ChannelType(AppriseSettings, "Apprise", {"apprise": {"zh": "apprise", "en": "apprise"}}, SAMPLE)
