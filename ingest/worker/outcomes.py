"""What became of batches: counted, told to the heartbeat, and committed to Kafka for lag tools."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from barometer.store.stream.batch import Committed
from ingest.worker import metrics
from ingest.worker.batching import Work
from ingest.worker.heartbeat import Heartbeat
from ingest.worker.positions import Positions
from ingest.worker.scoring import Scores

KAFKA_COMMIT_SECONDS = 1.0


class CommittedBatches:
    """Counts a session's committed batches."""

    def __init__(self, consumer: KafkaConsumer, topic: str, positions: Positions, heartbeat: Heartbeat) -> None:
        self._consumer, self._topic = consumer, topic
        self._positions, self._heartbeat = positions, heartbeat
        self._to_commit: dict[TopicPartition, OffsetAndMetadata] = {}
        self._next_commit = 0.0

    def add(self, work: Work, committed: Committed, scores: Scores) -> None:
        """Count a batch that is written."""
        unscored = [reason for reason in scores.reasons if reason is not None]
        tombstones = sum(m.tombstones for m in work.moves)
        progress = sum(m.progress_records for m in work.moves)
        _count(work, committed, unscored, tombstones, progress)
        for move in work.moves:
            self._to_commit[TopicPartition(self._topic, move.partition)] = OffsetAndMetadata(move.next_offset, "", -1)
            metrics.POSITION.labels(move.partition).set(move.next_offset)
            position = self._positions.get(move.partition)
            if position is not None:
                position.written = move.next_offset
        self._heartbeat.batch_written(
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

    def commit_to_kafka(self, *, at_once: bool = False) -> None:
        """Tell lag tools where we are, once in :data:`KAFKA_COMMIT_SECONDS` or ``at_once``. Barometer never reads it
        back, so nothing is lost if it fails."""
        now = time.monotonic()
        if not self._to_commit or (now < self._next_commit and not at_once):
            return
        self._next_commit = now + KAFKA_COMMIT_SECONDS
        ours = set(self._positions.all())
        offsets = {tp: o for tp, o in self._to_commit.items() if tp.partition in ours}
        self._to_commit.clear()
        if offsets:
            self._consumer.commit_async(offsets, callback=lambda _offsets, _answer: None)


def _count(work: Work, committed: Committed, unscored: Sequence[str], tombstones: int, progress: int) -> None:
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
    for reason in unscored:
        metrics.UNSCORED.labels(reason.partition(":")[0]).inc()
