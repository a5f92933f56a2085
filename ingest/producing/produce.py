"""Putting rows into the topic in time order, with the progress records that let their buckets close.

:func:`produce_rows` is for programs (demo, benches, tests), :mod:`ingest.cli` for files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from barometer.buckets import Buckets
from barometer.errors import BarometerError
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.stream.log_epochs import current_log
from barometer.store.stream.offsets import largest_progress
from barometer.times import parse_rfc3339
from ingest.messages.encoding import encode
from ingest.producing.progress import WAIT_SECONDS, ProgressLease, ProgressWriter
from ingest.producing.sender import Refused, Sender, TooLarge
from ingest.topic.topics import ensure_topics, partition_count


class Record(NamedTuple):
    """A record to be sent; ``where`` names its origin in messages."""

    time_ms: int | None
    key: bytes
    value: bytes
    where: str


@dataclass(slots=True)
class Sent:
    """How far a production came."""

    records: int = 0
    """In the log, when the production is over, however it ended; given to the broker, while it runs."""
    progress: int = 0
    skipped: int = 0
    """Left out: too large, or refused by the broker."""
    unknown: int = 0
    """Given to the broker, which did not answer: they may be in the log."""
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    """First and last offset of what is in the log, by partition."""
    last_where: str = ""
    last_time_ms: int | None = None


def produce_rows(
    settings: Settings,
    store: Store | None,
    rows: Iterable[tuple[int | None, Mapping[str, Any]]],
    *,
    topic: str | None = None,
    progress: bool = True,
    on_sent: Callable[[Sent], None] | None = None,
) -> Sent:
    """Send (observed_at, message) rows and return when all are in the log. The topic is made if it is missing.

    Args:
        store: for the lease; None: no lease and no progress records.
        rows: observed_at in epoch ms (None: now); with progress, ascending. The iterable may wait between rows.
        topic: default ``settings.topic_documents``.
        progress: write a progress record into every partition whenever a bucket's end is passed, and at the end.
        on_sent: told after every row.

    Raises:
        BarometerError: no broker; rows that are not in time order; a row that cannot be sent; the lease was lost.
    """
    records = (Record(t, *encode(message), f"row {n}") for n, (t, message) in enumerate(rows, 1))
    return produce_records(settings, store, records, topic=topic, progress=progress, on_sent=on_sent)


def produce_records(
    settings: Settings,
    store: Store | None,
    records: Iterable[Record],
    *,
    topic: str | None = None,
    progress: bool = True,
    on_sent: Callable[[Sent], None] | None = None,
    on_bad: Callable[[Refused], None] | None = None,
    lease_wait_seconds: float = WAIT_SECONDS,
) -> Sent:
    """As :func:`produce_rows`, for records that are encoded already.

    Args:
        on_bad: told of a record that is too large, or that the broker refuses, which is then left out; None: such a
            record ends the production. All others that were given to the broker by then are delivered either way.

    Raises:
        BarometerError: as above; and the broker puts its own time in place of the first record's.
    """
    topic = topic or settings.topic_documents
    make_topic(settings, topic)
    sent = Sent()
    with ExitStack() as stack:
        sender = stack.enter_context(Sender(settings, topic, on_bad))
        writer: ProgressWriter | None = None
        # Where progress is taken from the records' own times we may not write into the topic, or need not.
        if progress and store is not None and settings.progress_from == "records":
            lease = ProgressLease(store, topic, settings.lease_seconds, wait_seconds=lease_wait_seconds)
            writer = ProgressWriter(
                sender,
                stack.enter_context(lease),
                Buckets(settings.bucket_seconds, settings.zone),
                settings.lateness_ms,
                min_time_ms(settings),
            )
        stack.callback(_count, sender, sent)
        time_is_kept = False
        for record in _in_order(records) if progress else records:
            if writer is not None and record.time_ms is not None:
                writer.before(record.time_ms)
                sent.progress = writer.records
            try:
                sender.send(record.time_ms, record.key, record.value, where=record.where)
            except TooLarge as e:
                if on_bad is None:
                    raise
                sent.skipped += 1
                on_bad(e)
                continue
            if record.time_ms is not None and not time_is_kept:
                time_is_kept = _time_is_kept(sender)
            sent.records += 1
            sent.last_where, sent.last_time_ms = record.where, record.time_ms
            if on_sent is not None:
                on_sent(sent)
        sender.flush()
        if writer is not None:
            writer.finish()
            sent.progress = writer.records
    return sent


def _count(sender: Sender, sent: Sent) -> None:
    """At the end, however it came: wait for what is under way, and say what became of it."""
    sender.settle()
    sent.records, sent.unknown, sent.offsets = sender.arrived, sender.unknown, dict(sender.offsets)
    sent.skipped += sender.refused


def _time_is_kept(sender: Sender) -> bool:
    """Looked at behind the first record, so that no archive gets the present as its time. False: not known yet."""
    sender.flush()
    if sender.restamped:
        raise BarometerError(
            f"topic {sender.topic} puts the broker's own time in place of the texts' (message.timestamp.type is "
            "LogAppendTime, must be CreateTime). Stopped behind the first record"
        )
    return sender.arrived > 0


def _in_order(records: Iterable[Record]) -> Iterator[Record]:
    last: int | None = None
    for record in records:
        if record.time_ms is None:
            raise BarometerError(f"{record.where}: a row without a time among rows that are sent in time order")
        if last is not None and record.time_ms < last:
            raise BarometerError(
                f"{record.where}: time {record.time_ms} is before {last} of an earlier row: rows must be in time order"
            )
        last = record.time_ms
        yield record


def make_topic(settings: Settings, topic: str) -> None:
    """Make the topic if it is missing, as Barometer needs it.

    Raises:
        BarometerError: no broker answers, or it refuses.
    """
    if partition_count(settings, topic) == 0:
        ensure_topics(settings.model_copy(update={"topic_documents": topic}))


def min_time_ms(settings: Settings) -> int:
    """``settings.min_time`` in epoch ms.

    Raises:
        BarometerError: it has no offset, or is no time.
    """
    value = parse_rfc3339(settings.min_time)
    if value is None:
        raise BarometerError(
            f"min_time (BAROMETER_MIN_TIME): {settings.min_time!r} is no time with an offset, like 2000-01-01T00:00:00Z"
        )
    return value


def passed_until(settings: Settings, store: Store, topic: str) -> int | None:
    """Up to where the topic's progress has gone (t - lateness, epoch ms): buckets that end there or before are passed,
    and a record in them is late. None: nowhere yet. By what the workers have read so far."""
    with store.read() as c:
        log = current_log(c, topic)
        if log is None:
            return None
        t = largest_progress(c, log.id)
    return None if t is None else t - settings.lateness_ms
