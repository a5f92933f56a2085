"""Reading: polls the consumer, decodes what comes, and collects it into batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError

from ingest.messages.decoding import Decoder
from ingest.worker import metrics
from ingest.worker.batching import Assembler
from ingest.worker.connections import Connections
from ingest.worker.log_guard import LogGuard
from ingest.worker.positions import Positions, known_epoch

POLL_MS = 200
OUT_OF_RANGE_SECONDS = 0.5

Records = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class Reader:
    """Takes records of positioned partitions into an assembler.

    Args:
        postpone_placing: called with the seconds for which the store should not be asked for positions.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        positions: Positions,
        assembler: Assembler,
        decoder: Decoder,
        connections: Connections,
        guard: LogGuard,
        postpone_placing: Callable[[float], None],
    ) -> None:
        self._consumer, self._positions, self._assembler = consumer, positions, assembler
        self._decoder, self._connections, self._guard = decoder, connections, guard
        self._postpone_placing = postpone_placing

    def poll(self, wait: bool) -> Records:
        """What has come, at most what the assembler has room for.

        Args:
            wait: for records, for as long as the batch so far may linger, or :data:`POLL_MS`.

        Raises:
            LogReplaced: records that were read, or not read yet, are gone from the log.
        """
        due = self._assembler.due_in()
        if not wait:
            timeout_ms = 0
        elif due is None:
            timeout_ms = POLL_MS
        else:
            timeout_ms = max(0, min(POLL_MS, int(due * 1000)))
        try:
            started = time.perf_counter()
            records: Records = self._consumer.poll(timeout_ms=timeout_ms, max_records=self._assembler.room)
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
            self._postpone_placing(OUT_OF_RANGE_SECONDS)
        except LogTruncationError as e:
            self._guard.truncated(e)
        return {}

    def collect(self, records: Records) -> None:
        """Decode records into the assembler; what is not for us any more is discarded.

        Raises:
            NoBroker: the broker cannot be asked who it is.
            LogReplaced: the records are of another log.
        """
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
