"""Membership in the consumer group: kept, and noticed where it is lost.

kafka-python 3.0.12 can lose a join for ever. That metadata changed is known only from two snapshots being different
(``ConsumerCoordinator.need_rejoin``), and the group's leader makes them equal in the middle of the join
(``_perform_assignment``). If ``poll()`` returns between that and the answer to SyncGroup, nobody collects the join:
heartbeats stay off, the broker throws the member out, and its partitions can never be fetched again.
:func:`finish_joins` cures that; :class:`Membership` notices it, and whatever else keeps a member from its partitions,
by what the broker said and not by our own loop turning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import kafka
import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, RequestTimedOutError

log = structlog.get_logger(__name__)

CURED = ("3.0.12",)
"""Versions of kafka-python that are known to have the fault; others keep their own way, under the same watch."""
MARGIN_SECONDS = 5.0
"""A rebalance takes up to a session (the broker waits for a member that died), and so much for all the rest."""
STALE_METADATA_SECONDS = 30.0
"""The client refreshes its metadata every second; where it has not for so long, its refresh has died."""
PROBE_SECONDS = 4.0
"""A join that waits for so long is checked: does its coordinator still lead the group?"""
PAUSE_SECONDS = 5.0
"""A loop that did not turn for so long was frozen or waited for something else: what was missed is no evidence."""


def finish_joins(consumer: KafkaConsumer) -> None:
    """Make the client go on with a join that it has begun, whatever became of the reason for it."""
    if kafka.__version__ not in CURED:
        return
    coordinator = consumer._coordinator
    asked: Callable[[], bool] = coordinator.need_rejoin
    coordinator.need_rejoin = lambda: coordinator.rejoining or asked()


def learn_topic(consumer: KafkaConsumer, topic: str, seconds: float) -> bool:
    """Fetch the metadata of the subscribed topic before the group is joined: a first assignment without them is empty
    and has to be repeated. Returns whether the topic is known now."""
    deadline = time.monotonic() + seconds
    while not consumer._cluster.partitions_for_topic(topic):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            consumer._net.run(consumer._manager.wait_for, consumer._cluster.request_update(), left * 1000)
        except KafkaError as e:
            log.debug("no metadata yet", topic=topic, error=str(e))
            time.sleep(min(0.1, max(0.0, left)))
    return True


class Membership:
    """Watches one consumer's membership; ask :meth:`trouble` once a second or so.

    Args:
        session_seconds: the group's session timeout.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str, session_seconds: float) -> None:
        self._consumer, self._topic = consumer, topic
        self._coordinator = consumer._coordinator
        self._limit = session_seconds + MARGIN_SECONDS
        now = time.monotonic()
        self._turned = self._heard = self._probed = self._excused = now
        self._generation: object = None
        self._stuck_since: dict[int, float] = {}
        self._unread_since: dict[int, float] = {}
        self._stood_at: dict[int, int] = {}
        self._probe: object | None = None

    @property
    def limit(self) -> float:
        """Seconds after which something is wrong; after twice as many a new consumer is due."""
        return self._limit

    @property
    def joined(self) -> bool:
        """Whether the group has dealt out its partitions, to us too."""
        return bool(self._coordinator.stable() and not self._coordinator.rejoining)

    def excuse(self) -> None:
        """No broker is connected: nothing can be expected, and nothing that was missed counts."""
        self._heard = self._turned = self._probed = self._excused = time.monotonic()
        self._stuck_since.clear()
        self._unread_since.clear()

    def trouble(self, positions: dict[int, int], ends: dict[int, int], held: bool) -> tuple[float, str] | None:
        """What keeps this member from reading: (seconds that it has lasted, in words), or None.

        Args:
            positions: partition -> offset of the next record, for the partitions that ought to be read.
            ends: partition -> its end, as the broker said just now; partitions that it said nothing of are not judged.
            held: nothing is asked for at present, since the stages behind are full.
        """
        now = time.monotonic()
        if now - self._turned > PAUSE_SECONDS:
            self.excuse()
        self._turned = now
        found = [
            *self._silence(now),
            *self._old_metadata(now),
            *self._since(now, self._stuck_since, self._unfetchable(positions, held), "cannot be fetched"),
            *self._since(now, self._unread_since, self._unread(positions, ends, held), "is not read"),
        ]
        worst = max(found, default=None)
        return worst if worst is not None and worst[0] > self._limit else None

    def _silence(self, now: float) -> Iterable[tuple[float, str]]:
        c = self._coordinator
        if self.joined:
            if c._generation is not self._generation:
                self._generation, self._heard = c._generation, now
            self._heard = max(self._heard, c.heartbeat.last_receive)
        else:
            self._look_for_the_coordinator(now)
        yield now - self._heard, "no heartbeat and no join was answered"

    def _look_for_the_coordinator(self, now: float) -> None:
        """A join waits for as long as its coordinator likes, also where that has died without closing. Another broker
        is asked who coordinates; if it is another one by now, the old connection is closed, which ends the wait."""
        c, task = self._coordinator, self._coordinator._join_task
        if task is None or task.is_done or now - self._heard < PROBE_SECONDS or now - self._probed < PROBE_SECONDS:
            return
        self._probed = now
        waits_at = c.coordinator_id
        if waits_at is None:
            return
        manager = self._consumer._manager

        def answered(found: object) -> None:
            if found != waits_at and (conn := manager._conns.get(waits_at)) is not None:
                log.warning("the group has another coordinator: joining there", before=waits_at, now=found)
                conn.close(RequestTimedOutError("the group is coordinated by another broker"))

        c.lookup_coordinator().add_callback(answered)

    def _old_metadata(self, now: float) -> Iterable[tuple[float, str]]:
        refreshed = self._consumer._cluster._last_successful_refresh_ms / 1000
        since = now - max(refreshed, self._excused)
        if since > STALE_METADATA_SECONDS:
            yield since, "metadata are not refreshed"

    def _unfetchable(self, positions: dict[int, int], held: bool) -> set[int]:
        if held:
            return set()
        assignment = self._consumer._subscription.assignment
        out = set()
        for p in positions:
            state = assignment.get(TopicPartition(self._topic, p))
            if state is not None and not state.is_fetchable():
                out.add(p)
        return out

    def _unread(self, positions: dict[int, int], ends: dict[int, int], held: bool) -> set[int]:
        out = set()
        for p, at in positions.items():
            if not held and ends.get(p, at) > at and self._stood_at.get(p) == at:
                out.add(p)
        self._stood_at = dict(positions)
        return out

    @staticmethod
    def _since(now: float, since: dict[int, float], now_so: set[int], what: str) -> Iterable[tuple[float, str]]:
        for p in [p for p in since if p not in now_so]:
            del since[p]
        for p in now_so:
            since.setdefault(p, now)
        if since:
            p = min(since, key=lambda p: since[p])
            more = f" (and {len(since) - 1} more)" if len(since) > 1 else ""
            yield now - since[p], f"partition {p}{more} {what}"
