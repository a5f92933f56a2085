"""A million mutated messages through a real broker and a real worker: it never stops, and every record is one thing.

    python -m bench.fuzz                       # a million, SQLite
    python -m bench.fuzz --quick --database postgresql
    python -m bench.fuzz --records 100000 --seed 7

The messages (``mutations.py``) are produced with every compression that the client has. At the end

    records = documents (revisions included) + repeats + dead letters + tombstones + progress records

must hold for the topic and each partition, the rows of the tables must be as many as the counters say, and every
record must have an outcome. Between the compressions come batches whose bytes are broken while their checksum is right;
it is printed how many of their records the broker took.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from kafka import KafkaProducer
from kafka.record.default_records import DefaultRecordBatchBuilder
from sqlalchemy import func, select

from barometer.logs import configure_logging
from barometer.settings import Settings, load_settings
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import DeadLetter, Document, Offset
from bench.databases import empty_database
from bench.filling import Record, fill
from bench.mutations import T0, record
from bench.worker_speed import Costless
from ingest.local_broker.embedded_broker import EmbeddedBroker
from ingest.worker.main import run_worker

COMPRESSIONS = (None, "gzip", "lz4", "snappy")
OUTCOMES = ("documents", "repeats", "dead_letters", "tombstones", "progress_records")


def stream(first: int, total: int, seed: int, p: int, partitions: int) -> Iterator[Record]:
    """One partition's part of the records from ``first`` on."""
    for i in range(first + p, first + total, partitions):
        yield record(i, seed)


class Breaking:
    """While the block runs, every batch that this process sends is broken before its checksum is made."""

    def __enter__(self) -> None:
        self._whole = whole = DefaultRecordBatchBuilder._maybe_compress

        def broken(builder: DefaultRecordBatchBuilder) -> bool:
            compressed = bool(whole(builder))
            begin = builder.header_size_in_bytes()
            builder._buffer[begin:] = bytes(b ^ 0x5A for b in builder._buffer[begin:])
            return compressed

        DefaultRecordBatchBuilder._maybe_compress = broken

    def __exit__(self, *_: object) -> None:
        DefaultRecordBatchBuilder._maybe_compress = self._whole


def send_broken(settings: Settings, compression: str | None, records: int = 5) -> int:
    """A broken batch into every partition; the number of records that the broker took."""
    producer = KafkaProducer(**settings.kafka(), linger_ms=200, compression_type=compression, retries=0)
    with Breaking():
        sent = [
            producer.send(settings.topic_documents, record(i, 5).value, partition=p, timestamp_ms=T0)
            for p in range(settings.topic_partitions)
            for i in range(records)
        ]
        producer.flush()
    producer.close()
    return sum(x.succeeded() for x in sent)


def check(store: Store, sent: int) -> str:
    """Say what became of the records; exits with what is wrong."""
    with store.read() as c:
        rows = c.execute(
            select(Offset.partition, Offset.next_offset, Offset.records, *(getattr(Offset, n) for n in OUTCOMES))
        )
        sums: Counter[str] = Counter()
        for partition, next_offset, records, *counts in rows.all():
            if not next_offset == records == sum(counts):
                sys.exit(f"partition {partition}: {records} records until {next_offset}, but {sum(counts)} outcomes")
            sums.update(dict(zip(OUTCOMES, counts, strict=True)))
            sums["records"] += records
        stored = {
            "documents": c.execute(select(func.count()).select_from(Document)).scalar_one(),
            "dead_letters": c.execute(select(func.count()).select_from(DeadLetter)).scalar_one(),
        }
        reasons = c.execute(
            select(DeadLetter.reason, func.count()).group_by(DeadLetter.reason).order_by(func.count().desc())
        )
        why = ", ".join(f"{reason} {n:,}" for reason, n in reasons.all())
    if sums["records"] != sent:
        sys.exit(f"{sent:,} records were sent, {sums['records']:,} were read")
    if stored != {n: sums[n] for n in stored}:
        sys.exit(f"the tables hold {stored}, the counters say {dict(sums)}")
    return " + ".join(f"{sums[n]:,} {n.replace('_', ' ')}" for n in OUTCOMES) + f" = {sent:,} records\n  letters: {why}"


def read(settings: Settings, store: Store, sent: int, patience: float) -> tuple[float, set[str]]:
    """Run the worker until it has taken everything; seconds, and the states that it was in.

    Exits if the worker ends or takes nothing for ``patience`` seconds.
    """
    stop, done, states = threading.Event(), [0], set[str]()
    errors: list[BaseException] = []

    def on_event(name: str, data: dict[str, Any]) -> None:
        if name == "batch":
            done[0] += data["records"]
        else:
            states.add(data["state"])

    def work() -> None:
        try:
            run_worker(settings, store, Costless(), stop, on_event)
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=work)
    began = time.perf_counter()
    thread.start()
    last, since = 0, time.monotonic()
    while done[0] < sent and thread.is_alive():
        time.sleep(0.1)
        if done[0] != last:
            last, since = done[0], time.monotonic()
        elif time.monotonic() - since > patience:
            stop.set()
            thread.join()
            sys.exit(f"the worker took {last:,} of {sent:,} records and no more; states {sorted(states)}")
    seconds = time.perf_counter() - began
    stop.set()
    thread.join()
    if errors:
        sys.exit(f"the worker ended with {errors[0]!r} after {done[0]:,} of {sent:,} records")
    return seconds, states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--postgres", default="", help="URL of a server; without: one of the bench's own")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds without a record that mean a stop")
    parser.add_argument("--quick", action="store_true", help="20,000 records")
    args = parser.parse_args()
    total = 20_000 if args.quick else args.records
    with EmbeddedBroker() as broker, empty_database(args.database, args.postgres) as url:
        settings = load_settings(
            kafka_bootstrap=broker.bootstrap, database_url=url, log_level="ERROR", metrics_port_worker=0
        )
        configure_logging(settings)
        share, broken = total // len(COMPRESSIONS), 0
        for k, compression in enumerate(COMPRESSIONS):
            n = share if k else total - share * (len(COMPRESSIONS) - 1)
            fill(settings, partial(stream, k * total, n, args.seed), compression=compression)
            broken += send_broken(settings, compression)
        store = open_store(settings, migrate=True)
        seconds, states = read(settings, store, total + broken, args.patience)
        print(
            f"seed {args.seed}, {args.database}: {total:,} records and {broken:,} in broken batches in {seconds:.0f} s;"
            f" states {sorted(states)}"
        )
        print("  " + check(store, total + broken))
        store.close()


if __name__ == "__main__":
    main()
