"""The live topic's progress records, written by the leader: t = now, into every partition, every few seconds.

The lease ``progress:<topic>`` is taken for each round and given back, so that an importer can take it over between two
rounds; while it holds it, nothing is written here.
"""

from __future__ import annotations

import time

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError

from barometer.progress import progress_record
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.leases import acquire, progress_lease, release
from monitor import metrics

log = structlog.get_logger(__name__)

ROUND_SECONDS = 10.0
"""Life of the lease of one round: longer than a round may take."""


class ProgressTicker:
    """Writes rounds of progress records. Waits for nobody: what fails now is tried at the next round.

    Args:
        writer: this process's name, for people.
    """

    def __init__(self, settings: Settings, store: Store, writer: str) -> None:
        self._settings, self._store, self._writer = settings, store, writer
        self._producer: KafkaProducer | None = None

    def tick(self) -> bool:
        """One round; False if somebody else writes the topic's progress now, or the topic is not there yet.

        Raises:
            KafkaError: the broker is away or refuses.
        """
        topic = self._settings.topic_documents
        lease = acquire(self._store, progress_lease(topic), self._writer, ROUND_SECONDS)
        if lease is None:
            return False
        try:
            return self._write(topic, lease.term)
        except KafkaError:
            self.close()
            raise
        finally:
            release(self._store, lease)

    def _write(self, topic: str, term: int) -> bool:
        if self._producer is None:
            self._producer = KafkaProducer(
                **{"max_block_ms": 5_000, "acks": "all", "retries": 0, **self._settings.kafka()}
            )
        partitions = self._producer.partitions_for(topic)
        if not partitions:
            return False
        now = time.time_ns() // 1_000_000
        headers, value = progress_record(now, self._writer, term)
        sent = [
            self._producer.send(topic, value=value, headers=headers, partition=p, timestamp_ms=now)
            for p in sorted(partitions)
        ]
        deadline = time.monotonic() + ROUND_SECONDS - 2
        for future in sent:
            future.get(timeout=max(0.1, deadline - time.monotonic()))
        metrics.PROGRESS.inc(len(sent))
        return True

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None
