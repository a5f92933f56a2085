"""One connection of a worker to the broker: join the group, read, hand to the stages, keep an eye on log and group.

Everything here runs in one thread and never waits long: polling must go on, or the group takes the partitions away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog
from kafka import KafkaConsumer

from barometer.broker import clients
from barometer.buckets import Buckets
from barometer.rules import RuleSet
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.made_secrets import author_salt
from ingest.messages.decoding import Decoder
from ingest.worker import metrics
from ingest.worker.batching import Assembler, Work
from ingest.worker.connections import Connections
from ingest.worker.consumer import CLOSE_MS, make_consumer
from ingest.worker.heartbeat import Heartbeat
from ingest.worker.log_guard import LogGuard
from ingest.worker.membership import finish_joins, learn_topic
from ingest.worker.outcomes import CommittedBatches
from ingest.worker.pipeline import Pipeline
from ingest.worker.placement import Placement
from ingest.worker.positions import Positions
from ingest.worker.reader import Reader
from ingest.worker.session_watch import SessionWatch
from models.scoring.interface import TextScorer

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 4.0
"""A stopping worker finishes what is in flight within this time, else whoever comes next reads it again."""
METADATA_SECONDS = 5.0
CHECK_SECONDS = 1.0


class Session:
    """One connection to the broker: from joining the group until stopped, or something is away or wrong."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        provider: Callable[[], TextScorer],
        rules: Callable[[], RuleSet],
        stop: threading.Event,
        heartbeat: Heartbeat,
    ) -> None:
        self._settings, self._store, self._stop, self._heartbeat = settings, store, stop, heartbeat
        self._topic = settings.topic_documents
        self._buckets = Buckets(settings.bucket_seconds, settings.zone)
        self._guard = LogGuard(settings, store)
        self._assembler = Assembler(settings.worker_batch, settings.worker_linger_ms / 1000)
        self._pipeline = Pipeline(store, self._buckets, provider, heartbeat.set_state, rules)
        self._generation = -1
        """Of the positions, as this loop knows it; theirs is ahead where something happened that it has not seen."""
        self._rebalances = 0
        self._held: Work | None = None
        """A batch for which the stages had no room yet."""
        self._next_check = 0.0

    def run(self) -> None:
        """Work until stopped.

        Raises:
            SessionOver: what the session was built on has changed.
            LogReplaced: the log is not the one that the store was filled from.
            NoBroker, BrokerError, KafkaError: no broker, or it does not let us in.
            DBAPIError: the database is away while the session begins, or refuses a batch.
        """
        self._guard.look_up()
        with self._consumer() as consumer:
            self._begin(consumer)
            self._join(consumer)
            self._pipeline.start()
            try:
                while not self._stop.is_set():
                    self._turn()
                self._drain()
            finally:
                # What is not written yet by now is left to whoever reads it next.
                self._pipeline.close(timeout=1.0)

    @contextmanager
    def _consumer(self) -> Iterator[KafkaConsumer]:
        consumer = make_consumer(self._settings)
        try:
            with clients.explained(self._settings, consumer):
                yield consumer
        finally:
            consumer.close(autocommit=False, timeout_ms=CLOSE_MS)

    def _begin(self, consumer: KafkaConsumer) -> None:
        """Make what needs the consumer."""
        s, topic, heartbeat = self._settings, self._topic, self._heartbeat
        self._connections = Connections(consumer)
        self._positions = Positions(consumer, topic, self._buckets, s.lateness_ms, s.progress_from == "timestamps")
        self._guard.begin(consumer, self._positions)
        self._placement = Placement(self._store, consumer, topic, self._positions, self._guard, heartbeat)
        self._reader = Reader(
            consumer,
            self._positions,
            self._assembler,
            self._decoder(),
            self._connections,
            self._guard,
            self._placement.postpone,
        )
        self._committed = CommittedBatches(consumer, topic, self._positions, heartbeat)
        self._watch = SessionWatch(s, consumer, self._positions, self._connections, self._guard, heartbeat)

    def _decoder(self) -> Decoder:
        s = self._settings
        return Decoder(
            self._guard.log_id,
            min_time_ms=int(datetime.fromisoformat(s.min_time).timestamp() * 1000),
            author_salt=author_salt(self._store, s),
            framed=s.message_framing == "schema_registry",
            path=s.message_path,
        )

    def _join(self, consumer: KafkaConsumer) -> None:
        finish_joins(consumer)
        self._heartbeat.set_state("joining")
        consumer.subscribe([self._topic], listener=self._positions)
        learn_topic(consumer, self._topic, METADATA_SECONDS)

    def _turn(self) -> None:
        """One turn of the poll loop."""
        self._pipeline.poll()
        self._heartbeat.loop_turned()
        records = self._reader.poll(wait=self._held is None)
        if self._positions.generation != self._generation:
            self._start_over()
        self._reader.collect(records)
        self._take_outcomes()
        generations = self._pipeline.generations
        if generations.current != self._generation and not generations.begin(self._generation, 0.05):
            return  # a commit is under way: what it leaves must be read, not guessed
        now = time.monotonic()
        self._connections.close_silent()
        self._placement.turn(now)
        self._hand_over()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._watch.check(now, paused=self._held is not None, model=self._pipeline.model)
        self._committed.commit_to_kafka()

    def _start_over(self) -> None:
        """There was a rebalance, or a write was refused: forget what is not written yet, ask the store."""
        self._positions.forget_all()
        self._generation = self._positions.generation
        self._assembler.clear()
        self._held = None
        rebalances = self._positions.rebalances - self._rebalances
        if rebalances:
            self._rebalances = self._positions.rebalances
            metrics.REBALANCES.inc(rebalances)
            assigned = self._positions.assigned()
            log.info("partitions dealt out", partitions=assigned)
            metrics.LAG.clear()
            metrics.POSITION.clear()
            if not assigned:
                self._heartbeat.set_state("standing by")

    def _hand_over(self) -> None:
        """Submit the batch that is due; where the stages are full, pause the partitions until they take it."""
        if self._held is None:
            due = self._assembler.due_in()
            if due is None or due > 0:
                return
            self._held = self._assembler.take(
                self._generation, self._guard.log_id, self._positions.all(), self._watch.ends()
            )
        if self._pipeline.submit(self._held, timeout=0.3):
            self._held = None
            self._positions.resume()
        else:
            self._positions.pause()

    def _take_outcomes(self) -> None:
        outcomes = self._pipeline.outcomes
        while outcomes:
            outcome = outcomes.popleft()
            if outcome.committed is not None:
                self._committed.add(outcome.work, outcome.committed, outcome.scores)
            elif outcome.work.generation == self._generation:
                self._start_over()

    def _drain(self) -> None:
        """Let the batches in flight finish; what was read and not handed over is left to whoever comes next."""
        self._heartbeat.set_state("stopping")
        deadline = time.monotonic() + DRAIN_SECONDS
        if self._held is not None:
            self._pipeline.submit(self._held, timeout=DRAIN_SECONDS)
        self._pipeline.drain(max(0.0, deadline - time.monotonic()))
        self._take_outcomes()
        self._committed.commit_to_kafka(at_once=True)
