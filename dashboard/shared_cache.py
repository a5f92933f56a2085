"""What is the same for everybody for a moment: fifty browsers ask every few seconds, the store is asked once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Brief:
    """Values that are kept for a short while, by key. One of several threads that ask for the same key works it out;
    the others wait for it. Nothing that depends on a user belongs here, unless the key names what it depends on.

    >>> kept = Brief(seconds=60)
    >>> kept.get("a", lambda: 1), kept.get("a", lambda: 2)
    (1, 1)
    """

    def __init__(self, seconds: float, size: int = 64) -> None:
        self._seconds, self._size = seconds, size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._busy: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], T], seconds: float | None = None) -> T:
        """The value of a key, made anew where it is older than ``seconds`` (default: as long as values are kept)."""
        limit = self._seconds if seconds is None else seconds
        found = self._look(key, limit)
        if found is not None:
            return found[1]  # type: ignore[no-any-return]
        with self._lock:
            turn = self._busy.setdefault(key, threading.Lock())
        with turn:
            found = self._look(key, limit)
            if found is not None:
                return found[1]  # type: ignore[no-any-return]
            try:
                value = make()
                with self._lock:
                    self._kept[key] = (time.monotonic(), value)
                    self._kept.move_to_end(key)
                    while len(self._kept) > self._size:
                        self._kept.popitem(last=False)
            finally:
                with self._lock:
                    self._busy.pop(key, None)
            return value

    def _look(self, key: Hashable, limit: float) -> tuple[float, Any] | None:
        with self._lock:
            found = self._kept.get(key)
        return found if found is not None and time.monotonic() - found[0] <= limit else None
