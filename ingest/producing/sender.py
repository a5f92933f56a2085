"""Sending records so that none is lost without a word, none arrives twice, and none overtakes another in its partition.

What holds: a record is *acknowledged* (it is in the log, once), *refused* (it is not; it is named, and everything that
was sent with it arrives), or *unknown* (the broker went away before it answered, or kafka-python lost track). After the
first unknown record nothing more is sent, and nothing unknown is ever sent again: it might be in the log already.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from kafka.partitioner.default import murmur2

from barometer.broker import clients
from barometer.broker.ending import end_producer
from barometer.errors import BarometerError
from barometer.settings import Settings
from ingest.producing.refusals import OF_THE_ROW, NotSent, shared_its_batch, spare_the_rest

Header = tuple[str, bytes]

LINGER_MS = 20
BATCH_BYTES = 128 * 1024
WINDOW_BYTES = 32 << 20
"""So much may be under way; kafka-python itself would take any amount into memory."""
CLOSE_SECONDS = 5.0
MORE_SECONDS = 5.0
"""After kafka-python's own limit (delivery_timeout_ms), which it does not always keep."""
SILENT_BROKER = {
    "request_timeout_ms": 5_000,
    "metadata_max_age_ms": 1_000,
    "reconnect_backoff_max_ms": 1_000,
    "retry_backoff_ms": 250,
}
"""A broker that died without closing its connections is left soon, and its partitions' new leaders are found: a request
that is repeated leaves one record. With one request under way at a time kafka-python 3.0.12 asks nobody for metadata
while its only connection waits for an answer, and after each miss waits twice as long as before, up to
``reconnect_backoff_max_ms``."""
_KEYLESS = 100
"""So many records without a key go to one partition before the next one's turn, so that they share batches."""


class DeliveryError(BarometerError):
    """A record did not get into the log; names the first one."""


class Refused(BarometerError):
    """The broker does not take this record; the others can be sent.

    Args:
        where: names the record: file and line.
    """

    def __init__(self, where: str, why: str) -> None:
        self.where, self.why = where, why
        super().__init__(f"{where}: {why}")


class TooLarge(Refused):
    """A record is larger than a Kafka request may be (1 MB)."""


@dataclass(slots=True, eq=False)
class _Record:
    number: int
    where: str
    time_ms: int | None
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    control: bool
    partition: int = -1
    size: int = 0
    alone: bool = False
    """It was in a refused batch of which the broker did not say which record is at fault."""


