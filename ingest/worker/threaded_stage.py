"""A stage with one thread and a queue of one item before it."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

Item = TypeVar("Item")

TICK_SECONDS = 0.2
"""How long a thread waits at a time before it looks whether the stage was closed."""


class ThreadedStage(ABC, Generic[Item]):
    """Keeps the contract of ``Stage``; a stage of this kind says what :meth:`process` does.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._queue: queue.Queue[Item] = queue.Queue(maxsize=1)
        self._changed = threading.Condition()
        """Guards the two below, and tells of their changes."""
        self._in_stage = 0
        self._failure: BaseException | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def process(self, item: Item) -> None:
        """Work on one item and hand on what comes of it. Runs in the stage's thread; whatever it raises ends the stage.
        Where it waits it returns when ``self._closing`` is set."""

    def start(self) -> None:
        self._thread.start()

    def submit(self, item: Item, timeout: float) -> bool:
        with self._changed:
            if self._closing.is_set() or self._failure is not None:
                return False
            self._in_stage += 1
        try:
            self._queue.put(item, timeout=timeout)
            return True
        except queue.Full:
            self._leave()
            return False

    def poll(self) -> None:
        if self._failure is not None:
            raise self._failure

    @property
    def idle(self) -> bool:
        """Nothing is queued or worked on."""
        return self._in_stage == 0

    def drain(self, timeout: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self.idle or self._failure is not None, timeout)
            return self.idle

    def close(self, timeout: float) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _leave(self) -> None:
        with self._changed:
            self._in_stage -= 1
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._next()
        except BaseException as e:  # raised again in the caller's thread, which stops the worker with it
            with self._changed:
                self._failure = e
                self._changed.notify_all()

    def _next(self) -> None:
        try:
            item = self._queue.get(timeout=TICK_SECONDS)
        except queue.Empty:
            return
        self.process(item)
        self._leave()
