"""How many documents a second one worker takes from a filled topic, and how much memory: decoding, validation, language
detection, scoring and the transaction included.

    python -m bench.worker_speed                                   # costless scorer, a million, both databases
    python -m bench.worker_speed --model default                   # the shipped model, 100,000 comments, SQLite
    python -m bench.worker_speed --quick                           # a tenth of it
    python -m bench.worker_speed --database postgresql --postgres postgresql://me@127.0.0.1/postgres
    python -m bench.worker_speed --stages                          # where the time goes

The topic is filled first (a day's stream, 12 partitions, a progress record in each whenever a bucket ends). One worker
in a process of its own then reads it into an empty database. The costless scorer detects languages as the real one does
and gives every text one topic. With the model, ``Scorer`` alone scores other texts of the same stream in batches of the
same size with the same threads, half of them before the worker's run and half after it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from sqlalchemy import func, select

from barometer.buckets import Buckets
from barometer.records import PROGRESS_HEADER
from barometer.settings import Settings, load_settings
from barometer.store.migrate import open_store
from barometer.store.tables import Document, Offset
from bench.databases import empty_database
from bench.filling import Record, fill
from bench.stages import StageTimes, timed_stages
from bench.stream_texts import message
from ingest.local_broker.embedded_broker import EmbeddedBroker

T0 = 1_760_000_400_000
"""A bucket's start, in October 2025."""
TENTHS = 10
WARM_UP = 0.3
"""Memory is looked at after this part of the run."""


# --- the stream ------------------------------------------------------------------------------------------------------


def stream(total: int, hours: float, news: float, identities: bool, p: int, partitions: int) -> Iterator[Record]:
    """One partition's part of ``total`` messages spread over ``hours``."""
    width = Settings.model_fields["bucket_seconds"].default * 1000
    step = hours * 3_600_000 / total
    due = T0 + width
    for i in range(p, total, partitions):
        at = T0 + int(i * step)
        while at >= due:
            yield _progress(due)
            due += width
        m = message(i, news_share=news)
        if identities:
            m["id"] = f"m{i}"
        yield Record(orjson.dumps(m), at)
    yield _progress(T0 + int(total * step))


def _progress(t: int) -> Record:
    value = orjson.dumps({"t": t, "writer": "bench", "term": 1})
    return Record(value, t, headers=((PROGRESS_HEADER, b"1"),))


# --- the scorers -----------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    scored: bool
    reason: str | None
    lang: str
    sentiment: int
    sentiment_probabilities: tuple[float, float, float]
    topics: tuple[str, ...]
    topic_probabilities: tuple[float, ...]


class Costless:
    """Detects languages and gives answers that are ready."""

    name = precision = "costless"
    topics: Sequence[str] = tuple(f"topic_{k}" for k in range(12))

    def __init__(self) -> None:
        from models.text import language
        from models.text.encoding import prepare

        self._prepare, self._language = prepare, language
        n = len(self.topics)
        self._ready = [
            (
                k % 3,
                ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8))[k % 3],
                (self.topics[k % n],),
                tuple(0.9 if j == k % n else 0.01 for j in range(n)),
            )
            for k in range(36)
        ]

    def score(
        self,
        texts: Sequence[str],
        kinds: Sequence[str | None],
        langs: Sequence[str | None],
        titles: Sequence[str | None],
    ) -> list[Said]:
        out = []
        for text, _, given, title in zip(texts, kinds, langs, titles, strict=True):
            line = self._prepare(text, title)
            out.append(
                Said(
                    True,
                    None,
                    self._language.normalise_code(given) or self._language.detect(line),
                    *self._ready[len(line) % 36],
                )
            )
        return out


def alone(scorer: Any, settings: Settings, first: int, count: int) -> float:
    """Texts a second of the scorer by itself."""
    texts = [message(i, news_share=0.0)["text"] for i in range(first, first + count)]
    begin = time.perf_counter()
    for i in range(0, count, settings.worker_batch):
        part = texts[i : i + settings.worker_batch]
        scorer.score(part, ["comment"] * len(part), [None] * len(part), [None] * len(part))
    return count / (time.perf_counter() - begin)