class Sender:
    """A producer with one request under way at a time, so that the order within a partition holds even when a request
    has to be repeated, and idempotent, so that a repeated request leaves one record. For one thread.

    Args:
        on_refused: told of each record that the broker refuses, when all others under way have been delivered; None:
            such a record ends the sending with a :class:`DeliveryError`.

    Raises:
        BrokerError: no broker answers, or none lets us in.
    """

    def __init__(self, settings: Settings, topic: str, on_refused: Callable[[Refused], None] | None = None) -> None:
        self.topic, self._settings = topic, settings
        self.given = self.arrived = self.refused = self.unknown = 0
        """Rows that :meth:`send` was given, and of these: acknowledged, refused by the broker, and of unknown fate."""
        self.acknowledged = 0
        """Records in the log, those of :meth:`broadcast` too."""
        self.restamped = False
        """The broker put a time of its own in place of a record's (message.timestamp.type is LogAppendTime)."""
        self.offsets: dict[int, tuple[int, int]] = {}
        """First and last offset of what was acknowledged, by partition."""
        self._on_refused = on_refused
        self._lock = threading.Condition(threading.RLock())
        self._number = self._bytes = 0
        self._under_way: dict[int, _Record] = {}
        self._lost: list[tuple[_Record, BaseException]] = []
        self._again: list[_Record] = []
        self._refusal = self._over = self._closed = False
        self._failure: BarometerError | None = None
        options = {
            "acks": "all",
            "enable_idempotence": True,
            "max_in_flight_requests_per_connection": 1,
            "linger_ms": LINGER_MS,
            "batch_size": BATCH_BYTES,
            "client_id": "barometer-produce",
            "allow_auto_create_topics": False,
            **SILENT_BROKER,
        }
        self._producer = clients.producer(settings, **options)
        self._patience = self._producer.config["delivery_timeout_ms"] / 1000
        self._spares = spare_the_rest(self._producer, self._lock, self._note_refusal, self._note_end)

    # --- what others call --------------------------------------------------------------------------------------------

    def send(
        self,
        timestamp_ms: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header] | None = None,
        *,
        where: str,
        partition: int | None = None,
    ) -> None:
        """Put a record on its way. The partition is chosen by the key unless it is given.

        Args:
            timestamp_ms: the record's time; None: now.
            where: names the record in error messages (file and line).

        Raises:
            TooLarge: this record cannot be sent; the others can.
            DeliveryError: an earlier record was refused or lost, or the broker has been away for too long.
            NotAuthorized: the right to write is missing.
        """
        self._send(timestamp_ms, key, value, headers, where, partition, control=False)

    def broadcast(self, timestamp_ms: int | None, value: bytes, headers: list[Header], *, where: str) -> int:
        """One record into every partition, behind all that was sent before, which is in the log by then, and before all
        that is sent after; returns the number of partitions.

        Raises:
            DeliveryError: an earlier record was refused or lost: then nothing is broadcast.
        """
        self.flush()
        partitions = self._partitions(where)
        for p in partitions:
            self._send(timestamp_ms, None, value, headers, where, p, control=True)
        return len(partitions)

    def flush(self) -> None:
        """Wait until all that was sent is in the log, or is refused and told.

        Raises:
            DeliveryError: something is not.
        """
        self._wait()
        self._go_on()

    def settle(self) -> None:
        """As :meth:`flush`, when the sending ends for another reason: what went wrong is kept in the counts alone."""
        with suppress(BarometerError):
            self.flush()

    def close(self) -> None:
        """End the producer; what was not flushed gets a few seconds."""
        if not self._closed:
            with self._lock:
                waiting = bool(self._under_way)
            if waiting:
                with suppress(KafkaError):
                    self._producer.flush(timeout=CLOSE_SECONDS)
            self._end()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, _type: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self.close()

    # --- sending -----------------------------------------------------------------------------------------------------

    def _send(
        self,
        timestamp_ms: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header] | None,
        where: str,
        partition: int | None,
        *,
        control: bool,
    ) -> None:
        self._go_on()
        self._wait_for_room()
        record = _Record(self._number, where, timestamp_ms, key, value, headers or [], control)
        self._number += 1
        record.size = len(key or b"") + len(value or b"")
        partitions = self._partitions(where)
        if partition is not None:
            record.partition = partition
        elif key is not None:
            record.partition = partitions[(murmur2(key) & 0x7FFFFFFF) % len(partitions)]
        else:
            record.partition = partitions[record.number // _KEYLESS % len(partitions)]
        while not self._post(record):
            self._go_on()
        if not control:
            self.given += 1

    def _post(self, record: _Record) -> bool:
        """Hand a record to the producer; False, and nothing done, when one before it was refused or lost."""
        with self._lock:
            if self._refusal or self._over:
                return False
            self._under_way[record.number] = record
            self._bytes += record.size
            try:
                future = self._producer.send(
                    self.topic,
                    record.value,
                    record.key,
                    record.headers,
                    partition=record.partition,
                    timestamp_ms=record.time_ms,
                )
            except BaseException as e:
                self._done(record)
                if isinstance(e, MessageSizeTooLargeError):
                    why = f"{len(record.value or b''):,} bytes: more than a Kafka request may hold"
                    raise TooLarge(record.where, why) from e
                if isinstance(e, KafkaError):
                    raise self._not_allowed(e) or DeliveryError(f"{record.where}: not sent: {_one_line(e)}") from e
                raise
        future.add_callback(partial(self._has_arrived, record))
        future.add_errback(partial(self._has_failed, record))
        return True

    def _partitions(self, where: str) -> list[int]:
        try:
            return sorted(self._producer.partitions_for(self.topic))
        except KafkaError as e:
            raise self._not_allowed(e) or DeliveryError(f"{where}: not sent: {_one_line(e)}") from e

    def _not_allowed(self, error: BaseException) -> BarometerError | None:
        """A missing right or a login that is refused, as an error of its own."""
        if not clients.refused(error):
            return None
        return clients.explain(error, self._settings, self._producer, operation="Write", topic=self.topic)

    def _wait_for_room(self) -> None:
        with self._lock:
            while self._bytes > WINDOW_BYTES and not (self._refusal or self._over):
                self._lock.wait(1.0)

    def _wait(self) -> None:
        """Until nothing is under way, or it has been long enough since anything moved."""
        left, moved = -1, time.monotonic()
        while True:
            with self._lock:
                if not self._under_way or self._over:
                    return
                if len(self._under_way) != left:
                    left, moved = len(self._under_way), time.monotonic()
            if time.monotonic() - moved > self._patience + MORE_SECONDS:
                # For example without a producer id kafka-python waits for ever.
                with self._lock:
                    self._over = True
                return
            # It raises when the broker made it split a batch, too, which is no failure.
            with suppress(KafkaError):
                self._producer.flush(timeout=1.0)
            with self._lock:
                if self._under_way and not self._over:
                    self._lock.wait(0.02)

    # --- when something went wrong -----------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Mend what has happened since the last call.

        Raises:
            DeliveryError: it cannot be mended.
        """
        if self._failure is None:
            if self._refusal or self._lost or self._again:
                self._mend()
            if self._over:
                self._give_up()
        if self._failure is not None:
            raise self._failure

    def _mend(self) -> None:
        """Send again, in their order, the records that shared the fate of a refused one, then tell of that one."""
        guilty: list[tuple[_Record, BaseException]] = []
        while True:
            self._wait()
            with self._lock:
                if self._over:
                    break
                lost, self._lost, self._refusal = self._lost, [], False
            shared = Counter(id(error) for _, error in lost)
            for record, error in lost:
                if isinstance(error, OF_THE_ROW):
                    if shared[id(error)] == 1:  # the broker has named it, or it was alone in its batch
                        guilty.append((record, error))
                        continue
                    record.alone = True
                self._again.append(record)
            if not self._again:
                break
            self._again.sort(key=lambda r: r.number)
            self._send_again()
        guilty.sort(key=lambda x: x[0].number)
        self._report_refused(guilty)

    def _send_again(self) -> None:
        while self._again:
            record = self._again[0]
            if record.alone:
                self._wait()
            if not self._post(record):
                return
            del self._again[0]
            if record.alone:
                self._wait()

    def _report_refused(self, guilty: list[tuple[_Record, BaseException]]) -> None:
        self.refused += sum(not record.control for record, _ in guilty)
        for record, error in guilty:
            if record.control or self._on_refused is None:
                self._failure = DeliveryError(f"{record.where}: refused by the broker: {_one_line(error)}")
                return
        for record, error in guilty:
            assert self._on_refused is not None
            self._on_refused(Refused(record.where, f"refused by the broker: {_one_line(error)}"))

    def _give_up(self) -> None:
        """Nothing more is sent: what would follow might overtake what is unknown."""
        trouble = clients.trouble(self._producer)
        self._end()
        with self._lock:
            lost = sorted(self._lost, key=lambda x: x[0].number)
            unknown = [(r, e) for r, e in lost if not isinstance(e, NotSent)]
            silent = KafkaTimeoutError(f"no answer for {self._patience:.0f} s")
            unknown += [(r, silent) for r in self._under_way.values()]
            self.unknown = sum(not record.control for record, _ in unknown)
        first, error = min(unknown, key=lambda x: x[0].number)
        why = _one_line(error) + (f"; {trouble}" if trouble is not None else "")
        self._failure = self._not_allowed(error) or DeliveryError(f"{first.where}: not delivered: {why}")

    def _end(self) -> None:
        """End the producer at once; it keeps nobody waiting and raises nothing."""
        if self._closed:
            return
        self._closed = True
        end_producer(self._producer, CLOSE_SECONDS)

    # --- called in the client's thread -------------------------------------------------------------------------------

    def _note_refusal(self) -> None:
        self._refusal = True

    def _note_end(self) -> None:
        with self._lock:
            self._over = True
            self._lock.notify_all()

    def _has_arrived(self, record: _Record, metadata: Any) -> None:
        offset, stamp = metadata.offset, metadata.timestamp
        with self._lock:
            self._done(record)
            self.acknowledged += 1
            self.arrived += not record.control
            if record.time_ms is not None and stamp != record.time_ms:
                self.restamped = True
            if offset >= 0:
                first, last = self.offsets.get(record.partition, (offset, offset))
                self.offsets[record.partition] = (min(first, offset), max(last, offset))

    def _has_failed(self, record: _Record, error: BaseException) -> None:
        with self._lock:
            self._done(record)
            self._lost.append((record, error))
            if not (self._spares and (shared_its_batch(error) or isinstance(error, (*OF_THE_ROW, NotSent)))):
                self._over = True

    def _done(self, record: _Record) -> None:
        if self._under_way.pop(record.number, None) is not None:
            self._bytes -= record.size
        if not self._under_way or self._bytes <= WINDOW_BYTES:
            self._lock.notify_all()


def _one_line(error: BaseException) -> str:
    """An error of kafka-python's in one line."""
    if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        return "larger than the topic takes (max.message.bytes)"
    text = "" if not error.args or error.args[0] is None else " ".join(str(error.args[0]).split())[:300]
    return f"{type(error).__name__}{f': {text}' if text else ''}"
