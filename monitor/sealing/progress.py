"""The live topic's progress records, written by the leader: t = now, into every partition, every few seconds.

The lease ``progress:<topic>`` is taken for each round and given back, so that an importer can take it over between two
rounds; while it holds it, nothing is written here.
"""

from __future__ import annotations

import time

import structlog
from kafka import KafkaProducer
from kafka.errors import InvalidRecordError, InvalidTimestampError, KafkaError

from barometer.broker import clients
from barometer.broker.ending import end_producer
from barometer.broker.errors import BrokerError
from barometer.errors import BarometerError
from barometer.progress import progress_record
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.leases import acquire, progress_lease, release
from barometer.store.stream.log_epochs import current_log
from barometer.store.stream.offsets import progress_of_partitions, touch_high_water
from monitor import metrics
from monitor.sealing.promises import Promises

log = structlog.get_logger(__name__)

ROUND_SECONDS = 10.0
"""Life of the lease of one round: longer than records may be on their way."""


CLOCKS_APART_MS = 60_000


class ProgressTicker:
    """Writes rounds of progress records. Waits for nobody: what fails now is tried at the next round.

    Args:
        writer: this process's name, for people.
    """

    def __init__(self, settings: Settings, store: Store, writer: str) -> None:
        self._settings, self._store, self._writer = settings, store, writer
        self._producer: KafkaProducer | None = None
        self._promises: tuple[int, Promises] | None = None
        """Of which log, and what was promised in it."""

    def tick(self) -> bool:
        """One round; False if somebody else writes the topic's progress now, or the topic is not there yet.

        Raises:
            BrokerError: the broker is away or refuses.
            BarometerError: the topic takes no progress records; or our clock and the database's are more than a minute
                apart. Progress ahead of the time makes all that follows late, and cannot be taken back.
        """
        topic = self._settings.topic_documents
        with self._store.read() as c:
            log_row = current_log(c, topic)
            if log_row is None:
                # No worker has seen it. Some brokers make it for the asking, with partitions of their own default.
                return False
            if self._promises is None or self._promises[0] != log_row.id:
                self._promises = log_row.id, Promises(self._settings.lateness_ms, progress_of_partitions(c, log_row.id))
            apart = time.time_ns() // 1_000_000 - self._store.now_ms(c)
        if abs(apart) > CLOCKS_APART_MS:
            raise BarometerError(
                f"this machine's clock is {apart / 1000:+.0f} s from the database's: no progress is written, which "
                "would close buckets at the wrong time. Set the clocks right (NTP)"
            )
        try:
            # All that may wait for the broker comes before the lease is taken.
            producer = self._connected()
            partitions = producer.partitions_for(topic)
        except KafkaError as e:
            raise self._failed(e) from e
        if not partitions:
            return False
        lease = acquire(self._store, progress_lease(topic), self._writer, ROUND_SECONDS)
        if lease is None:
            self._promises[1].excuse()
            return False
        try:
            self._write(producer, topic, sorted(partitions), lease.term)
        except KafkaError as e:
            raise self._failed(e) from e
        except BarometerError:
            self.close()
            raise
        finally:
            release(self._store, lease)
        return True

    def _failed(self, error: KafkaError) -> BrokerError:
        """What to tell; the next round takes a new producer."""
        found = clients.explain(error, self._settings, self._producer, operation="Write")
        self.close()
        return found

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = clients.producer(
                self._settings,
                # A topic that a look-up made would have the broker's default partitions, not ours.
                allow_auto_create_topics=False,
                acks="all",
                retries=0,
                max_block_ms=3_000,
                request_timeout_ms=7_000,
                delivery_timeout_ms=8_000,
            )
        return self._producer

    def _write(self, producer: KafkaProducer, topic: str, partitions: list[int], term: int) -> None:
        assert self._promises is not None
        log_id, promises = self._promises
        now = time.time_ns() // 1_000_000
        deadline = time.monotonic() + ROUND_SECONDS - 1
        sent = []
        for p in partitions:
            t = promises.next(p, now)
            headers, value = progress_record(t, self._writer, term)
            sent.append((p, t, producer.send(topic, value=value, headers=headers, partition=p, timestamp_ms=now)))
        failure: KafkaError | None = None
        ends: dict[int, int] = {}
        for p, t, future in sent:
            try:
                written = future.get(timeout=max(0.1, deadline - time.monotonic()))
            except KafkaError as e:  # a partition that cannot be written to holds back its own promises only
                failure = failure or e
                continue
            promises.kept(p, t, now)
            ends[p] = int(written.offset) + 1
            metrics.PROGRESS.inc()
        metrics.PROGRESS_HELD.set(promises.holds(now))
        # What was just written is the partition's end: the lag shows also where no worker reads.
        touch_high_water(self._store, log_id, ends)
        if isinstance(failure, InvalidRecordError | InvalidTimestampError):
            raise BarometerError(
                f"topic {topic} refuses progress records, so no bucket can be sealed: {failure.args[0]}. "
                "`barometer status` says which setting of the topic is wrong"
            ) from failure
        if failure is not None:
            raise failure

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            end_producer(producer, 1)
