"""Records into a topic, workers in threads and processes, and what the store says of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from sqlalchemy import func, select

from barometer.records import PROGRESS_HEADER
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.tables import Document, Log, Offset
from ingest.topic.topics import ensure_topics
from ingest.worker.main import run_worker

T0 = 1_760_000_400_000
"""A bucket's start (10 min), in October 2025."""


def message(text: str, **fields: Any) -> bytes:
    return json.dumps({"text": text, "kind": "comment", "source": "forum", **fields}, ensure_ascii=False).encode()


@dataclass
class Topic:
    """Writes records into the settings' topic and counts them."""

    settings: Settings
    sent: int = 0
    producer: KafkaProducer = field(init=False)

    def __post_init__(self) -> None:
        ensure_topics(self.settings)
        self.producer = KafkaProducer(
            **self.settings.kafka(), linger_ms=5, max_request_size=30 * 2**20, metadata_max_age_ms=1_000
        )

    def send(
        self,
        value: bytes | None,
        partition: int | None = None,
        at: int | None = T0,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        p = self.sent % self.settings.topic_partitions if partition is None else partition
        key = b"k" if value is None else None
        self.producer.send(
            self.settings.topic_documents, value, key=key, partition=p, timestamp_ms=at, headers=headers or []
        )
        self.sent += 1

    def documents(self, n: int, at: int = T0, word: str = "text") -> None:
        for i in range(n):
            self.send(message(f"{word} {self.sent} 股价下跌" if i % 3 == 0 else f"{word} {self.sent} 楼市平稳"), at=at)

    def progress(self, t: int) -> None:
        value = json.dumps({"t": t, "writer": "test", "term": 1}).encode()
        for p in range(self.settings.topic_partitions):
            self.send(value, partition=p, at=t, headers=[(PROGRESS_HEADER, b"1")])

    def flush(self) -> None:
        self.producer.flush()

    def close(self) -> None:
        self.producer.close(timeout=2)


@contextmanager
def topic_of(settings: Settings) -> Iterator[Topic]:
    topic = Topic(settings)
    try:
        yield topic
    finally:
        topic.close()


@dataclass
class Running:
    """A worker in a thread."""

    stop: threading.Event
    thread: threading.Thread
    events: list[tuple[str, dict[str, Any]]]
    error: list[BaseException]

    @property
    def states(self) -> list[str]:
        return [data["state"] for name, data in list(self.events) if name == "state"]

    @property
    def state(self) -> str:
        return self.states[-1] if self.states else ""

    def end(self) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive(), "the worker did not stop"
        if self.error:
            raise self.error[0]


@contextmanager
def worker(settings: Settings, store: Store, scorer: Any) -> Iterator[Running]:
    running = Running(threading.Event(), threading.Thread(), [], [])

    def work() -> None:
        try:
            run_worker(settings, store, scorer, running.stop, lambda name, data: running.events.append((name, data)))
        except BaseException as e:
            running.error.append(e)

    running.thread = threading.Thread(target=work, daemon=True)
    running.thread.start()
    try:
        yield running
    finally:
        running.end()


class WorkerProcess:
    """A worker in a process of its own, to be killed or frozen."""

    def __init__(self, settings: Settings, log: Path, seconds: float = 0.0) -> None:
        given = json.loads(settings.model_dump_json()) | {"author_salt": settings.author_salt.get_secret_value()}
        values = {"settings": given, "seconds": seconds}
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.worker_process", json.dumps(values)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._log.close()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(15)
        finally:
            self.kill()


def wait_for(condition: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(0.05)


def totals(store: Store) -> dict[str, int]:
    """Sums of the current log's counters over its partitions."""
    names = ("records", "documents", "repeats", "dead_letters", "tombstones", "progress_records", "late")
    columns = [func.coalesce(func.sum(getattr(Offset, n)), 0) for n in names]
    with store.read() as c:
        row = c.execute(select(*columns).join(Log, Log.id == Offset.log_id).where(Log.current)).one()
    return {n: int(v) for n, v in zip(names, row, strict=True)}


def rows(store: Store) -> list[tuple[Any, ...]]:
    """What must be the same after any disturbance."""
    with store.read() as c:
        found = c.execute(
            select(
                Document.row_id, Document.observed_at, Document.text, Document.doc_key, Document.scored, Document.late
            ).order_by(Document.row_id)
        ).all()
    return [tuple(r) for r in found]


def assert_sums(store: Store, sent: int) -> dict[str, int]:
    t = totals(store)
    parts = t["documents"] + t["repeats"] + t["dead_letters"] + t["tombstones"] + t["progress_records"]
    assert t["records"] == sent == parts
    assert t["documents"] == len(rows(store))
    return t
