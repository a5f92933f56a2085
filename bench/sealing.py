"""How long sealing and judging a bucket takes, with many series.

    python -m bench.sealing                       # 1,000 series x news and comments, both databases
    python -m bench.sealing --quick               # fewer buckets
    python -m bench.sealing --database sqlite --series 200

A day of buckets is written and sealed as a backlog, so that all detectors' windows are full; then bucket after bucket
is written and sealed as it happens live. One series in a hundred surges at the end, and its alerts are raised with
their evidence. A step is one transaction: on SQLite the worker waits meanwhile.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random
from statistics import mean
from typing import Any

from sqlalchemy import func, insert, select

from barometer.buckets import Buckets
from barometer.records import Document, Prediction, Progress, fingerprint, hash64, pack_row
from barometer.settings import Settings, load_settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.vocabulary import Kind, Sentiment
from bench.databases import empty_database
from monitor.sealing.seal import Sealer

T0 = 1_759_939_200_000
"""Midnight in Shanghai."""
KINDS = (Kind.NEWS, Kind.COMMENT)


class Stream:
    """One partition that gets a bucket's texts, and then the progress record that closes it."""

    def __init__(self, store: Store, settings: Settings, series: int, documents: int) -> None:
        self._buckets = Buckets(settings.bucket_seconds, settings.zone)
        self._writer = Writer(store, self._buckets)
        self._series, self._documents, self._lateness = series, documents, settings.lateness_ms
        self._random, self._offset, self._at = Random(1), 0, T0
        with store.write() as c:
            c.execute(
                insert(t.Log).values(
                    id=1, cluster_id="bench", topic=settings.topic_documents, partitions=1, current=True, created_at=0
                )
            )

    def bucket(self, surge: bool) -> None:
        """Write one; at least a text for every series and kind, the others where they fall."""
        r, end = self._random, self._buckets.end_of(self._at)
        topics = [(k, kind) for k in range(self._series) for kind in KINDS]
        topics += [(r.randrange(self._series), r.choice(KINDS)) for _ in range(self._documents - len(topics))]
        if surge:
            topics += [(k, kind) for k in range(0, self._series, 100) for kind in KINDS for _ in range(60)]
        said = []
        for i, (k, kind) in enumerate(topics):
            row = pack_row(1, 0, self._offset + i)
            # One text in ten is a copy of another in the window.
            words = f"第{r.randrange(500)}条转载" if r.random() < 0.1 else f"第{self._offset + i}条，话题{k}"
            at = self._at + (end - self._at) * i // len(topics)
            document = Document(
                row, at, kind, words, hash64("row", str(row)), hash64(words), fingerprint(words), False, source="bench"
            )
            bad = r.random() < (0.95 if surge and k % 100 == 0 else 0.2)
            sentiment = Sentiment.NEGATIVE if bad else Sentiment.NEUTRAL
            said.append((document, Prediction(sentiment, 0.9 if bad else 0.1, 0.1, 0.1, {f"series_{k:04d}": 0.9})))
        for i in range(0, len(said), 1000):
            part, last = said[i : i + 1000], i + 1000 >= len(said)
            tick = Progress(0, end + self._lateness, "bench", 1) if last else None
            after = self._offset + len(part) + last
            move = Move(0, self._offset or None, after, len(part) + last, 0, int(last), tick)
            self._writer.commit(
                Batch(
                    1, 1, [move], [d for d, _ in part], [p for _, p in part], ["zh"] * len(part), [None] * len(part), []
                )
            )
            self._offset = after
        self._at = end


class Timed(Sealer):
    """Notes how long each transaction that sealed anything took."""

    def __init__(self, *a: Any) -> None:
        super().__init__(*a)
        self.steps: list[float] = []

    def _step(self, lease: leases.Lease) -> tuple[int, bool]:
        began = time.perf_counter()
        out = super()._step(lease)
        if out[0]:
            self.steps.append(time.perf_counter() - began)
        return out


def measure(kind: str, url: str, args: argparse.Namespace) -> float:
    """Print the figures; returns the mean of the live buckets, in seconds."""
    settings = load_settings(database_url=url)
    store = open_store(settings, migrate=True)
    stream = Stream(store, settings, args.series, args.documents)
    lease = leases.acquire(store, leases.LEADER, "bench", 36_000)
    assert lease is not None
    for _ in range(args.backlog):
        stream.bucket(False)
    sealer = Timed(store, settings)
    began = time.perf_counter()
    sealed = sealer.seal_ready(lease)
    backlog, steps = time.perf_counter() - began, sealer.steps
    live, cpu = [], 0.0
    for i in range(args.live):
        stream.bucket(surge=i >= args.live - 3)
        began, before = time.perf_counter(), time.process_time()
        sealed += sealer.seal_ready(lease)
        live.append(time.perf_counter() - began)
        cpu += (time.process_time() - before) / args.live
    fresh = Timed(store, settings)
    stream.bucket(False)
    began = time.perf_counter()
    sealed += fresh.seal_ready(lease)
    taken_over = time.perf_counter() - began
    with store.read() as c:
        b = t.SealedBucket
        rows = c.execute(select(func.count()).select_from(b).where(b.score.is_not(None))).scalar_one()
        alerts = c.execute(select(func.count()).select_from(t.Alert)).scalar_one()
        documents = c.execute(select(func.count()).select_from(t.Document)).scalar_one()
    store.close()
    if (
        sealed != args.backlog + args.live + 1
        or rows != sealed * args.series * 2
        or (args.backlog >= 144 and not alerts)
    ):
        sys.exit(f"{kind}: {sealed} buckets, {rows:,} judgements, {alerts} alerts: not what was sent")
    print(
        f"{kind}: {args.series:,} series x {len(KINDS)} kinds, {args.documents:,} texts a bucket,"
        f" {documents:,} in all\n"
        f"  live: {mean(live):.2f} s a bucket (CPU of the leader {cpu:.2f} s), at most {max(live):.2f};"
        f" {args.live} buckets, {alerts} alerts raised\n"
        f"  a new leader's first bucket: {taken_over:.2f} s\n"
        f"  backlog of {args.backlog}: {backlog / args.backlog:.2f} s a bucket;"
        f" {len(steps)} transactions, the longest {max(steps):.2f} s",
        flush=True,
    )
    return mean(live)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--postgres", default="", help="URL of a server; without: one of the bench's own")
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--documents", type=int, default=6_000, help="texts a bucket; at least two a series")
    parser.add_argument("--backlog", type=int, default=144, help="buckets")
    parser.add_argument("--live", type=int, default=20, help="buckets")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.backlog, args.live = 30, 8
    slowest = 0.0
    for kind in ("sqlite", "postgresql") if args.database == "both" else (args.database,):
        with empty_database(kind, args.postgres) as url:
            slowest = max(slowest, measure(kind, url, args))
    sys.exit(slowest >= 1.0)


if __name__ == "__main__":
    main()
