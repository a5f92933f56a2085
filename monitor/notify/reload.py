"""The file of receivers, read again when it changes, so that nobody has to restart the monitor at night."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import structlog

from barometer.errors import SettingsError
from barometer.settings import Settings
from monitor.notify.config import NotifyConfig, load_config

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0


class Watched:
    """Always holds a file that is right: the last one that was.

    Args:
        look_seconds: the file is looked at no more often than that.

    Raises:
        SettingsError: the first one is wrong: then there is nothing to go on with.
    """

    def __init__(self, settings: Settings, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._settings, self._every = settings, look_seconds
        self._lock = threading.Lock()
        self._seen = _content(settings.notify_file)
        self._config = load_config(settings)
        self._looked = time.monotonic()
        self._fault: str | None = None
        self._changed_at = 0

    @property
    def fault(self) -> str | None:
        """Why the file as it is now cannot be used, if so."""
        return self._fault

    @property
    def changed_at(self) -> int:
        """When another file was taken, in epoch milliseconds; 0 if it is still the first."""
        return self._changed_at

    def current(self) -> NotifyConfig:
        """The file as it is now; as it last was in order, where it is wrong or gone."""
        with self._lock:
            if time.monotonic() - self._looked >= self._every:
                self._looked = time.monotonic()
                self._look()
            return self._config

    def _look(self) -> None:
        path = self._settings.notify_file
        if path is None:
            return
        content = _content(path)
        # While it is wrong it is tried again: a secret that was missing may be there now.
        if content == self._seen and self._fault is None:
            return
        try:
            self._config = load_config(self._settings)
        except SettingsError as e:
            if str(e) != self._fault:
                log.error("notify_file_refused", why=str(e), so="the last good one stays in force")
            self._seen, self._fault = content, str(e)
            return
        log.info("notify_file_read", receivers=[r.name for r in self._config.file.receivers])
        self._seen, self._fault, self._changed_at = content, None, time.time_ns() // 1_000_000


def _content(path: Path | None) -> bytes | None:
    """Times of change say too little: a mounted file is swapped by a link, and may keep its time."""
    try:
        return path.read_bytes() if path is not None else None
    except OSError:
        return None
