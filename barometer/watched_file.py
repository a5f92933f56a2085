"""A file of settings that is read again when it changes, so that nobody has to restart a process at night."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from barometer.errors import SettingsError

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """The parsed content of a file, reloaded when it changes; after a bad edit the last good content stays.

    Args:
        name: the setting that names the file, for messages.
        path: the file; None: there is none, and what ``load`` gives at first stays.
        load: reads the file as it is now; raises SettingsError where it is wrong.
        look_seconds: the file is looked at no more often than that.

    Raises:
        SettingsError: the first one is wrong: then there is nothing to go on with.
    """

    def __init__(
        self, name: str, path: Path | None, load: Callable[[], T], *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._name, self._path, self._load, self._every = name, path, load, look_seconds
        self._lock = threading.Lock()
        self._seen = _content(path)
        self._held = load()
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

    def current(self) -> T:
        """What the file says now; what it said when it last was in order, where it is wrong or gone."""
        with self._lock:
            if time.monotonic() - self._looked >= self._every:
                self._looked = time.monotonic()
                self._look()
            return self._held

    def _look(self) -> None:
        if self._path is None:
            return
        content = _content(self._path)
        # While it is wrong it is tried again: a secret that was missing may be there now.
        if content == self._seen and self._fault is None:
            return
        try:
            self._held = self._load()
        except SettingsError as e:
            if str(e) != self._fault:
                log.error(f"{self._name} refused", why=str(e), so="the last good one stays in force")
            self._seen, self._fault = content, str(e)
            return
        log.info(f"{self._name} read", path=str(self._path))
        self._seen, self._fault, self._changed_at = content, None, time.time_ns() // 1_000_000


def _content(path: Path | None) -> bytes | None:
    """Times of change say too little: a mounted file is swapped by a link, and may keep its time."""
    try:
        return path.read_bytes() if path is not None else None
    except OSError:
        return None
