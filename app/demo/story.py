"""The demo's stream in time: the past as fast as it goes, then the live stretch, faster than the clock, which ends at
the present; after it the calm goes on at the pace of the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.demo.scenario import LIVE_MS, PAST_MS, Timed, live, load_texts, past


@dataclass
class Story:
    """When things happen. All times in epoch ms.

    Args:
        live_seconds: how long the live stretch (three hours of the stream) lasts on the clock.
        bad_turn: whether the topic turns bad at all.
        seed: of the stream.
    """

    live_seconds: float
    bad_turn: bool = True
    seed: int = 20
    live_start: int = 0
    live_end: int = 0
    sent_past: int = 0
    sent_live: int = 0
    phase: str = "past"
    stop: threading.Event = field(default_factory=threading.Event)
    handed_over: threading.Event = field(default_factory=threading.Event)
    """Set when the past has been sent."""
    worked_off: threading.Event = field(default_factory=threading.Event)
    """Set when it has been stored."""

    def rows(self, spare_seconds: float) -> Iterator[Timed]:
        """All messages as (observed_at, message), yielded when they are due: the live stretch starts when the past has
        been ``worked_off``.

        Args:
            spare_seconds: how long that may take. The live stretch is laid out before the past is sent, so that the
                two meet; what is left of the spare time when the past is done is waited for.
        """
        texts = load_texts("all")
        live_from = time.time() + spare_seconds
        self.live_end = int((live_from + self.live_seconds) * 1000)
        self.live_start = self.live_end - LIVE_MS
        for timed in past(texts, self.live_start - PAST_MS, self.live_start, self.seed):
            if self.stop.is_set():
                return
            self.sent_past += 1
            yield timed
        self.handed_over.set()
        while not self.worked_off.wait(0.1):
            if self.stop.is_set():
                return
        live_from = max(live_from, time.time())
        self.phase = "live"
        speed = LIVE_MS / (self.live_seconds * 1000)
        for observed_at, message in live(texts, self.live_start, self.live_end, self.seed, self.bad_turn):
            due = live_from + (observed_at - self.live_start) / speed / 1000
            if self.stop.wait(max(0.0, due - time.time())):
                return
            self.sent_live += 1
            yield observed_at, message
        self.phase = "present"

    def afterwards(self) -> Iterator[Timed]:
        """The calm that goes on at the pace of the clock, until stopped."""
        begin = max(self.live_end, int(time.time() * 1000))
        for observed_at, message in past(load_texts("all"), begin, begin + 86_400_000, self.seed + 1):
            if self.stop.wait(max(0.0, observed_at / 1000 - time.time())):
                return
            self.sent_live += 1
            yield observed_at, message
