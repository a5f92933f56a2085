"""One connection of a worker to the broker: join the group, read, hand to the stages, keep an eye on log and group.

Everything here runs in one thread and never waits long: polling must go on, or the group takes the partitions away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata
from sqlalchemy.exc import DBAPIError

from barometer.broker import clients
from barometer.buckets import Buckets
from barometer.rules import RuleSet
from barometer.settings import Settings
from barometer.store.engine import Store, is_away
from barometer.store.made_secrets import author_salt
from barometer.store.stream.offsets import insert_offsets, read_offsets
from barometer.store.waiting import say_away
from ingest.messages.decoding import Decoder
from ingest.topic.ends import Ends, beginnings
from ingest.worker import metrics
from ingest.worker.batching import Assembler, Work
from ingest.worker.connections import Connections
from ingest.worker.consumer import CLOSE_MS, make_consumer, partitions_of
from ingest.worker.log_guard import ANSWER_SECONDS, LogGuard
from ingest.worker.membership import Membership, finish_joins, learn_topic
from ingest.worker.pipeline import Outcome, Pipeline
from ingest.worker.positions import Positions, known_epoch
from ingest.worker.scoring import Scorer
from ingest.worker.worker_heartbeat import Pulse

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 4.0
"""A stopping worker finishes what is in flight within this time, else whoever comes next reads it again."""
ABSENT_SECONDS = 3.0
"""A broker that has just started may not know its topics yet."""
METADATA_SECONDS = 5.0
OUT_OF_RANGE_SECONDS = 0.5
LEADERLESS_SECONDS = 1.0
KAFKA_COMMIT_SECONDS = 1.0
POLL_MS = 200


class SessionOver(Exception):
    """What the session was built on has changed: begin another."""


class Session:
    """One connection to the broker: from joining the group until stopped, or something is away or wrong."""

    def __init__(
        self, settings: Settings, store: Store, provider: Callable[[], Scorer], rules: Callable[[], RuleSet],
        stop: threading.Event, pulse: Pulse,
    ) -> None:  # fmt: skip
        self._settings, self._store, self._stop, self._pulse = settings, store, stop, pulse
        self._topic = settings.topic_documents
        self._buckets = Buckets(settings.bucket_seconds, settings.zone)
        self._assembler = Assembler(settings.worker_batch, settings.worker_linger_ms / 1000)
        self._pipeline = Pipeline(store, self._buckets, provider, pulse.set, rules)
        self._guard = LogGuard(settings, store)
        self._generation = -1
        self._rebalances = 0
        self._held: Work | None = None
        self._absent_since: float | None = None
        self._next_check = self._next_commit = self._place_at = 0.0
        self._place_delay = 0.1
        self._to_commit: dict[TopicPartition, OffsetAndMetadata] = {}
        self._lost_broker = False
        self._trouble = ""

    def run(self) -> None:
        with self._joined() as consumer:
            self._consumer = consumer
            self._connections = Connections(consumer)
            s = self._settings
            self._positions = Positions(
                consumer, self._topic, self._buckets, s.lateness_ms, s.progress_from == "timestamps"
            )
            self._ends = Ends(consumer, self._topic)
            self._membership = Membership(consumer, self._topic, s.session_timeout_ms / 1000)
            self._guard.begin(consumer, self._positions)
            self._decoder = Decoder(
                self._guard.log_id,
                min_time_ms=int(datetime.fromisoformat(s.min_time).timestamp() * 1000),
                author_salt=author_salt(self._store, s),
                now_ms=lambda: time.time_ns() // 1_000_000,
                framed=s.message_framing == "schema_registry",
                path=s.message_path,
            )
            finish_joins(consumer)
            self._pulse.set("joining")
            consumer.subscribe([self._topic], listener=self._positions)
            learn_topic(consumer, self._topic, METADATA_SECONDS)
            self._pipeline.start()
            try:
                while not self._stop.is_set():
                    self._step()
                self._drain()
            finally:
                # Nothing of ours is written after this line, whatever the threads are still at.
                self._pipeline.close(timeout=1.0)

    @contextmanager
    def _joined(self) -> Iterator[KafkaConsumer]:
        self._guard.look_up()
        consumer = make_consumer(self._settings)
        try:
            with clients.explained(self._settings, consumer):
                yield consumer
        finally:
            consumer.close(autocommit=False, timeout_ms=CLOSE_MS)

    # --- one turn of the loop ----------------------------------------------------------------------------------------

    def _step(self) -> None:
        if self._pipeline.failure is not None:
            raise self._pipeline.failure
        self._pulse.turn()
        records = self._poll()
        if self._positions.generation != self._generation:
            self._start_over()
        self._take(records)
        self._results()
        if self._pipeline.generation != self._generation and not self._pipeline.open(self._generation, 0.05):
            return  # a commit is under way: what it leaves must be read, not guessed
        now = time.monotonic()
        self._connections.close_silent()
        if self._positions.unpositioned() and now >= self._place_at:
            self._try_to_place(now)
        self._send()
        if now >= self._next_check:
            self._next_check = now + 1.0
            self._check_log(now)
        self._commit_to_kafka(now)

    def _poll(self) -> dict[TopicPartition, list[Any]]:
        due = self._assembler.due_in()
        if self._held is not None:
            wait = 0
        elif due is None:
            wait = POLL_MS
        else:
            wait = max(0, min(POLL_MS, int(due * 1000)))
        try:
            started = time.perf_counter()
            records = self._consumer.poll(timeout_ms=wait, max_records=self._assembler.room)
            if records:
                metrics.STAGE.labels("poll").observe(time.perf_counter() - started)
            return records
        except NoOffsetForPartitionError:
            # The client lost a position that we gave it; it is given again from the store.
            self._positions.forget_all()
        except OffsetOutOfRangeError as e:
            self._guard.out_of_range(e)
            # It was an election: the new leader did not know better for a moment. The store says where we stand.
            self._positions.forget_all()
            self._place_at = time.monotonic() + OUT_OF_RANGE_SECONDS
        except LogTruncationError as e:
            self._guard.truncated(e)
        return {}

    def _start_over(self) -> None:
        """Partitions were dealt out anew, or a write was refused: forget what is not written yet, ask the store."""
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
                self._pulse.set("standing by")

    def _take(self, records: dict[TopicPartition, list[Any]]) -> None:
        if records and self._connections.changed():
            self._connections.trust()
            self._guard.verify()
        elif records:
            self._guard.expect()
        started = time.perf_counter()
        for tp, items in records.items():
            position = self._positions.get(tp.partition)
            if position is None:
                metrics.DISCARDED.inc(len(items))
                continue
            for r in items:
                if r.offset < position.next_offset:
                    metrics.DISCARDED.inc()
                    continue
                entry = self._decoder.decode(r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
                self._assembler.add(position, r.partition, r.offset, known_epoch(r.leader_epoch), entry)
        for p, offset, epoch in self._positions.passed():
            if (position := self._positions.get(p)) is not None:
                self._assembler.skip(position, p, offset, epoch)
        if records:
            metrics.STAGE.labels("decode").observe(time.perf_counter() - started)

    def _try_to_place(self, now: float) -> None:
        """The database may be away for long; the group must not notice."""
        try:
            self._place()
            self._place_delay = 0.1
        except DBAPIError as e:
            if not is_away(e):
                raise
            metrics.WAITS.labels("database").inc()
            self._pulse.set(say_away(e))
            self._place_at = now + self._place_delay
            self._place_delay = min(self._place_delay * 2, 5.0)

    def _place(self) -> None:
        missing = self._positions.unpositioned()
        if not self._positions.all():
            self._pulse.set("positioning")
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
            # Nobody leads those just now: that must not keep the others.
            self._place_at = time.monotonic() + LEADERLESS_SECONDS
        guard.find_gaps(stored, ours)
        guard.look_for_what_is_stored(stored, ours)
        if self._positions.generation != generation:
            return  # dealt out anew in the meantime: next turn
        self._positions.place(stored, ours)
        self._positions.resume()
        if ours:
            self._pulse.set("running")

    def _send(self) -> None:
        if self._held is None:
            due = self._assembler.due_in()
            if due is None or due > 0:
                return
            ends = self._known_ends()
            self._held = self._assembler.take(self._generation, self._guard.log_id, self._positions.all(), ends)
        if self._pipeline.submit(self._held, timeout=0.3):
            self._held = None
            if self._consumer.paused():
                self._positions.resume()
        else:
            self._positions.pause()

    # --- what came of it ---------------------------------------------------------------------------------------------

    def _results(self) -> None:
        while self._pipeline.outcomes:
            outcome = self._pipeline.outcomes.popleft()
            if outcome.committed is None:
                if outcome.work.generation == self._generation:
                    self._start_over()
                continue
            self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        work, committed, scores = outcome.work, outcome.committed, outcome.scores
        assert committed is not None
        assert scores is not None
        tombstones = sum(m.tombstones for m in work.moves)
        progress = sum(m.progress_records for m in work.moves)
        for name, n in (
            ("document", committed.documents),
            ("repeat", committed.repeats),
            ("dead_letter", committed.dead_letters),
            ("tombstone", tombstones),
            ("progress", progress),
        ):
            if n:
                metrics.RECORDS.labels(name).inc(n)
        metrics.LATE.inc(committed.late)
        metrics.BATCH.observe(len(work.documents))
        unscored = [r for r in scores.reasons if r is not None]
        for reason in unscored:
            metrics.UNSCORED.labels(reason.partition(":")[0]).inc()
        for move in work.moves:
            self._to_commit[TopicPartition(self._topic, move.partition)] = OffsetAndMetadata(move.next_offset, "", -1)
            metrics.POSITION.labels(move.partition).set(move.next_offset)
            position = self._positions.get(move.partition)
            if position is not None:
                position.written = move.next_offset
        self._pulse.batch(
            {
                "records": work.records,
                "documents": committed.documents,
                "repeats": committed.repeats,
                "dead_letters": committed.dead_letters,
                "late": committed.late,
                "unscored": len(unscored),
                "tombstones": tombstones,
                "progress": progress,
                "seconds": time.monotonic() - work.started,
            },
        )

    def _commit_to_kafka(self, now: float) -> None:
        """Tell lag tools where we are; nobody reads it back, so a failure is nobody's loss."""
        if self._to_commit and now >= self._next_commit:
            self._next_commit = now + KAFKA_COMMIT_SECONDS
            ours = set(self._positions.all())
            offsets = {tp: o for tp, o in self._to_commit.items() if tp.partition in ours}
            self._to_commit.clear()
            if offsets:
                self._consumer.commit_async(offsets, callback=lambda _offsets, _answer: None)

    # --- is it still our log, and are we still in the group? ---------------------------------------------------------

    def _check_log(self, now: float) -> None:
        self._guard.expect()
        if not self._connections:
            self._guard.forget()
            self._membership.excuse()
            self._absent_since = None
            found = clients.trouble(self._consumer, probe=False)
            state, reason = (found.state, str(found)) if found is not None else ("broker away", "")
            if not self._lost_broker:
                self._lost_broker = True
                metrics.WAITS.labels("broker").inc()
                log.warning(state, bootstrap=self._settings.kafka_bootstrap, error=reason)
            self._pulse.set(state, **({"reason": reason} if reason else {}))
            return
        if self._lost_broker:
            self._lost_broker = False
            log.info("broker back")
            self._pulse.set("running")
        count = partitions_of(self._consumer, self._topic)
        self._guard.count(count)
        # Who begins anew makes a topic that is gone: then its id, or its end, tells.
        self._absent_since = None if count else now if self._absent_since is None else self._absent_since
        if self._absent_since is not None and now - self._absent_since >= ABSENT_SECONDS:
            raise SessionOver(f"the broker has no topic {self._topic}")
        self._ends.turn(count)
        self._check_membership()
        self._report(self._known_ends())
        self._guard.compare()

    def _check_membership(self) -> None:
        positions = {p: position.next_offset for p, position in self._positions.all().items()}
        trouble = self._membership.trouble(positions, self._ends.known(), self._held is not None)
        if trouble is None:
            if self._membership.joined:
                self._pulse.reads()
            if self._trouble:
                log.info("reading again", before=self._trouble)
                self._pulse.set("running" if positions else "standing by")
            self._trouble = ""
            return
        seconds, what = trouble
        if what != self._trouble:
            self._trouble = what
            log.error("not reading", reason=what, seconds=round(seconds, 1))
            self._pulse.set("not reading", reason=what)
        if seconds > 2 * self._membership.limit:
            metrics.RENEWALS.inc()
            raise SessionOver(f"{what} for {seconds:.0f} s: a new consumer joins")

    def _known_ends(self) -> dict[int, int]:
        """The partitions' ends, the farther of what the last fetch told and what the broker answered lately."""
        ends = self._ends.known()
        for p, end in self._positions.ends().items():
            ends[p] = max(end, ends.get(p, end))
        return ends

    def _report(self, ends: dict[int, int]) -> None:
        lag = 0
        for p, position in self._positions.all().items():
            if p in ends:
                behind = max(0, ends[p] - position.written)
                metrics.LAG.labels(p).set(behind)
                lag += behind
        self._pulse.report(
            self._guard.log_id,
            ends,
            {
                "partitions": self._positions.assigned(),
                "lag": lag,
                "cluster_id": self._guard.cluster,
                "model": self._pipeline.model,
            },
        )

    # --- the end -----------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Let the batches in flight finish; what was read and not handed over is left to whoever comes next."""
        self._pulse.set("stopping")
        deadline = time.monotonic() + DRAIN_SECONDS
        if self._held is not None:
            self._pipeline.submit(self._held, timeout=DRAIN_SECONDS)
        while not self._pipeline.idle and time.monotonic() < deadline and self._pipeline.failure is None:
            time.sleep(0.02)
        self._results()
        self._commit_to_kafka(self._next_commit)
