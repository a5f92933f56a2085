"""The services that apprise knows. It answers only yes or no: a no is tried again, without a Retry-After."""

from __future__ import annotations

import logging

from barometer.settings import Settings
from monitor.notify.channels.apprise.settings import AppriseSettings
from monitor.notify.channels.base import SendError, Sent
from monitor.notify.message import Message
from monitor.notify.secrets import reveal


class Apprise:
    """Sends through one apprise URL."""

    def __init__(self, config: AppriseSettings, _settings: Settings) -> None:
        self._config = config

    def send(self, message: Message) -> Sent:
        import apprise

        # Its log quotes URLs, which hold tokens; what we need to know is yes or no.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        service = apprise.Apprise()
        url = reveal(self._config.url)
        if not service.add(url):
            raise SendError("apprise does not understand the URL", permanent=True)
        kind = apprise.NotifyType.SUCCESS if message.resolved else apprise.NotifyType.WARNING
        if message.facts["severity"] == "critical" and not message.resolved:
            kind = apprise.NotifyType.FAILURE
        taken = service.notify(
            title=message.title, body=message.text, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
        )
        if not taken:
            raise SendError(f"apprise could not deliver it by {url.partition(':')[0]}")
        return Sent("taken by apprise")

    def preview(self, message: Message) -> str:
        return f"{message.title}\n\n{message.text}"
