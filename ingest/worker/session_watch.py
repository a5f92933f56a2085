"""Watching a session: is a broker connected, is it still our log, are we still in the group, how far behind are we?"""

from __future__ import annotations

import structlog
from kafka import KafkaConsumer

from barometer.broker import clients
from barometer.settings import Settings
from ingest.topic.ends import Ends
from ingest.worker import metrics
from ingest.worker.connections import Connections
from ingest.worker.consumer import partitions_of
from ingest.worker.errors import SessionOver
from ingest.worker.heartbeat import Heartbeat
from ingest.worker.log_guard import LogGuard
from ingest.worker.membership import Membership
from ingest.worker.positions import Positions

log = structlog.get_logger(__name__)

ABSENT_SECONDS = 3.0
"""A broker that has just started may not know its topics yet."""


class SessionWatch:
    """Looks once a second or so (:meth:`check`), and writes what it sees into the heartbeat."""

    def __init__(
        self,
        settings: Settings,
        consumer: KafkaConsumer,
        positions: Positions,
        connections: Connections,
        guard: LogGuard,
        heartbeat: Heartbeat,
    ) -> None:
        self._settings, self._consumer, self._topic = settings, consumer, settings.topic_documents
        self._positions, self._connections, self._guard = positions, connections, guard
        self._heartbeat = heartbeat
        self._ends = Ends(consumer, self._topic)
        self._membership = Membership(consumer, self._topic, settings.session_timeout_ms / 1000)
        self._absent_since: float | None = None
        self._lost_broker = False
        self._trouble = ""
        """What keeps this member from reading, as it was logged last."""

    def check(self, now: float, *, paused: bool, model: str) -> None:
        """Look at broker, log and group, and report the lag.

        Args:
            now: by time.monotonic().
            paused: nothing is asked for at present, since the stages are full.
            model: the model version that scores.

        Raises:
            LogReplaced: the broker's log is another one, or was cut off.
            SessionOver: the topic is gone, or this member does not read for too long.
        """
        self._guard.expect()
        if not self._connections:
            self._no_broker()
            return
        if self._lost_broker:
            self._lost_broker = False
            log.info("broker back")
            self._heartbeat.set_state("running")
        count = partitions_of(self._consumer, self._topic)
        self._guard.count(count)
        # An operator who begins anew deletes and makes the topic: its id, or its end, tells then.
        self._absent_since = None if count else now if self._absent_since is None else self._absent_since
        if self._absent_since is not None and now - self._absent_since >= ABSENT_SECONDS:
            raise SessionOver(f"the broker has no topic {self._topic}")
        self._ends.turn(count)
        self._check_membership(paused)
        self._report(model)
        self._guard.compare()

    def ends(self) -> dict[int, int]:
        """The partitions' ends, the farther of what the last fetch told and what the broker answered lately."""
        ends = self._ends.known()
        for p, end in self._positions.ends().items():
            ends[p] = max(end, ends.get(p, end))
        return ends

    def _no_broker(self) -> None:
        self._guard.forget()
        self._membership.excuse()
        self._absent_since = None
        found = clients.trouble(self._consumer, probe=False)
        state, reason = (found.state, str(found)) if found is not None else ("broker away", "")
        if not self._lost_broker:
            self._lost_broker = True
            metrics.WAITS.labels("broker").inc()
            log.warning(state, bootstrap=self._settings.kafka_bootstrap, error=reason)
        self._heartbeat.set_state(state, **({"reason": reason} if reason else {}))

    def _check_membership(self, paused: bool) -> None:
        positions = {p: position.next_offset for p, position in self._positions.all().items()}
        trouble = self._membership.trouble(positions, self._ends.known(), paused)
        if trouble is None:
            if self._membership.joined:
                self._heartbeat.reading()
            if self._trouble:
                log.info("reading again", before=self._trouble)
                self._heartbeat.set_state("running" if positions else "standing by")
            self._trouble = ""
            return
        seconds, what = trouble
        if what != self._trouble:
            self._trouble = what
            log.error("not reading", reason=what, seconds=round(seconds, 1))
            self._heartbeat.set_state("not reading", reason=what)
        if seconds > 2 * self._membership.limit:
            metrics.RENEWALS.inc()
            raise SessionOver(f"{what} for {seconds:.0f} s: a new consumer joins")

    def _report(self, model: str) -> None:
        ends, lag = self.ends(), 0
        for p, position in self._positions.all().items():
            if p in ends:
                behind = max(0, ends[p] - position.written)
                metrics.LAG.labels(p).set(behind)
                lag += behind
        self._heartbeat.report(
            self._guard.log_id,
            ends,
            {
                "partitions": self._positions.assigned(),
                "lag": lag,
                "cluster_id": self._guard.cluster,
                "model": model,
            },
        )
