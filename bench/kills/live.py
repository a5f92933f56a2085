"""Producing without end, and how long each text takes until it is a row."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise

from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import select

from barometer.errors import BarometerError
from barometer.records import unpack_row
from barometer.settings import Settings
from barometer.store import tables as t
from barometer.store.engine import Store
from bench.kills.outages import Line, Outage
from bench.kills.texts import Filled, Record, Shape, buckets, sealed_until
from ingest.sender import Sender

SHAPE = Shape(
    buckets=100_000,
    a_bucket=60,
    surges=tuple(s for b in range(30, 5_000, 28) for s in (("楼市", b, b + 3), ("股市", b + 14, b + 16))),
)
"""Enough for any run; it ends with the bucket that it is in when all outages are over."""
READ_SECONDS = 60.0


class Producing(threading.Thread):
    """Sends the log's records at a steady pace with the product's own sender, until :meth:`finish`.

    A record's offset is how many were sent to its partition before it: the topic is new, and nothing else is written.

    Args:
        rate: records a second.
    """

    def __init__(self, settings: Settings, seed: int, rate: float) -> None:
        super().__init__(daemon=True)
        self._settings, self._seed, self._rate = settings, seed, rate
        self._over = threading.Event()
        self.sent: dict[int, list[int]] = defaultdict(list)
        """When, in epoch milliseconds, by partition and offset."""
        self.digests: dict[int, list[bytes]] = defaultdict(list)
        self.buckets = 0
        self.failure: BarometerError | None = None

    def run(self) -> None:
        try:
            with Sender(self._settings, self._settings.topic_documents) as sender:
                self._send_all(sender)
                sender.flush()
        except BarometerError as e:
            self.failure = e

    def _send_all(self, sender: Sender) -> None:
        due = time.monotonic()
        for bucket in buckets(SHAPE, self._seed, self._settings.lateness_ms):
            if self._over.is_set():
                return
            for r in bucket:
                self.sent[r.partition].append(time.time_ns() // 1_000_000)
                self.digests[r.partition].append(_digest(r.value, r.at))
                self._send(sender, r)
                due = max(due + 1 / self._rate, time.monotonic() - 1)
                time.sleep(max(0.0, due - time.monotonic()))
            self.buckets += 1

    def _send(self, sender: Sender, r: Record) -> None:
        number = len(self.sent[r.partition])
        sender.send(r.at, r.key, r.value, r.headers, where=f"record {number} of {r.partition}", partition=r.partition)

    def finish(self) -> Filled:
        """End with the present bucket, and wait until all is acknowledged.

        Raises:
            BarometerError: something was not delivered.
        """
        self._over.set()
        self.join()
        if self.failure is not None:
            raise self.failure
        return Filled({p: len(self.sent[p]) for p in range(SHAPE.partitions)}, sealed_until(self.buckets))


def _digest(value: bytes | None, at: int) -> bytes:
    return blake2b(b"-" if value is None else value, digest_size=8, key=str(at).encode()).digest()


def log_wrong(settings: Settings, digests: dict[int, list[bytes]]) -> list[str]:
    """Whether each partition holds what was sent, in that order: nothing lost, nothing twice."""
    consumer = KafkaConsumer(**settings.kafka(), enable_auto_commit=False, auto_offset_reset="earliest")
    have: dict[int, list[bytes]] = defaultdict(list)
    places = [TopicPartition(settings.topic_documents, p) for p in digests]
    try:
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        deadline = time.monotonic() + READ_SECONDS
        while any(consumer.position(x) < ends[x] for x in places) and time.monotonic() < deadline:
            for records in consumer.poll(timeout_ms=500).values():
                for r in records:
                    have[r.partition].append(_digest(r.value, r.timestamp))
    finally:
        consumer.close()
    return [
        f"partition {p} of the log: {len(have[p])} records, {len(sent)} were sent and acknowledged"
        + (", in another order or other ones" if len(have[p]) == len(sent) else "")
        for p, sent in sorted(digests.items())
        if have[p] != sent
    ]


@dataclass
class Delays:
    """Seconds, over the texts that were sent while an outage was the latest."""

    outages: int = 0
    to_row: list[float] = field(default_factory=list)
    """From the call that sends a text until its row."""
    without: float = 0.0
    """The longest that a partition had texts to be stored and got no row."""

    def share(self, of: float) -> float:
        """The least delay that this share of all does not pass."""
        known = sorted(self.to_row)
        return known[max(0, -int(-len(known) * of // 1) - 1)] if known else 0.0

    def add(self, other: Delays) -> None:
        self.outages += other.outages
        self.to_row += other.to_row
        self.without = max(self.without, other.without)


def delays(store: Store, sent: dict[int, list[int]], outages: Sequence[Outage]) -> dict[Line, Delays]:
    """By line; what was sent before the first outage is nobody's."""
    out: dict[Line, Delays] = defaultdict(Delays)
    for o in outages:
        out[o.line].outages += 1
    starts = [o.began for o in outages]
    for rows in _rows(store, sent):
        rows.sort()
        for (before, _), (stored, at) in pairwise([(0, 0), *rows]):
            i = bisect_right(starts, at) - 1
            if i < 0:
                continue
            mine = out[outages[i].line]
            mine.to_row.append(max(0, stored - at) / 1000)
            mine.without = max(mine.without, (stored - max(before, at)) / 1000)
    return out


def _rows(store: Store, sent: dict[int, list[int]]) -> Iterator[list[tuple[int, int]]]:
    """For each partition: when each row was stored, and when its text was sent."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    with store.read() as c:
        for row_id, stored in c.execute(select(t.Document.row_id, t.Document.stored_at)):
            row = unpack_row(row_id)
            found[row.partition].append((stored, sent[row.partition][row.offset]))
    yield from found.values()
