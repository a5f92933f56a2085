"""The worker's heartbeat: its state in the store, written by a thread of its own so that nothing else holds it up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from barometer.store.engine import Store
from barometer.store.health.processes import heartbeat
from barometer.store.stream.offsets import touch_high_water
from barometer.store.stuck_sessions import end_frozen_sessions
from ingest.worker import metrics

log = structlog.get_logger(__name__)

BEAT_SECONDS = 3.0
STUCK_SECONDS = 120.0
"""A loop that did not turn for this long is stuck: none of its waits is as long."""
AT_WORK = ("joining", "positioning", "running", "standing by", "not reading")
"""The states in which nothing else is waited for."""
ON_THE_WAY = ("joining", "positioning")
TROUBLES = ("broker away", "login failed", "not authorised")
"""States that last until a new try succeeds, so that alarms do not see them come and go."""
HIGH_WATER_SECONDS = 5.0
RATE_SECONDS = 60.0

OnEvent = Callable[[str, dict[str, Any]], None]


class Heartbeat:
    """Writes the worker's state every few seconds and at every change, and the partitions' ends.

    Args:
        on_event: told ('state', {...}) at each change of state and ('batch', {...}) after each commit.
    """

    def __init__(self, store: Store, process_id: str, on_event: OnEvent | None = None) -> None:
        self._store, self._id = store, process_id
        self._on_event: OnEvent = on_event or (lambda _name, _data: None)
        self._documents = 0
        self._past: deque[tuple[float, int]] = deque()
        self._turned = self._read = time.monotonic()
        self._lock = threading.Lock()
        self._wake, self._end = threading.Event(), threading.Event()
        self._state, self._info = "starting", dict[str, Any]()
        self._detail: dict[str, Any] = {}
        self._fields: dict[str, Any] = {}
        self._log_id: int | None = None
        self._ends: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name="worker-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def set_state(self, state: str, **detail: Any) -> None:
        """Set the worker's state, with details for the status page."""
        with self._lock:
            if (state, detail) == (self._state, self._detail):
                return
            if state in ON_THE_WAY and self._state in TROUBLES:
                return
            if self._state != state:
                metrics.STATE.labels(self._state).set(0)
                metrics.STATE.labels(state).set(1)
            self._state, self._detail = state, detail
        self._wake.set()
        self._on_event("state", {"state": state, **detail})

    def loop_turned(self) -> None:
        """The poll loop has made a turn."""
        self._turned = time.monotonic()

    def reading(self) -> None:
        """This worker reads its partitions, or waits for something outside it."""
        self._read = time.monotonic()

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Waiting for something that is away is healthy (a restart would not bring it back). A loop that does not turn
        is not, nor a worker that turns and does not read what is there."""
        now = time.monotonic()
        turned, read = now - self._turned, now - self._read
        ok = turned < STUCK_SECONDS and (read < STUCK_SECONDS or self._state not in AT_WORK)
        times = {"seconds_since_turn": round(turned, 1), "seconds_since_reading": round(read, 1)}
        return ok, {"state": self._state, **times, **self._detail}

    def batch_written(self, figures: dict[str, Any]) -> None:
        """Count a batch that was written."""
        self._documents += int(figures["documents"])
        self._on_event("batch", figures)

    def report(self, log_id: int, ends: dict[int, int], info: dict[str, Any]) -> None:
        """Set the partitions' ends and the figures that the next beat writes."""
        with self._lock:
            self._log_id, self._ends, self._info = log_id, dict(ends), info

    def set_field(self, name: str, value: Any) -> None:
        """Add a field to every beat from now on; None removes it."""
        with self._lock:
            if value is None:
                self._fields.pop(name, None)
            else:
                self._fields[name] = value

    def stop(self) -> None:
        """One last beat, then no more."""
        self._end.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _rate(self, now: float) -> float:
        """Documents a second over the last minute, or since the start where that is less."""
        self._past.append((now, self._documents))
        while now - self._past[0][0] > RATE_SECONDS:
            self._past.popleft()
        since, before = self._past[0]
        elapsed = now - since
        return round((self._documents - before) / elapsed, 2) if elapsed > 0 else 0.0

    def _run(self) -> None:
        since_ends = HIGH_WATER_SECONDS
        while True:
            ending = self._end.is_set()
            self._wake.clear()
            with self._lock:
                rate = self._rate(time.monotonic())
                state = self._state
                info = {
                    **self._info,
                    "documents": self._documents,
                    "documents_per_second": rate,
                    **self._detail,
                    **self._fields,
                }
                log_id, ends = self._log_id, dict(self._ends)
            try:
                heartbeat(self._store, self._id, "worker", state, info)
                if since_ends >= HIGH_WATER_SECONDS and log_id is not None:
                    since_ends = 0.0
                    end_frozen_sessions(self._store)
                    touch_high_water(self._store, log_id, ends)
            except DBAPIError as e:
                log.debug("no heartbeat", error=str(e.orig))
            if ending:
                return
            self._wake.wait(BEAT_SECONDS)
            since_ends += BEAT_SECONDS
