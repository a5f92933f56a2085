"""Fills a topic beforehand, fast: several processes, each with its own partitions."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from kafka import KafkaProducer

from barometer.settings import Settings
from ingest.topic.topics import ensure_topics


class Record(NamedTuple):
    """What goes into the log; the partition is that of the stream it is in."""

    value: bytes | None
    timestamp_ms: int
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


Streams = Callable[[int, int], Iterator[Record]]
"""(partition, number of partitions) -> its records in order; a function at the top level of a module, or a partial
of one."""


def fill(settings: Settings, streams: Streams, processes: int | None = None, compression: str | None = None) -> float:
    """Write every partition's stream into the documents topic; returns the seconds that it took."""
    started = time.perf_counter()
    ensure_topics(settings)
    count = settings.topic_partitions
    processes = min(count, processes or len(os.sched_getaffinity(0)))
    context = multiprocessing.get_context("spawn")
    children: list[Any] = [
        context.Process(target=_fill_some, args=(settings, streams, list(range(k, count, processes)), compression))
        for k in range(processes)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            raise SystemExit(f"filling the topic failed (exit code {child.exitcode})")
    return time.perf_counter() - started


def _fill_some(settings: Settings, streams: Streams, partitions: list[int], compression: str | None) -> None:
    producer = KafkaProducer(
        **settings.kafka(),
        linger_ms=50,
        batch_size=512 * 1024,
        max_request_size=8 * 2**20,
        compression_type=compression,
    )
    # Partition by partition in slices, so that every batch is a full one.
    open_streams = {p: streams(p, settings.topic_partitions) for p in partitions}
    while open_streams:
        for p, stream in list(open_streams.items()):
            got = list(islice(stream, 2_000))
            for r in got:
                producer.send(
                    settings.topic_documents,
                    r.value,
                    key=r.key,
                    partition=p,
                    timestamp_ms=r.timestamp_ms,
                    headers=list(r.headers),
                )
            if not got:
                del open_streams[p]
    producer.flush()
    producer.close()
