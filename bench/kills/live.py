"""Producing without end, and how long each text takes until it is a row."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
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
from bench.kills.texts import Record, Shape, buckets, sealed_until
from ingest.producing.sender import Sender

BUCKET_MS = 180_000
BACK_MS = 22 * 3_600_000
SHAPE = Shape(
    buckets=BACK_MS // BUCKET_MS - 1,
    surges=tuple(
        s for b in range(30, BACK_MS // BUCKET_MS, 28) for s in (("楼市", b, b + 3), ("股市", b + 14, b + 16))
    ),
    bucket_ms=BUCKET_MS,
)
"""Two seconds each at the usual pace; it ends with the bucket that it is in when all outages are over."""


def present() -> Shape:
    """The log's times are of the last day. A broker forgets a producer whose newest record is a day old by the record's
    own time (``producer.id.expiration.ms``), whenever it starts, and then takes a repeated request for a new one."""
    return replace(SHAPE, start=(time.time_ns() // 1_000_000 - BACK_MS) // BUCKET_MS * BUCKET_MS)


READ_SECONDS = 60.0
PROMPT_MS = 3_000
NEAR = 2_000
"""Records within which one that is there again, or behind others that are not there, is looked for."""


class Producing(threading.Thread):
    """Sends the log's records at a steady pace with the product's own sender, until :meth:`finish`.

    A record's offset is how many were sent to its partition before it: the topic is new, and nothing else is written.

    Args:
        rate: records a second.
    """

    def __init__(self, settings: Settings, shape: Shape, seed: int, rate: float) -> None:
        super().__init__(daemon=True)
        self._settings, self._shape, self._seed, self._rate = settings, shape, seed, rate
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
        except Exception as e:  # told by whoever waits for us
            self.failure = e if isinstance(e, BarometerError) else BarometerError(f"{type(e).__name__}: {e}")

    def _send_all(self, sender: Sender) -> None:
        due = time.monotonic()
        for bucket in buckets(self._shape, self._seed, self._settings.lateness_ms):
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

    def finish(self) -> int:
        """End with the present bucket, and wait until all is acknowledged; returns how far the log may be sealed.

        Raises:
            BarometerError: something was not delivered.
        """
        self._over.set()
        self.join()
        if self.failure is not None:
            raise self.failure
        return sealed_until(self._shape, self.buckets)


def _digest(value: bytes | None, at: int) -> bytes:
    return blake2b(b"-" if value is None else value, digest_size=8, key=str(at).encode()).digest()


@dataclass
class Recount:
    """The log against what was sent and acknowledged.

    Attributes:
        ends: of each partition.
        times: when the record was sent, by partition and offset; None: it is there once more than it was sent.
        wrong: what is lost, twice or out of order; empty otherwise.
    """

    ends: dict[int, int] = field(default_factory=dict)
    times: dict[int, list[int | None]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def recount(settings: Settings, sent: dict[int, list[int]], digests: dict[int, list[bytes]]) -> Recount:
    """Read the whole log: nothing lost, nothing twice, each partition in the order of sending."""
    have = _read(settings, sorted(digests))
    out = Recount()
    for p, want in sorted(digests.items()):
        times, lost, twice = aligned(have[p], want, sent[p])
        out.ends[p], out.times[p] = len(have[p]), times
        for what, places in (("lost", lost), ("twice", twice)):
            if places:
                when = ", ".join(
                    f"{at} (sent {time.strftime('%H:%M:%S', time.localtime(ms / 1000))})" for at, ms in places
                )
                out.wrong.append(f"partition {p} of the log, of {len(want)} records {len(places)} {what}: {when[:300]}")
    return out


def _read(settings: Settings, partitions: Sequence[int]) -> dict[int, list[bytes]]:
    consumer = KafkaConsumer(**settings.kafka(), enable_auto_commit=False, auto_offset_reset="earliest")
    have: dict[int, list[bytes]] = {p: [] for p in partitions}
    places = [TopicPartition(settings.topic_documents, p) for p in partitions]
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
    return have


Place = tuple[int, int]
"""(index in the partition, when it was sent)."""


def aligned(
    have: Sequence[bytes], want: Sequence[bytes], sent: Sequence[int]
) -> tuple[list[int | None], list[Place], list[Place]]:
    """When each record that is there was sent; what is lost; what is there again shortly after."""
    times: list[int | None] = []
    lost, twice = list[Place](), list[Place]()
    i = 0
    for offset, digest in enumerate(have):
        if i < len(want) and digest == want[i]:
            times.append(sent[i])
            i += 1
        elif digest in want[max(0, i - NEAR) : i]:
            times.append(None)
            twice.append((offset, sent[i - 1]))
        else:
            found = next((k for k in range(i, min(len(want), i + NEAR)) if want[k] == digest), len(want) - 1)
            lost += [(k, sent[k]) for k in range(i, found)]
            times.append(sent[found])
            i = found + 1
    lost += [(k, sent[k]) for k in range(i, len(want))]
    return times, lost, twice


@dataclass
class Delays:
    """Seconds, over the texts that waited through an outage, or came after it and before the next."""

    outages: int = 0
    to_row: list[float] = field(default_factory=list)
    """From the call that sends a text until its row."""
    without: float = 0.0
    """The longest that a partition had texts to be stored and got no row."""

    def share(self, of: float) -> float:
        """The least delay that this share of all does not pass."""
        known = sorted(self.to_row)
        return known[max(0, -int(-len(known) * of // 1) - 1)] if known else 0.0

    def book(self, until: int, at: int, before: int) -> None:
        """A text of epoch milliseconds ``at`` waited until then; the row before it was of ``before``."""
        self.to_row.append(max(0, until - at) / 1000)
        self.without = max(self.without, (until - max(before, at)) / 1000)

    def add(self, other: Delays) -> None:
        self.outages += other.outages
        self.to_row += other.to_row
        self.without = max(self.without, other.without)


Stored = tuple[int, int]
"""(when the row was stored, when its text was sent), epoch milliseconds."""


def delays(store: Store, sent: dict[int, list[int | None]], outages: Sequence[Outage]) -> dict[Line, Delays]:
    """By line. A text counts to the first outage that it waited through: one that had begun when it was stored and was
    not over when it was sent, else to the latest before it; what was stored before the first outage is nobody's. One
    that still waits when fewer than two brokers are left counts to its outage until then, and whole to that one."""
    return booked(list(_rows(store, sent)), outages)


def booked(partitions: Sequence[list[Stored]], outages: Sequence[Outage]) -> dict[Line, Delays]:
    """:func:`delays` of what is known of each partition's rows."""
    out: dict[Line, Delays] = defaultdict(Delays)
    for o in outages:
        out[o.line].outages += 1
    for rows in partitions:
        rows.sort()
        over = [_over(o, rows) for o in outages]
        for (before, _), (stored, at) in pairwise([(0, 0), *rows]):
            begun = bisect_right([o.began for o in outages], stored)
            if not begun:
                continue
            which = next((i for i in range(begun) if over[i] >= at), begun - 1)
            lost = next((i for i in range(which, begun) if not outages[i].line.quorum and over[i] >= at), None)
            if lost is not None and lost != which:
                out[outages[lost].line].book(stored, at, before)
                if at >= outages[lost].began:
                    continue
                stored = outages[lost].began  # noqa: PLW2901
            out[outages[which].line].book(stored, at, before)
    return out


def _over(outage: Outage, rows: Sequence[Stored]) -> int:
    """When an outage is over for a partition: all replicas are in sync, and its rows come promptly again."""
    first = bisect_right(rows, (outage.whole, 0))
    return next((stored for stored, at in rows[first:] if stored - at < PROMPT_MS), rows[-1][0])


def _rows(store: Store, sent: dict[int, list[int | None]]) -> Iterator[list[Stored]]:
    """For each partition: when each row was stored, and when its text was sent."""
    found: dict[int, list[Stored]] = defaultdict(list)
    with store.read() as c:
        for row_id, stored in c.execute(select(t.Document.row_id, t.Document.stored_at)):
            row = unpack_row(row_id)
            if (at := sent[row.partition][row.offset]) is not None:
                found[row.partition].append((stored, at))
    yield from found.values()
