"""From produce to visible row: percentiles at a steady rate, with the shipped model; in quiet and around rebalances.

    python -m bench.latency                               # 100 comments a second, one minute, SQLite
    python -m bench.latency --database postgresql         # the same, then a second worker that joins and leaves, twice
    python -m bench.latency --quick --database postgresql

Comments of the demo, one every 1/rate seconds, into an embedded broker. A row is visible when another connection reads
it; the database is asked every 50 ms, so a figure may be up to that too large. "At a rebalance" are the comments that
were produced from the moment that the second worker was told to leave, or its partitions were first seen with another
worker (less the interval of heartbeats), until ten seconds later; the others are "otherwise".
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from kafka import KafkaProducer
from sqlalchemy import select

from app.demo.scenario import load_texts
from app.supervise import Supervisor
from barometer.settings import load_settings
from barometer.store.engine import Store
from barometer.store.health.processes import list_processes
from barometer.store.migrate import open_store
from barometer.store.tables import Document
from bench.databases import empty_database
from ingest.local_broker.embedded_broker import EmbeddedBroker
from ingest.messages.encoding import encode
from ingest.topic.topics import ensure_topics
from ingest.worker.heartbeat import BEAT_SECONDS

AROUND = 10.0
"""Seconds after a rebalance began that count as its own."""


def owners(store: Store) -> dict[str, tuple[int, ...]]:
    """The partitions of each running worker, as of its last heartbeat."""
    with store.read() as c:
        return {
            p.id: tuple(p.info.get("partitions") or ())
            for p in list_processes(c)
            if p.role == "worker" and p.state in ("running", "positioning")
        }


class Looker:
    """Looks for new rows, and for partitions that changed hands."""

    def __init__(self, store: Store) -> None:
        self._store, self._stop = store, threading.Event()
        self.seen: dict[str, float] = {}
        self.rebalances: list[float] = []
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._rows, self._owners)]

    def __enter__(self) -> Looker:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _rows(self) -> None:
        last = 0
        d = Document
        while not self._stop.wait(0.05):
            with self._store.read() as c:
                rows = c.execute(select(d.external_id, d.observed_at).where(d.observed_at >= last - 30_000)).all()
            now = time.time()
            for identifier, observed_at in rows:
                if identifier and identifier not in self.seen:
                    self.seen[identifier] = now
                    last = max(last, observed_at)

    def _owners(self) -> None:
        before = owners(self._store)
        while not self._stop.wait(0.25):
            now = owners(self._store)
            if now != before:
                self.rebalances.append(time.time() - BEAT_SECONDS)
                before = now


def percentiles(delays: list[float]) -> str:
    """In ms."""
    if not delays:
        return "none"
    ordered = sorted(delays)
    named = [(p, ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] * 1000) for p in (50, 90, 99, 99.9)]
    return ", ".join(f"p{p:g} {ms:,.0f} ms" for p, ms in named) + f", max {ordered[-1] * 1000:,.0f} ms"


def measure(url: str, args: argparse.Namespace, folder: str, broker: EmbeddedBroker) -> bool:
    """Print the figures; whether any row is missing."""
    environment = {
        "BAROMETER_DATABASE_URL": url,
        "BAROMETER_KAFKA_BOOTSTRAP": broker.bootstrap,
        "BAROMETER_TOPIC_PARTITIONS": "4",
        "BAROMETER_METRICS_PORT_WORKER": "0",
        "BAROMETER_METRICS_PORT_MONITOR": "0",
        # Two workers share the machine's cores as two machines would not.
        "BAROMETER_SCORER_THREADS": "1" if args.rebalances else "0",
        # The embedded broker holds every join for a session's length, where Kafka waits for the members alone.
        "BAROMETER_SESSION_TIMEOUT_MS": str(args.session),
    }
    os.environ.update(environment)
    settings = load_settings()
    store = open_store(settings, migrate=True)
    ensure_topics(settings)
    lines = (Path(folder) / "roles.log").open("w", encoding="utf-8")
    supervisor = Supervisor(environment, lambda role, line: print(role, line, file=lines, flush=True))
    supervisor.start("worker")
    supervisor.start("monitor")
    sent: dict[str, float] = {}
    told: list[float] = []
    try:
        while not any(owners(store).values()):  # the start is not what is measured
            supervisor.check()
            time.sleep(0.2)
        producer = KafkaProducer(**settings.kafka(), linger_ms=0)
        texts = [x for x in load_texts("all") if x.kind == "comment"]
        warm = int(args.rate * 5)
        steps = int(args.rate * args.seconds)
        # One stretch without, then for each rebalance one in which the worker joins, and one in which it leaves.
        stretches = ["", *(["join", "leave"] * args.rebalances)]
        with Looker(store) as looker:
            begin = time.time()
            for i in range(warm + steps * len(stretches)):
                time.sleep(max(0.0, begin + i / args.rate - time.time()))
                what = stretches[(i - warm) // steps] if i >= warm and (i - warm) % steps == 0 else ""
                if what == "join":
                    supervisor.start("worker", 2)
                elif what == "leave":
                    told.append(time.time())
                    supervisor.roles.pop("worker-2").process.send_signal(signal.SIGTERM)
                text = texts[i % len(texts)]
                # A number makes every text a text of its own: no cache of repeats helps.
                message = {"id": f"m{i}", "kind": "comment", "text": f"{text.text} {i}", "source": "bench"}
                key, value = encode(message)
                sent[f"m{i}"] = time.time()
                producer.send(settings.topic_documents, key=key, value=value, timestamp_ms=int(time.time() * 1000))
            producer.flush()
            deadline = time.time() + 30
            while len(looker.seen) < len(sent) and time.time() < deadline:
                time.sleep(0.2)
    finally:
        supervisor.stop()
        lines.close()
        store.close()
    events = sorted([*told, *looker.rebalances])
    near: list[float] = []
    other: list[float] = []
    for k, at in sent.items():
        if k in looker.seen and int(k[1:]) >= warm:
            close = any(e <= at <= e + AROUND for e in events)
            (near if close else other).append(looker.seen[k] - at)
    missing = len(sent) - len(looker.seen)
    print(f"{len(near) + len(other):,} comments at {args.rate:g} a second, missing {missing}")
    print(f"  otherwise ({len(other):,}): {percentiles(other)}")
    if args.rebalances:
        print(f"  within {AROUND:g} s of a rebalance ({len(near):,}, {len(events)} changes): {percentiles(near)}")
    return missing > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=0, help="of each stretch; 60, around rebalances 40")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--postgres", default="", help="URL of a server; without: one of the bench's own")
    parser.add_argument("--rebalances", type=int, default=-1, help="times that a second worker joins and leaves")
    parser.add_argument("--session", type=int, default=3000, help="session_timeout_ms")
    parser.add_argument("--quick", action="store_true", help="shorter, and one rebalance")
    args = parser.parse_args()
    if args.rebalances < 0:
        args.rebalances = 0 if args.database == "sqlite" else 1 if args.quick else 2
    if args.rebalances and args.database == "sqlite":
        parser.error("SQLite has one worker: rebalances need --database postgresql")
    args.seconds = args.seconds or (25 if args.quick else 40 if args.rebalances else 60)
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedBroker() as broker,
        empty_database(args.database, args.postgres) as url,
    ):
        sys.exit(measure(url, args, folder, broker))


if __name__ == "__main__":
    main()
