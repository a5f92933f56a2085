"""Client-side rate limits: what a service would refuse (and may punish) is held back on our side.

The count is kept in this process, for there is one leader. A new leader starts from nothing and may be refused once;
then it waits as long as the service asks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from monitor.notify.channels.base import HeldBack

SLEPT_SECONDS = 1.5
"""A sender waits no longer itself; what has to wait longer goes back to the outbox, so that others are sent
meanwhile."""
MARGIN = 1.02
"""Their clock is not ours: a window is taken to be a little longer than it is."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` messages in any ``seconds``."""

    count: int
    seconds: float


class RateLimiter:
    """Sliding windows, one set for each key."""

    def __init__(self) -> None:
        self._sent: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, limits: tuple[Limit, ...], now: float) -> float:
        """Count one message at ``now`` (seconds of a clock that never goes back) and return 0, or return the seconds
        to wait and count nothing."""
        if not limits:
            return 0.0
        with self._lock:
            sent = self._sent.setdefault(key, deque())
            longest = max(x.seconds for x in limits) * MARGIN
            while sent and sent[0] <= now - longest:
                sent.popleft()
            wait = 0.0
            for limit in limits:
                if len(sent) >= limit.count:
                    wait = max(wait, sent[-limit.count] + limit.seconds * MARGIN - now)
            if wait <= 0:
                sent.append(now)
                return 0.0
            return wait

    def wait(self, key: str, limits: tuple[Limit, ...]) -> None:
        """Return when a message may be sent.

        Raises:
            HeldBack: that is more than a moment away.
        """
        while (left := self.take(key, limits, time.monotonic())) > 0:
            if left > SLEPT_SECONDS:
                raise HeldBack(f"held back for {left:.0f} s: the service takes no more just now", retry_after=left)
            time.sleep(left)


LIMITER = RateLimiter()
"""The process's own: senders are made anew for every message."""