# --- the worker's process --------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What the worker's process measured; times in seconds of its clock."""

    started: float = 0.0
    batches: list[tuple[float, int, int]] = field(default_factory=list)
    """(when, documents so far, records so far) after each commit."""
    memory: list[tuple[float, int, float]] = field(default_factory=list)
    """(when, records so far, resident MB)."""
    cpu: float = 0.0
    alone: list[float] = field(default_factory=list)
    stages: StageTimes = field(default_factory=StageTimes)


def work(settings: Settings, model: str, records: int, spare: int, stages: bool, out: Any) -> None:
    """Run one worker until it has taken ``records``; send the :class:`Run` down the pipe."""
    from barometer.logs import configure_logging
    from ingest.worker.main import run_worker

    configure_logging(settings)
    run, stop, done = Run(), threading.Event(), [0, 0]
    scorer: Any = Costless()
    if model:
        from models.scoring.scorer import load_scorer

        scorer = load_scorer(None if model == "default" else model, settings.scorer_threads or None)
        alone(scorer, settings, 10_000_000, 512)  # warm
        run.alone.append(alone(scorer, settings, 20_000_000, spare))

    def look() -> None:
        while not stop.wait(0.25):
            run.memory.append((time.perf_counter(), done[1], resident()))

    def on_event(name: str, data: dict[str, Any]) -> None:
        if name == "batch":
            done[0] += data["documents"]
            done[1] += data["records"]
            run.batches.append((time.perf_counter(), *done))
            if done[1] >= records:
                stop.set()
        elif data["state"] == "running" and not run.started:
            run.started, run.cpu = time.perf_counter(), time.process_time()

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    store = open_store(settings)
    with timed_stages(run.stages, stages):
        run_worker(settings, store, scorer, stop, on_event)
    run.cpu = time.process_time() - run.cpu
    looker.join()
    store.close()
    if model:
        run.alone.append(alone(scorer, settings, 30_000_000, spare))
    out.send(run)


def resident() -> float:
    """MB."""
    with Path("/proc/self/statm").open() as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


# --- what came of it -------------------------------------------------------------------------------------------------


def slope(x: Sequence[float], y: Sequence[float], blocks: int = 24, lag: int = 3) -> tuple[float, float, float]:
    """Least-squares slope of the means of ``blocks`` stretches, and its 95 % interval.

    Samples of memory depend on the ones before, so the variance is that of Newey and West (1987, ``lag`` stretches),
    and the quantile that of t.
    """
    from scipy.stats import t as student

    xs = np.array([c.mean() for c in np.array_split(np.asarray(x, float), blocks)])
    ys = np.array([c.mean() for c in np.array_split(np.asarray(y, float), blocks)])
    d = xs - xs.mean()
    b = float(d @ ys / (d @ d))
    u = d * (ys - ys.mean() - b * d)
    s = float(u @ u) + sum(2 * (1 - k / (lag + 1)) * float(u[k:] @ u[:-k]) for k in range(1, lag + 1))
    error = (max(s, 0.0) * blocks / (blocks - 2)) ** 0.5 / float(d @ d)
    reach = float(student.ppf(0.975, blocks - 2)) * error
    return b, b - reach, b + reach


