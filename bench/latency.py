"""From produce to visible row: percentiles at a steady rate, with the shipped model.

    python bench/latency.py --rate 100 --seconds 60                       # SQLite
    python bench/latency.py --rate 100 --seconds 60 --database postgresql://barometer@127.0.0.1/bench

Comments of the demo, one every 1/rate seconds, into an embedded broker with one worker. A row is visible when another
connection reads it; the database is asked every 50 ms, so a figure may be up to that too large.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from sqlalchemy import select

from barometer.commands.supervise import Supervisor
from barometer.demo.scenario import load_texts
from barometer.settings import load_settings
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.processes import list_processes
from barometer.store.tables import Document
from ingest.embedded_broker import EmbeddedBroker
from ingest.message import encode
from ingest.topics import ensure_topics


def is_running(store: Store) -> bool:
    """Whether the worker has joined and knows where to read: its start is not what is measured."""
    with store.read() as c:
        return any(p.role == "worker" and p.state == "running" for p in list_processes(c))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--database", default="")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker() as broker:
        environment = {
            "BAROMETER_DATABASE_URL": args.database or f"sqlite:///{folder}/l.db",
            "BAROMETER_KAFKA_BOOTSTRAP": broker.bootstrap,
            "BAROMETER_SESSION_TIMEOUT_MS": "6000",
            "BAROMETER_TOPIC_PARTITIONS": "4",
            "BAROMETER_METRICS_PORT_WORKER": "0",
            "BAROMETER_METRICS_PORT_MONITOR": "0",
        }
        os.environ.update(environment)
        settings = load_settings()
        store = open_store(settings, migrate=True)
        ensure_topics(settings)
        lines = (Path(folder) / "roles.log").open("w", encoding="utf-8")
        supervisor = Supervisor(environment, lambda role, line: print(role, line, file=lines, flush=True))
        supervisor.start("worker")
        supervisor.start("monitor")
        while not is_running(store):
            supervisor.check()
            time.sleep(0.2)
        from kafka import KafkaProducer

        producer = KafkaProducer(**settings.kafka(), linger_ms=0)
        texts = [x for x in load_texts("all") if x.kind == "comment"]
        sent: dict[str, float] = {}
        seen: dict[str, float] = {}
        stop = threading.Event()

        def look() -> None:
            last = 0
            while not stop.is_set():
                with store.read() as c:
                    rows = c.execute(
                        select(Document.external_id, Document.stored_at).where(Document.observed_at >= last - 30_000)
                    ).all()
                now = time.time()
                for identifier, stored_at in rows:
                    if identifier and identifier not in seen:
                        seen[identifier] = now
                        last = max(last, stored_at)
                stop.wait(0.05)

        looker = threading.Thread(target=look, daemon=True)
        looker.start()
        try:
            total = int(args.rate * args.seconds)
            warm = int(args.rate * 5)
            begin = time.time()
            for i in range(total + warm):
                time.sleep(max(0.0, begin + i / args.rate - time.time()))
                if i == warm:
                    print("warmed up", file=sys.stderr)
                text = texts[i % len(texts)]
                # A number makes every text a text of its own: no cache of repeats helps.
                message = {"id": f"m{i}", "kind": "comment", "text": f"{text.text} {i}", "source": "bench"}
                key, value = encode(message)
                sent[f"m{i}"] = time.time()
                producer.send(settings.topic_documents, key=key, value=value, timestamp_ms=int(time.time() * 1000))
            producer.flush()
            deadline = time.time() + 30
            while len(seen) < len(sent) and time.time() < deadline:
                time.sleep(0.2)
        finally:
            stop.set()
            looker.join()
            supervisor.stop()
            lines.close()
            store.close()
    missing = len(sent) - len(seen)
    delays = sorted(seen[k] - sent[k] for k in sent if k in seen and int(k[1:]) >= warm)
    figures = ", ".join(
        f"p{p:g} {delays[min(len(delays) - 1, int(len(delays) * p / 100))] * 1000:.0f} ms" for p in (50, 90, 99, 99.9)
    )
    print(f"{len(delays):,} at {args.rate:g} a second: {figures}, max {delays[-1] * 1000:.0f} ms, missing {missing}")
    sys.exit(missing > 0)


if __name__ == "__main__":
    main()
