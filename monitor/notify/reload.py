"""The file of receivers, read again when it changes."""

from __future__ import annotations

from functools import partial

from barometer.settings import Settings
from barometer.watched_file import LOOK_SECONDS, WatchedFile
from monitor.notify.config import NotifyConfig, load_config


class WatchedNotifyFile(WatchedFile[NotifyConfig]):
    """Holds the last valid file of receivers.

    Args:
        look_seconds: the file is looked at no more often than that.

    Raises:
        SettingsError: the file is not valid to begin with.
    """

    def __init__(self, settings: Settings, *, look_seconds: float = LOOK_SECONDS) -> None:
        super().__init__("notify_file", settings.notify_file, partial(load_config, settings), look_seconds=look_seconds)