def report(kind: str, run: Run, settings: Settings, records: int) -> None:
    store = open_store(settings)
    with store.read() as c:
        table = int(c.execute(select(func.count()).select_from(Document)).scalar_one())
        o = Offset
        sums = c.execute(
            select(
                func.sum(o.records),
                func.sum(o.documents + o.repeats + o.dead_letters + o.tombstones + o.progress_records),
                func.sum(o.documents),
            )
        ).one()
    store.close()
    if tuple(map(int, sums)) != (records, records, table):
        sys.exit(f"{kind}: {records:,} records were sent; the store says {sums} and holds {table:,} documents")
    end, documents, _ = run.batches[-1]
    seconds = end - run.started
    print(
        f"{kind}: {documents / seconds:,.0f} documents a second: {documents:,} in {seconds:.1f} s;"
        f" table then {table:,}; worker's CPU {run.cpu:.1f} s; batches of {settings.worker_batch}"
    )
    marks = [run.started]
    for k in range(1, TENTHS + 1):
        marks.append(next(at for at, n, _ in run.batches if n >= documents * k // TENTHS))
    rates = [documents / TENTHS / (b - a) for a, b in pairwise(marks)]
    print(f"  by tenths: {' '.join(f'{r:,.0f}' for r in rates)}; last / first {rates[-1] / rates[0]:.2f}")
    if run.alone:
        by_itself = 2 / sum(1 / a for a in run.alone)
        print(
            f"  scorer alone: {' and '.join(f'{a:,.0f}' for a in run.alone)} texts a second, before and after;"
            f" worker / scorer {documents / seconds / by_itself:.3f}"
        )
    after = [(n, mb) for at, n, mb in run.memory if n >= records * WARM_UP and at <= end]
    if len(after) >= 48:
        b, low, high = slope([n / 1e6 for n, _ in after], [mb for _, mb in after])
        verdict = "GROWS" if low > 0 else "no growth that could be told from zero" if high >= 0 else "shrinks"
        print(
            f"  memory: {max(mb for _, _, mb in run.memory):,.0f} MB at most, {after[0][1]:,.0f} after warm-up,"
            f" {after[-1][1]:,.0f} at the end; slope {b:+.1f} MB a million records,"
            f" 95 % from {low:+.1f} to {high:+.1f}: {verdict}"
        )
    if run.stages.spent:
        print(run.stages.table(documents, seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="'default' or a model folder; without: the costless scorer")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="")
    parser.add_argument("--postgres", default="", help="URL of a server; without: one of the bench's own")
    parser.add_argument("--records", type=int, default=0, help="messages; 1,000,000, with a model 100,000")
    parser.add_argument("--hours", type=float, default=24.0, help="the time that the stream covers")
    parser.add_argument("--batch", type=int, default=0, help="worker_batch; without: the setting's default")
    parser.add_argument("--threads", type=int, default=0, help="scorer_threads")
    parser.add_argument("--identities", action="store_true", help="every message has an id")
    parser.add_argument("--stages", action="store_true", help="measure the stages (costs a few per cent)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages")
    args = parser.parse_args()
    total = args.records or (100_000 if args.model else 1_000_000) // (10 if args.quick else 1)
    kinds = {"": ["sqlite"] if args.model else ["sqlite", "postgresql"], "both": ["sqlite", "postgresql"]}
    news = 0.0 if args.model else 0.2
    streams = partial(stream, total, args.hours, news, args.identities)
    with EmbeddedBroker() as broker:
        settings = load_settings(
            kafka_bootstrap=broker.bootstrap,
            scorer_threads=args.threads,
            log_level="WARNING",
            metrics_port_worker=0,
            **({"worker_batch": args.batch} if args.batch else {}),
        )
        width = Buckets(settings.bucket_seconds, settings.zone).width_ms
        marks = (int((total - 1) * args.hours * 3_600_000 / total)) // width
        partitions = settings.topic_partitions
        # Each partition's last record decides how many buckets' ends it tells of.
        progress = sum(
            int((total - 1 - (total - 1 - p) % partitions) * args.hours * 3_600_000 / total) // width + 1
            for p in range(partitions)
        )
        spent = fill(settings, streams)
        with Path(f"/proc/{broker.pid}/statm").open() as f:
            held = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        print(
            f"topic: {total:,} messages and {progress:,} progress records in {partitions} partitions and {marks + 1}"
            f" buckets; filled in {spent:.0f} s; the broker holds {held:,.0f} MB"
        )
        for kind in kinds.get(args.database, [args.database]):
            with empty_database(kind, args.postgres) as url:
                own = settings.model_copy(update={"database_url": url, "consumer_group": f"bench-{kind}"})
                open_store(own, migrate=True).close()
                context = multiprocessing.get_context("spawn")
                here, there = context.Pipe(duplex=False)
                child = context.Process(
                    target=work, args=(own, args.model, total + progress, max(2_000, total // 8), args.stages, there)
                )
                child.start()
                there.close()
                try:
                    run = here.recv()
                except EOFError:
                    sys.exit(f"{kind}: the worker ended early")
                child.join()
                report(kind, run, own, total + progress)


if __name__ == "__main__":
    main()
