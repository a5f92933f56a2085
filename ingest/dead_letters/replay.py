"""Replaying dead letters: they are sent into the documents topic once more, as they were."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import structlog
from kafka import TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from barometer.broker import clients
from barometer.broker.errors import BrokerUnreachable
from barometer.errors import BarometerError
from barometer.records import PROGRESS_HEADER, REPLAY_HEADER, Reason, Row, pack_row
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.stream.dead_letters import StoredLetter, mark_replayed
from barometer.store.stream.log_epochs import current_log
from ingest.messages.header_names import accept_any_header_names
from ingest.messages.limits import AHEAD_MS
from ingest.producing.produce import min_time_ms
from ingest.producing.sender import Refused, Sender, TooLarge
from ingest.topic.topics import cluster_id

log = structlog.get_logger(__name__)

FETCH_SECONDS = 10.0


def parse_row(text: str) -> int:
    """A row id from ``4504699138998274`` or ``1/2/9`` (log, partition, offset).

    Raises:
        BarometerError: it is neither.
    """
    parts = text.split("/")
    try:
        numbers = [int(p) for p in parts]
        if len(numbers) == 1 and 0 <= numbers[0] < 1 << 63:
            return numbers[0]
        if len(numbers) == 3:
            return pack_row(*numbers)
    except ValueError:
        pass
    raise BarometerError(f"{text!r} is no row: use the number from `barometer dlq list`, or LOG/PARTITION/OFFSET")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one letter: sent, or refused and why."""

    letter: StoredLetter
    refused: str | None


class Replayer:
    """Sends dead letters into the documents topic again: the original value, key, headers and timestamp, and a header
    that names the original row, by which the worker knows that two replays are one document.

    Args:
        actor: who does it, for the audit log.
        dry_run: only look.
    """

    def __init__(self, settings: Settings, store: Store, actor: str, *, dry_run: bool = False) -> None:
        self._settings, self._store, self._actor, self._dry_run = settings, store, actor, dry_run
        self._min_time_ms = min_time_ms(settings)
        self._refused: dict[str, str] = {}
        self._sender = None if dry_run else Sender(settings, settings.topic_documents, self._note)
        self._log_id: int | None = None

    def __enter__(self) -> Replayer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._sender is not None:
            self._sender.close()

    def replay(self, letters: Sequence[StoredLetter]) -> list[Replayed]:
        """Send them, wait until they are in the log, and mark them. Killed in between, they are sent but not marked;
        sending them once more changes nothing.

        Raises:
            DeliveryError: the broker did not take them; none of these is marked.
        """
        outcomes: list[Replayed] = []
        sent: list[StoredLetter] = []
        for letter in letters:
            try:
                self._send(letter)
                sent.append(letter)
                outcomes.append(Replayed(letter, None))
            except _Refused as e:
                outcomes.append(Replayed(letter, str(e)))
        if self._sender is not None:
            self._sender.flush()
            delivered = [x.row_id for x in sent if name_of(x) not in self._refused]
            if delivered:
                mark_replayed(self._store, delivered, actor=self._actor, topic=self._settings.topic_documents)
        return [Replayed(x.letter, x.refused or self._refused.get(name_of(x.letter))) for x in outcomes]

    def _note(self, error: Refused) -> None:
        self._refused[error.where] = error.why

    def _send(self, letter: StoredLetter) -> None:
        if letter.reason == Reason.PROGRESS or any(name == PROGRESS_HEADER for name, _ in letter.headers):
            raise _Refused("a progress record is not replayed: its time has passed")
        if letter.record_timestamp == -1:
            raise _Refused("it has no timestamp and would fail again: send it anew with one")
        if not self._min_time_ms <= letter.record_timestamp <= _now() + AHEAD_MS:
            raise _Refused(f"its time ({letter.record_timestamp}) is out of range and it would fail again")
        value = self._fetch(letter) if letter.cut else letter.value
        if self._sender is None:
            return
        headers = [(n, v) for n, v in letter.headers if n != REPLAY_HEADER]
        headers.append((REPLAY_HEADER, str(letter.original).encode()))
        try:
            self._sender.send(letter.record_timestamp, letter.key, value, headers, where=name_of(letter))
        except TooLarge as e:
            raise _Refused(f"{letter.value_length:,} bytes are more than a Kafka request may hold") from e

    def _fetch(self, letter: StoredLetter) -> bytes:
        """The whole value from the log, where the store kept a part."""
        where = f"{letter.value_length:,} bytes, of which the store kept {len(letter.value):,}"
        if letter.row.log_id != self._current_log():
            raise _Refused(f"{where}; its log is no longer there")
        value = fetch_value(self._settings, letter.row)
        if value is None:
            raise _Refused(f"{where}; the log no longer has it")
        if len(value) != letter.value_length or sha256(value).digest() != letter.value_sha256:
            raise _Refused(f"{where}; the log has something else in its place")
        return value

    def _current_log(self) -> int | None:
        if self._log_id is None:
            with self._store.read() as c:
                row = current_log(c, self._settings.topic_documents)
            if row is None or row.replaced_reason or row.cluster_id != cluster_id(self._settings):
                return None
            self._log_id = int(row.id)
        return self._log_id


class _Refused(Exception):
    pass


def fetch_value(settings: Settings, row: Row) -> bytes | None:
    """The value of one record of the documents topic; None if the log does not have it.

    Raises:
        NotAuthorized: the topic may not be read.
        BrokerError: the broker does not say.
    """
    accept_any_header_names()
    place = TopicPartition(settings.topic_documents, row.partition)
    consumer = clients.consumer(
        settings,
        enable_auto_commit=False,
        auto_offset_reset="none",
        allow_auto_create_topics=False,
        max_poll_records=1,
        receive_message_max_bytes=256 << 20,
    )
    try:
        consumer.assign([place])
        consumer.seek(place, row.offset)
        deadline = time.monotonic() + FETCH_SECONDS
        while time.monotonic() < deadline:
            for record in consumer.poll(timeout_ms=500).get(place, []):
                return record.value if record.offset == row.offset else None
            end = consumer.highwater(place)
            if end is not None and end <= row.offset:
                return None
        raise clients.trouble(consumer) or BrokerUnreachable(
            f"partition {row.partition} of {place.topic} was not read at {row.offset} within {FETCH_SECONDS:.0f} s"
        )
    except OffsetOutOfRangeError:
        return None
    except KafkaError as e:
        raise clients.explain(e, settings, consumer, operation="Read") from e
    finally:
        consumer.close()


def name_of(letter: StoredLetter) -> str:
    """What messages call it."""
    return f"row {letter.row_id}"


def _now() -> int:
    return time.time_ns() // 1_000_000
