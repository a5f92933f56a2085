"""Whether a topic still holds what the store has of it, where the broker gives topics no id (before Kafka 2.8).

A topic that was deleted, made anew and filled beyond the stored offsets answers as if nothing had happened. But the
text with the largest time that the store has of a partition must still be in it, at its offset and with its time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError, OffsetOutOfRangeError

from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.stream.log_epochs import newest_texts
from barometer.store.stream.offsets import StoredOffset
from ingest.worker.consumer import make_reader

READ_SECONDS = 10.0
PATIENCE_SECONDS = 3.0


def gone(settings: Settings, store: Store, log_id: int, stored: Mapping[int, StoredOffset]) -> str | None:
    """Why the topic is not the one that was read, or None: what the store has is there, or nothing can be said.

    Nothing can be said of a partition without a stored text, or whose text was deleted by age.

    Args:
        stored: the partitions to look at.

    Raises:
        kafka.errors.KafkaError: the broker is away.
    """
    wanted = newest_texts(store, log_id, stored)
    if not wanted:
        return None
    consumer = make_reader(settings)
    try:
        found, shorter = _read(consumer, settings.topic_documents, {p: offset for p, (offset, _) in wanted.items()})
    finally:
        consumer.close(autocommit=False, timeout_ms=1_000)
    for p in sorted(shorter):
        return (
            f"the log is another, or was cut off: partition {p} ends before {wanted[p][0]}, where the store has a text"
        )
    for p, timestamp in sorted(found.items()):
        offset, observed_at = wanted[p]
        if timestamp != observed_at:
            return (
                f"the topic is another: partition {p} has a record of time {timestamp} at offset {offset}, "
                f"where the store has one of {observed_at}"
            )
    return None


def _read(consumer: KafkaConsumer, topic: str, offsets: Mapping[int, int]) -> tuple[dict[int, int], set[int]]:
    """(partition -> timestamp of the record at its offset, where the log has one; partitions that end before it)."""
    at = {TopicPartition(topic, p): offset for p, offset in offsets.items()}
    first = consumer.beginning_offsets(list(at), timeout_ms=10_000)
    left = {tp for tp, offset in at.items() if first[tp] <= offset}
    consumer.assign(sorted(left))
    for tp in left:
        consumer.seek(tp, at[tp])
    out: dict[int, int] = {}
    began = time.monotonic()
    while left:
        shorter = set()
        try:
            polled = consumer.poll(timeout_ms=300, max_records=len(at))
        except OffsetOutOfRangeError as e:  # Kafka says so; others send nothing, and their end
            polled, shorter = {}, set(e.args[0]) & left
        for tp, records in polled.items():
            if records and tp in left:
                left.discard(tp)
                consumer.pause(tp)
                if records[0].offset == at[tp]:
                    out[tp.partition] = int(records[0].timestamp)
        shorter |= {tp for tp in left if (end := consumer.highwater(tp)) is not None and end <= at[tp]}
        waited = time.monotonic() - began
        if shorter and waited > PATIENCE_SECONDS:  # a new leader's end may lag
            return out, {tp.partition for tp in shorter}
        if waited > READ_SECONDS:
            raise KafkaTimeoutError(f"no records from {sorted(left)}")
    return out, set()
