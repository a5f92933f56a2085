"""Real streams through the broker, by 1 and 3 workers into PostgreSQL and by 1 into SQLite: do the sums come out,
and are the sealed buckets and alerts of all three the same?

    python bench/real_streams.py --shared ../shared --postgres postgresql://barometer@127.0.0.1:5432/postgres

`stocknet_tweets` (comments) and `finance_rss_zh_en` (news) are produced once, merged in time order, with their own
timestamps, into an embedded broker; each run reads that same log into an empty store with the shipped model, in
buckets of a day. The PostgreSQL user must be allowed to make databases. Prints a table, and exits non-zero if anything
differs.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import heapq
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import func, make_url, select

from app.supervise import Supervisor
from barometer.settings import Settings, load_settings
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from ingest.local_broker.embedded_broker import EmbeddedBroker
from ingest.producing.produce import produce_rows

Timed = tuple[int, dict[str, Any]]


def rows(path: Path, kind: str, limit: int) -> Iterator[Timed]:
    """The file's rows in time order, with the columns that the message knows."""
    out: list[Timed] = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as f:
        for number, row in enumerate(csv.DictReader(f)):
            if limit and number >= limit:
                break
            at = int(datetime.fromisoformat(row["time"]).timestamp() * 1000)
            message: dict[str, Any] = {"text": row["text"], "kind": kind, "source": row.get("source") or "unknown"}
            if row.get("symbol"):
                message["symbols"] = row["symbol"].split("|")
            if kind == "news":
                # These feeds give no addresses; a title seen again in one feed is the same article.
                message["url"] = hashlib.sha1(row["text"].encode(), usedforsecurity=False).hexdigest()
            out.append((at, message))
    out.sort(key=lambda x: x[0])
    return iter(out)


def fill(broker: EmbeddedBroker, shared: Path, folder: Path, limit: int) -> Settings:
    settings = load_settings(
        database_url=f"sqlite:///{folder / 'producer.db'}", kafka_bootstrap=broker.bootstrap, **COMMON
    )
    store = open_store(settings, migrate=True)
    data = shared / "data"
    merged = heapq.merge(
        rows(data / "stocknet_tweets" / "all.csv.gz", "comment", limit),
        rows(data / "finance_rss_zh_en" / "all.csv.gz", "news", limit),
        key=lambda x: x[0],
    )
    begin = time.monotonic()
    sent = produce_rows(settings, store, merged)
    print(
        f"produced {sent.records:,} records and {sent.progress:,} progress records in {time.monotonic() - begin:.0f} s"
    )
    store.close()
    return settings


COMMON: dict[str, Any] = {"bucket_seconds": 86_400, "topic_partitions": 12, "session_timeout_ms": 6_000}


def run(name: str, url: str, workers: int, broker: EmbeddedBroker, wanted: int, folder: Path) -> dict[str, Any]:
    """One run into an empty store; returns what it left."""
    environment = {
        "BAROMETER_DATABASE_URL": url,
        "BAROMETER_KAFKA_BOOTSTRAP": broker.bootstrap,
        "BAROMETER_CONSUMER_GROUP": f"bench-{uuid.uuid4().hex[:8]}",
        "BAROMETER_METRICS_PORT_WORKER": "0",
        "BAROMETER_METRICS_PORT_MONITOR": "0",
        "BAROMETER_SCORER_THREADS": "2" if workers == 1 else "1",
        **{f"BAROMETER_{k.upper()}": str(v) for k, v in COMMON.items()},
    }
    os.environ.update(environment)
    store = open_store(load_settings(), migrate=True)
    lines = (folder / f"{name}.log").open("w", encoding="utf-8")
    supervisor = Supervisor(environment, lambda role, line: print(f"{role:<10} {line}", file=lines, flush=True))
    begin = time.monotonic()
    try:
        for i in range(workers):
            supervisor.start("worker", i + 1)
        while (done := stored(store)) < wanted:
            supervisor.check()
            print(f"\r{name}: {done:,} of {wanted:,}   ", end="", file=sys.stderr, flush=True)
            time.sleep(1)
        spent = time.monotonic() - begin
        supervisor.start("monitor")
        last = last_time(store)
        while (sealed := sealed_until(store)) <= last:
            supervisor.check()
            print(f"\r{name}: sealed up to {sealed}        ", end="", file=sys.stderr, flush=True)
            time.sleep(1)
    finally:
        supervisor.stop()
        lines.close()
    print(file=sys.stderr)
    result = {"name": name, "seconds": spent, "texts_per_second": wanted / spent, **sums(store), **dumps(store, last)}
    store.close()
    return result


