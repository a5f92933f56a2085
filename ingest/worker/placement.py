"""Placing partitions: where reading begins in those that the group has given us, by the store."""

from __future__ import annotations

import time

from kafka import KafkaConsumer
from sqlalchemy.exc import DBAPIError

from barometer.store.engine import Store, is_away
from barometer.store.stream.offsets import insert_offsets, read_offsets
from barometer.store.waiting import say_away
from ingest.topic.ends import beginnings
from ingest.worker import metrics
from ingest.worker.errors import SessionOver
from ingest.worker.heartbeat import Heartbeat
from ingest.worker.log_guard import ANSWER_SECONDS, LogGuard
from ingest.worker.positions import Positions

LEADERLESS_SECONDS = 1.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0


class Placement:
    """Places a consumer's partitions, as often as it takes."""

    def __init__(
        self,
        store: Store,
        consumer: KafkaConsumer,
        topic: str,
        positions: Positions,
        guard: LogGuard,
        heartbeat: Heartbeat,
    ) -> None:
        self._store, self._consumer, self._topic = store, consumer, topic
        self._positions, self._guard, self._heartbeat = positions, guard, heartbeat
        self._due = 0.0
        self._wait = FIRST_WAIT_SECONDS

    def postpone(self, seconds: float) -> None:
        """Do not ask the store for so long."""
        self._due = time.monotonic() + seconds

    def turn(self, now: float) -> None:
        """Place what is not placed, if it is time. The database may be away for long; the group must not notice.

        Raises:
            LogReplaced: records were deleted before they were read, or the topic is another one.
            SessionOver: an operator began a new log.
        """
        if now < self._due or not self._positions.unpositioned():
            return
        try:
            self._place()
            self._wait = FIRST_WAIT_SECONDS
        except DBAPIError as e:
            if not is_away(e):
                raise
            metrics.WAITS.labels("database").inc()
            self._heartbeat.set_state(say_away(e))
            self._due = now + self._wait
            self._wait = min(self._wait * 2, LONGEST_WAIT_SECONDS)

    def _place(self) -> None:
        missing = self._positions.unpositioned()
        if not self._positions.all():
            self._heartbeat.set_state("positioning")
        generation = self._positions.generation
        guard = self._guard
        if guard.register() != guard.log_id:
            raise SessionOver("an operator began a new log")
        stored = read_offsets(self._store, guard.log_id)
        unknown = guard.missing_rows(stored)
        begin = beginnings(self._consumer, self._topic, {*missing, *unknown}, ANSWER_SECONDS)
        if new := {p: begin[p] for p in unknown if p in begin}:
            insert_offsets(self._store, guard.log_id, new)
            stored = read_offsets(self._store, guard.log_id)
        ours = {p: first for p, first in begin.items() if p in missing and p in stored}
        if len(ours) < len(missing):
            # Partitions without a leader just now must not keep the others waiting.
            self.postpone(LEADERLESS_SECONDS)
        guard.find_gaps(stored, ours)
        guard.look_for_what_is_stored(stored, ours)
        if self._positions.generation != generation:
            return  # a rebalance came in between: next turn
        self._positions.place(stored, ours)
        self._positions.resume()
        if ours:
            self._heartbeat.set_state("running")
