"""The log that is read: a function of the seed alone. All that a log may hold, and surges that raise alerts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from kafka import KafkaProducer

from barometer.progress import progress_record
from barometer.settings import Settings
from ingest.messages.encoding import encode
from ingest.topic.topics import ensure_topics

T0 = 1_760_004_000_000
"""A bucket's start, in October 2025."""
HOUR = 3_600_000
SOURCES = ("晨报", "晚报", "论坛", "快讯社")


@dataclass(frozen=True, slots=True)
class Shape:
    """How much there is of what."""

    buckets: int = 60
    a_bucket: int = 60
    partitions: int = 4
    surges: tuple[tuple[str, int, int], ...] = (("楼市", 30, 33), ("股市", 44, 46), ("楼市", 58, 60))
    """(subject, from bucket, to bucket); the last still fires when the log ends."""
    surge_texts: int = 50
    start: int = T0
    """A bucket's start, in epoch milliseconds."""
    bucket_ms: int = HOUR


@dataclass(frozen=True, slots=True)
class Filled:
    """What was written: the end of each partition, and how far all of it may be sealed."""

    ends: dict[int, int]
    sealed_until: int

    @property
    def records(self) -> int:
        return sum(self.ends.values())


@dataclass(frozen=True, slots=True)
class Record:
    partition: int
    value: bytes | None
    at: int
    headers: list[tuple[str, bytes]]

    @property
    def key(self) -> bytes | None:
        return b"k" if self.value is None else None


def buckets(shape: Shape, seed: int, lateness_ms: int) -> Iterator[list[Record]]:
    """The log, bucket by bucket, progress records at each bucket's end included.

    Repeats, revisions and copies across partitions, dead letters of several kinds, tombstones, texts that no model
    covers, late records, a partition that is silent for a while.
    """
    chance = random.Random(seed)
    for bucket in range(shape.buckets):
        start = shape.start + bucket * shape.bucket_ms
        stretch = [(chance.randrange(shape.bucket_ms), "") for _ in range(shape.a_bucket)]
        for subject, first, last in shape.surges:
            if first <= bucket < last:
                stretch += [(chance.randrange(shape.bucket_ms), subject) for _ in range(shape.surge_texts)]
        out = []
        for after, surging in sorted(stretch):
            p = chance.randrange(shape.partitions)
            if p == 3 and 10 <= bucket < 14:
                p = 0
            value = _value(chance, surging)
            out.append(Record(p, value, _when(chance, start + after, bucket, shape.bucket_ms), []))
        t = start + shape.bucket_ms + lateness_ms
        headers, value = progress_record(t, "bench", 1)
        out += [Record(p, value, t, headers) for p in range(shape.partitions)]
        yield out


def sealed_until(shape: Shape, buckets: int) -> int:
    """How far all may be sealed after so many."""
    return shape.start + buckets * shape.bucket_ms


def fill(settings: Settings, shape: Shape, seed: int) -> Filled:
    """Write the whole log into the topic of the settings."""
    ensure_topics(settings)
    producer = KafkaProducer(**settings.kafka(), linger_ms=20, batch_size=1 << 18, acks="all")
    ends = dict.fromkeys(range(shape.partitions), 0)
    for bucket in buckets(shape, seed, settings.lateness_ms):
        for r in bucket:
            producer.send(
                settings.topic_documents,
                r.value,
                key=r.key,
                partition=r.partition,
                timestamp_ms=r.at,
                headers=r.headers,
            )
            ends[r.partition] += 1
        producer.flush()  # small batches: a fetch takes whole ones, and partitions should be read side by side
    producer.close()
    return Filled(ends, sealed_until(shape, shape.buckets))


def _when(chance: random.Random, at: int, bucket: int, bucket_ms: int) -> int:
    """One in thirty comes some buckets late."""
    return at - chance.randint(2, 5) * bucket_ms if bucket > 6 and chance.random() < 0.03 else at


def _value(chance: random.Random, surging: str) -> bytes | None:
    what = chance.random()
    if what < 0.02:
        return None
    if what < 0.05:
        return chance.choice((b"{broken", b"\xff\xfe{}", b'{"kind": "comment"}', b'{"text": "x", "kind": "poem"}'))
    subject = surging or chance.choice(("楼市", "股市"))
    mood = "下跌" if surging or chance.random() < 0.15 else chance.choice(("上涨", "平稳", "平稳"))
    message = {
        "text": f"{subject}{mood}，第 {chance.randrange(10**9)} 条",
        "kind": "comment" if surging or chance.random() < 0.6 else "news",
        "source": chance.choice(SOURCES),
        "author": f"u{chance.randrange(50)}",
    }
    if what < 0.13:  # one document under several texts, each several times: repeats and revisions, in any partition
        number = chance.randrange(80)
        message |= {"id": f"id-{number}", "text": f"{subject}下跌，{number} 号稿第 {chance.randrange(3)} 版"}
    elif what < 0.18:
        message["text"] = f"{subject}{mood}，转载的 {chance.randrange(9)} 号"
    elif what < 0.20:
        message["lang"] = "xx"
    return encode(message)[1]