def stored(store: Store) -> int:
    o = t.Offset
    with store.read() as c:
        return int(c.execute(select(func.sum(o.documents + o.repeats + o.dead_letters))).scalar() or 0)


def last_time(store: Store) -> int:
    with store.read() as c:
        return int(c.execute(select(func.max(t.Document.observed_at))).scalar_one())


def sealed_until(store: Store) -> int:
    with store.read() as c:
        return int(c.execute(select(func.max(t.SealingState.sealed_until))).scalar() or 0)


def sums(store: Store) -> dict[str, Any]:
    names = ("records", "documents", "repeats", "dead_letters", "tombstones", "progress_records", "late")
    with store.read() as c:
        out = {n: int(c.execute(select(func.sum(getattr(t.Offset, n)))).scalar() or 0) for n in names}
        rows_ = c.execute(select(func.count()).select_from(t.Document)).scalar_one()
        offsets = c.execute(select(func.sum(t.Offset.next_offset))).scalar_one()
    out["exact"] = out["records"] == sum(out[n] for n in names[1:-1]) == int(offsets) and rows_ == out["documents"]
    return out


def dumps(store: Store, last: int) -> dict[str, Any]:
    """Sealed buckets and alerts of the streams' span, as comparable lines."""
    s = t.SealedBucket
    skip = {"series_id", "term", "model_id"}
    with store.read() as c:
        sealed = [
            json.dumps([r.name, *(getattr(r, k.name) for k in s.__table__.columns if k.name not in skip)])
            for r in c.execute(
                select(t.Series.name, *s.__table__.columns)
                .join(t.Series, t.Series.id == s.series_id)
                .where(s.start <= last, s.total > 0)
                .order_by(t.Series.name, s.kind, s.start)
            )
        ]
        a = t.Alert
        keep = (
            "fingerprint",
            "kinds",
            "severity",
            "started_at",
            "detected_at",
            "peak_at",
            "ended_at",
            "score",
            "expected_negative",
            "seen_negative",
            "seen_total",
            "evidence",
        )
        alerts = [
            json.dumps([getattr(r, k) for k in keep], ensure_ascii=False, sort_keys=True)
            for r in c.execute(
                select(a).where(a.type == "surge", a.started_at <= last).order_by(a.fingerprint, a.started_at)
            )
        ]
    return {"sealed": sealed, "alerts": alerts}


def make_database(url: str) -> str:
    name = f"bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(url, autocommit=True) as c:
        c.execute(f"CREATE DATABASE {name}")
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--limit", type=int, default=0, help="rows of each file; 0: all")
    parser.add_argument("--out", type=Path, help="write the sealed buckets and alerts of each run here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, EmbeddedBroker() as broker:
        folder = Path(name)
        fill(broker, args.shared, folder, args.limit)
        store = Store(f"sqlite:///{folder / 'producer.db'}")
        store.close()
        wanted = count(args.shared, args.limit)
        out = args.out or folder
        out.mkdir(parents=True, exist_ok=True)
        results = [
            run("sqlite-1", f"sqlite:///{folder / 'one.db'}", 1, broker, wanted, out),
            run("postgres-1", make_database(args.postgres), 1, broker, wanted, out),
            run("postgres-3", make_database(args.postgres), 3, broker, wanted, out),
        ]
        for r in results:
            for what in ("sealed", "alerts"):
                (out / f"{r['name']}.{what}.jsonl").write_text("\n".join(r[what]) + "\n", "utf-8")
    print(
        "\n| run | texts/s | records | documents | repeats | dead letters | tombstones | progress | late | sum exact |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for r in results:
        figures = [
            r[k] for k in ("records", "documents", "repeats", "dead_letters", "tombstones", "progress_records", "late")
        ]
        print(
            f"| {r['name']} | {r['texts_per_second']:.0f} | "
            + " | ".join(f"{x:,}" for x in figures)
            + f" | {r['exact']} |"
        )
    ok = all(r["exact"] for r in results)
    for what in ("sealed", "alerts"):
        same = all(r[what] == results[0][what] for r in results)
        ok &= same
        print(f"{what}: {', '.join(str(len(r[what])) for r in results)}: {'identical' if same else 'DIFFERENT'}")
    sys.exit(not ok)


def count(shared: Path, limit: int) -> int:
    data = shared / "data"
    return sum(
        sum(1 for _ in rows(data / name / "all.csv.gz", "news", limit))
        for name in ("stocknet_tweets", "finance_rss_zh_en")
    )


if __name__ == "__main__":
    main()
