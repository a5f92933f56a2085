"""Sending records so that none is lost without a word, and none overtakes another in its partition."""

from __future__ import annotations

from functools import partial
from types import TracebackType

from kafka.errors import KafkaError, MessageSizeTooLargeError

from barometer.broker import clients
from barometer.broker.errors import BrokerError
from barometer.errors import BarometerError
from barometer.settings import Settings
from ingest.message import Header

LINGER_MS = 20
BATCH_BYTES = 128 * 1024
FLUSH_SECONDS = 120.0
CLOSE_SECONDS = 5.0
SILENT_BROKER = {
    "request_timeout_ms": 5_000,
    "metadata_max_age_ms": 5_000,
    "reconnect_backoff_max_ms": 1_000,
    "retry_backoff_ms": 250,
}
"""A broker that died without closing its connections is left soon, and its partitions' new leaders are found: a request
that is repeated leaves one record. With one request under way at a time kafka-python 3.0.12 asks nobody for metadata
while its only connection waits for an answer, and after each miss waits twice as long as before, up to
``reconnect_backoff_max_ms``."""


class DeliveryError(BarometerError):
    """A record did not get into the log; names the first one."""


class TooLarge(BarometerError):
    """A record is larger than a Kafka request may be (1 MB)."""


class Sender:
    """A producer with one request under way at a time, so that the order within a partition holds even when a request
    has to be repeated, and idempotent, so that a repeated request leaves one record.

    Raises:
        BrokerError: no broker answers, or none lets us in.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self.topic, self._settings = topic, settings
        self.acknowledged = 0
        self._failure: tuple[str, BaseException] | None = None
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
            DeliveryError: an earlier record was lost, or the broker has been away for too long.
            NotAuthorized: the right to write is missing.
        """
        self._raise_failure()
        try:
            future = self._producer.send(
                self.topic, value, key, headers or [], partition=partition, timestamp_ms=timestamp_ms
            )
        except MessageSizeTooLargeError as e:
            raise TooLarge(f"{where}: {len(value or b''):,} bytes: more than a Kafka request may hold") from e
        except KafkaError as e:
            if clients.refused(e):
                raise self._refused(e) from e
            raise DeliveryError(f"{where}: not sent: {type(e).__name__}: {e}") from e
        future.add_callback(self._arrived)
        future.add_errback(partial(self._failed, where))

    def broadcast(self, timestamp_ms: int | None, value: bytes, headers: list[Header], *, where: str) -> int:
        """One record into every partition, behind all that was sent before, which is in the log by then, and before all
        that is sent after; returns the number of partitions.

        Raises:
            DeliveryError: an earlier record was lost: then nothing is broadcast.
        """
        self.flush()
        partitions = sorted(self._producer.partitions_for(self.topic))
        for p in partitions:
            self.send(timestamp_ms, None, value, headers, where=where, partition=p)
        return len(partitions)

    def flush(self) -> None:
        """Wait until all that was sent is in the log.

        Raises:
            DeliveryError: something is not.
        """
        try:
            self._producer.flush(timeout=FLUSH_SECONDS)
        except KafkaError as e:
            raise DeliveryError(f"the broker has not taken everything within {FLUSH_SECONDS:.0f} s: {e}") from e
        self._raise_failure()

    def close(self) -> None:
        """End the producer; what was not flushed gets a few seconds."""
        self._producer.close(timeout=CLOSE_SECONDS)

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, _type: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self.close()

    def _refused(self, error: BaseException) -> BrokerError:
        return clients.explain(error, self._settings, self._producer, operation="Write", topic=self.topic)

    # Called in the client's thread.

    def _arrived(self, _metadata: object) -> None:
        self.acknowledged += 1

    def _failed(self, where: str, error: BaseException) -> None:
        if self._failure is None:
            self._failure = (where, error)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            where, error = self._failure
            if clients.refused(error):
                raise self._refused(error) from error
            raise DeliveryError(f"{where}: not delivered: {type(error).__name__}: {error}")
