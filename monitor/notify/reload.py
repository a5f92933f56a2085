"""The file of receivers, read again when it changes."""

from __future__ import annotations

from functools import partial

from barometer.settings import Settings
from barometer.watched_file import LOOK_SECONDS, WatchedFile
from monitor.notify.config import NotifyConfig, load_config


class WatchedNotifyFile(WatchedFile[NotifyConfig]):
    """Always holds a file of receivers that is right: the last one that was.

    Args:
        look_seconds: the file is looked at no more often than that.

    Raises:
        SettingsError: the first one is wrong: then there is nothing to go on with.
    """

    def __init__(self, settings: Settings, *, look_seconds: float = LOOK_SECONDS) -> None:
        super().__init__("notify_file", settings.notify_file, partial(load_config, settings), look_seconds=look_seconds)
