"""Fills a store with a :mod:`stream <bench.dashboard.stream>`, as worker and leader would leave it, and brings a filled
one up to the present.

Rows go in by the bulk ways of the store (COPY on PostgreSQL). What the leader makes of them is made by its own code
where that is fast enough (folded buckets; the index of SQLite), else written beside the documents (sealed buckets with
what the stream expects of them; PostgreSQL's index, whose own indexes are built at the end).
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from queue import Empty
from typing import Any

import orjson
from sqlalchemy import func, insert, select, text, update

from barometer.settings import Settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.accounts.users import add_user
from barometer.store.bulk import add_up, insert_rows
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.month_partitions import Months
from barometer.store.search.index import enqueue, index_waiting, indexed, marks
from barometer.store.search.terms import tsvector
from barometer.store.series.downsampling import fold
from barometer.store.stream.batch import NO_MODEL
from bench.dashboard.cases import write_alerts
from bench.dashboard.stream import DAY, HOUR, MINUTE, PARTITIONS, TOPICS, Said, Stream

PASSWORD = "a long enough password"
USERS = 50
AT_ONCE = 18
"""Buckets of one transaction."""
_INDEXES = ("ix_search_terms", "ix_search_fingerprint", "ix_search_fingerprint_only")
_MODELS = ((1, "default-1"), (2, "default-2"))
MODEL_CHANGE = 30 * DAY
"""So long before the end of the filling the second model took over."""


class Filler:
    """Writes stretches of the stream.

    Args:
        since: begin of the stream, epoch ms, a bucket's start.
        bulk: nothing of the stretch is there yet, and on PostgreSQL the index is written along.
    """

    def __init__(self, store: Store, stream: Stream, since: int, changed: int, *, bulk: bool) -> None:
        self.store, self.stream, self.since, self.changed, self.bulk = store, stream, since, changed, bulk
        self.usual = usual(stream, since)

    def write(self, begin: int, end: int, seal_from: int, seal_until: int) -> int:
        """Texts observed in [begin, end), which needs not be whole buckets, and sealed rows of the buckets that end
        after ``seal_from`` and not after ``seal_until``; one transaction. Returns the number of texts."""
        width = self.stream.bucket_ms
        rows: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
        rollups: dict[tuple[int, int, int, int, int, int], list[int]] = {}
        sources: dict[tuple[int, int, int, int], list[int]] = {}
        lines: list[tuple[int, int, int, str]] = []
        start = begin // width * width
        first = min(start, seal_from // width * width)
        for at in range(first, end, width):
            said = list(self.stream.bucket(at))
            for s in said:
                if begin <= s.at < end:
                    self._text(s, rows, rollups, sources, lines, at)
            if seal_from < at + width <= seal_until:
                self._sealed(at, said, rows[t.SealedBucket])
        with self.store.write() as c:
            if not self.store.is_sqlite:
                c.execute(text("SET LOCAL synchronous_commit = off"))
            for table in (t.Document, t.Prediction, t.SeriesDocument, t.SealedBucket):
                insert_rows(c, self.store, table, rows[table])
            add = [(*k, *n) for k, n in sorted(rollups.items())]
            by_source = [(*k, *n) for k, n in sorted(sources.items())]
            if self.bulk:
                insert_rows(c, self.store, t.Rollup, add)
            else:
                add_up(c, self.store, t.Rollup, add)
            add_up(c, self.store, t.SourceRollup, by_source, greatest=("last_observed_at",))
            if self.bulk and not self.store.is_sqlite:
                raw = c.connection.driver_connection
                assert raw is not None
                with (
                    raw.cursor() as cursor,
                    cursor.copy("COPY search (observed_at, row_id, fingerprint, terms) FROM STDIN") as copy,
                ):
                    for line in lines:
                        copy.write_row(line)
            else:
                enqueue(c, self.store, [(r[0], r[1]) for r in rows[t.Document]])
        return len(rows[t.Document])

    def _text(self, s: Said, rows: Any, rollups: Any, sources: Any, lines: list[Any], bucket: int) -> None:
        scored = s.sentiment is not None
        rows[t.Document].append(
            (
                s.at,
                s.row,
                s.row,
                s.row,
                s.print,
                s.kind,
                s.source,
                s.lang,
                scored,
                False,
                0,
                s.text,
                s.title,
                f"https://news.example/{s.row % 10**9}.html" if s.kind == 1 else None,
                None,
                s.row % 50_000,
                s.at,
                orjson.dumps(s.symbols).decode() if s.symbols else None,
                f'{{"likes": {s.likes}, "reads": {31 * s.likes}}}' if s.kind == 2 else None,
                None,
                None if scored else "language",
                s.at,
            )
        )
        model = NO_MODEL if not scored else 1 if s.at < self.changed else 2
        partition = (s.row >> 40) & 0xFFF
        column = 4 if s.sentiment is None else 1 + s.sentiment
        if scored:
            ps = [(1 - s.p) / 2] * 3
            ps[s.sentiment or 0] = s.p
            topics = orjson.dumps(dict.fromkeys(s.topics, 0.9)).decode()
            rows[t.Prediction].append((s.at, s.row, model, s.sentiment, *ps, topics))
            rows[t.SeriesDocument] += [(i, s.at, s.row, s.kind, s.sentiment, ps[0], s.print, False) for i in s.series]
        for series in (1, *s.series):
            counts = rollups.setdefault((bucket, series, s.kind, 1, partition, model), [0, 0, 0, 0, 0, 0])
            counts[0] += 1
            counts[column] += 1
        if s.source is not None:
            entry = sources.setdefault((s.source, s.at - s.at % HOUR, 1, partition), [0, 0])
            entry[0] += 1
            entry[1] = max(entry[1], s.at)
        if self.bulk and not self.store.is_sqlite:
            ids = self.stream.ids
            found = marks(s.kind, s.lang, s.source, 0, s.sentiment, [ids[f"topic:{x}"] for x in s.topics])
            lines.append((s.at, s.row, s.print, tsvector(indexed(s.title, s.text), found)))

    def _sealed(self, start: int, said: Sequence[Said], rows: list[tuple[Any, ...]]) -> None:
        counts: Counter[tuple[int, int, int]] = Counter()
        prints: dict[tuple[int, int], set[int]] = defaultdict(set)
        negatives: dict[tuple[int, int], set[int]] = defaultdict(set)
        for s in said:
            feeling = 3 if s.sentiment is None else s.sentiment
            for series in (1, *s.series):
                counts[series, s.kind, feeling] += 1
                if feeling < 3:
                    prints[series, s.kind].add(s.print)
                if feeling == 0:
                    negatives[series, s.kind].add(s.print)
        mean = self.stream.mean(start)
        model = 1 if start < self.changed else 2
        for series in range(1, len(self.stream.names) + 1):
            for kind in (1, 2):
                bad, plain, good, none = (counts[series, kind, f] for f in range(4))
                total = bad + plain + good + none
                share, negative = self.usual[series, kind]
                usual, expected = mean * share, mean * negative
                judged = series > 1 and start - self.since > DAY
                spread = 2 * math.sqrt(expected + 0.3)
                z = (bad - expected) / math.sqrt(expected + 1)
                rows.append(
                    (
                        series,
                        kind,
                        start,
                        start + self.stream.bucket_ms,
                        total,
                        bad,
                        plain,
                        good,
                        none,
                        len(prints[series, kind]),
                        len(negatives[series, kind]),
                        model if total else None,
                        round(max(0.0, z), 2) if series > 1 else None,
                        series > 1 and z > 4,
                        False,
                        usual if judged else None,
                        expected if judged else None,
                        max(0.0, expected - spread) if judged else None,
                        expected + spread if judged else None,
                        1,
                    )
                )


def usual(stream: Stream, since: int) -> dict[tuple[int, int], tuple[float, float]]:
    """What share of all texts each series and kind has, and what share its negatives: counted over two weeks' every
    twelfth bucket, as a detector would have learnt it."""
    seen: Counter[tuple[int, int]] = Counter()
    bad: Counter[tuple[int, int]] = Counter()
    n = 0.0
    for at in range(since, since + 14 * DAY, 12 * stream.bucket_ms):
        n += stream.mean(at)
        for s in stream.bucket(at):
            for series in (1, *s.series):
                seen[series, s.kind] += 1
                bad[series, s.kind] += s.sentiment == 0
    # A floor, since a quiet series may have had nothing.
    return {
        (i, kind): ((seen[i, kind] + 0.2) / n, (bad[i, kind] + 0.05) / n)
        for i in range(1, len(stream.names) + 1)
        for kind in (1, 2)
    }


class Kept:
    """How far a store is filled: a small file beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "filled.json"
        self.values: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def put(self, **values: Any) -> None:
        self.values |= values
        self.path.write_text(json.dumps(self.values))


def fill(settings: Settings, folder: Path, documents: int, days: int, processes: int) -> None:
    """Fill an empty store up to now, or bring one that this filled up to now. Shows how far it is."""
    store, kept = open_store(settings, migrate=True), Kept(folder)
    width = settings.bucket_ms
    now = time.time_ns() // 1_000_000
    if not kept.values:
        since = (now - days * DAY) // width * width
        kept.put(since=since, documents=documents, days=days, changed=now - MODEL_CHANGE)
        _names(store, settings, Stream(documents, days, width), since)
        kept.put(named=True)
    elif (kept.values["documents"], kept.values["days"]) != (documents, days):
        raise SystemExit(f"{folder} holds {kept.values['documents']:,} documents: use another --keep")
    since = kept.values["since"]
    Months(store).ensure(range(since, now + 8 * DAY, DAY))
    if "until" not in kept.values:
        until = now // width * width
        _in_bulk(settings, store, kept, since, until, processes)
    catch_up(store, settings, kept)
    if "alerts" not in kept.values:
        stream = Stream(documents, days, width)
        n = write_alerts(store, stream, kept.values["since"], kept.values["until"])
        print(f"{n:,} alerts", flush=True)
        kept.put(alerts=n)
    _index(store)
    if not store.is_sqlite:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
            c.execute(text("VACUUM ANALYZE" if "vacuumed" not in kept.values else "ANALYZE"))
    else:
        with store.engine.connect() as c:
            c.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    kept.put(vacuumed=True)
    store.close()


def _in_bulk(settings: Settings, store: Store, kept: Kept, since: int, until: int, processes: int) -> None:
    step = AT_ONCE * settings.bucket_ms
    stretches = [(a, min(a + step, until)) for a in range(since, until, step)]
    if not store.is_sqlite:
        with store.write() as c:
            found = {
                r[0]: r[1]
                for r in c.execute(text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'search'"))
                if r[0] in _INDEXES
            }
            if found:
                kept.put(indexes=found)
            for name in found:
                c.execute(text(f"DROP INDEX {name}"))
    processes = 1 if store.is_sqlite else processes
    context = multiprocessing.get_context("spawn")
    queue: Any = context.Queue()
    args = (settings.database_url, kept.values, queue)
    children: list[Any] = [
        context.Process(target=_some, args=(*args, stretches[k::processes])) for k in range(processes)
    ]
    for child in children:
        child.start()
    began, shown, n = time.perf_counter(), 0.0, 0
    for i in range(1, len(stretches) + 1):
        n += _next(queue, children)
        took = time.perf_counter() - began
        if took - shown > 20 or i == len(stretches):
            shown = took
            print(f"  {n:,} documents, {i / len(stretches):.0%}, {n / took:,.0f} a second", flush=True)
    for child in children:
        child.join()
        if child.exitcode:
            raise SystemExit(f"filling failed (exit code {child.exitcode})")
    if not store.is_sqlite:
        for name, definition in kept.values["indexes"].items():
            began = time.perf_counter()
            with store.write() as c:
                c.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
                c.execute(text("SET LOCAL max_parallel_maintenance_workers = 2"))
                c.execute(text(definition.replace(" ON ONLY ", " ON ")))
            print(f"  index {name}: {time.perf_counter() - began:,.0f} s", flush=True)
    with store.write() as c:
        values = {"log_id": 1, "sealed_until": until, "term": 1, "updated_at": until}
        c.execute(insert(t.SealingState).values(**values))
    kept.put(until=until, sealed=until)


def _next(queue: Any, children: list[Any]) -> int:
    while True:
        try:
            return int(queue.get(timeout=5))
        except Empty:
            if any(child.exitcode for child in children):
                raise SystemExit("filling failed") from None


def _some(url: str, values: dict[str, Any], queue: Any, stretches: list[tuple[int, int]]) -> None:
    from barometer.settings import load_settings

    settings = load_settings(database_url=url)
    store = Store(url)
    stream = Stream(values["documents"], values["days"], settings.bucket_ms)
    filler = Filler(store, stream, values["since"], values["changed"], bulk=True)
    for begin, end in stretches:
        queue.put(filler.write(begin, end, begin, end))
    store.close()


def catch_up(store: Store, settings: Settings, kept: Kept, filler: Filler | None = None) -> int:
    """Write what the stream has said since, seal what can be sealed, and let the machinery look alive; returns the
    number of new texts."""
    width, v = settings.bucket_ms, kept.values
    if filler is None:
        stream = Stream(v["documents"], v["days"], width)
        filler = Filler(store, stream, v["since"], v["changed"], bulk=False)
    n = 0
    while True:
        now = time.time_ns() // 1_000_000
        end = min(now, v["until"] + AT_ONCE * width)
        sealed = (end - settings.lateness_ms) // width * width
        n += filler.write(v["until"], end, v["sealed"], sealed)
        sealed = max(sealed, v["sealed"])
        with store.write() as c:
            c.execute(update(t.SealingState).values(sealed_until=sealed, updated_at=now))
        kept.put(until=end, sealed=sealed)
        if end >= now:
            break
    lease = leases.acquire(store, leases.LEADER, "bench", 86_400)
    assert lease is not None
    fold(store, settings, lease)
    _alive(store)
    return n


def _alive(store: Store) -> None:
    with store.write() as c:
        now = store.now_ms(c)
        c.execute(update(t.Process).values(seen_at=now))
        c.execute(
            update(t.Offset).values(
                progress_t=now, last_observed_at=now, updated_at=now, high_water=t.Offset.next_offset
            )
        )
        c.execute(update(t.Job).values(started_at=now - 900, finished_at=now - 850))


def _index(store: Store) -> None:
    lease = leases.acquire(store, leases.LEADER, "bench", 86_400)
    assert lease is not None
    began = time.perf_counter()
    n = index_waiting(store, lease, spend_seconds=86_400)
    if n:
        took = time.perf_counter() - began
        print(f"  indexed {n:,} in {took:,.0f} s", flush=True)


def _names(store: Store, settings: Settings, stream: Stream, since: int) -> None:
    with store.read() as c:
        if c.execute(select(func.count()).select_from(t.Document)).scalar_one():
            raise SystemExit("the store is not empty, and was not filled by this bench")
    with store.write() as c:

        def add(table: Any, rows: list[dict[str, Any]]) -> None:
            c.execute(insert(table), rows)

        add(
            t.Log,
            [
                {
                    "id": 1,
                    "cluster_id": "bench",
                    "topic": settings.topic_documents,
                    "partitions": PARTITIONS,
                    "current": True,
                    "created_at": since,
                }
            ],
        )
        add(
            t.ModelVersion,
            [
                {
                    "id": i,
                    "name": name,
                    "precision": "int8",
                    "topics": list(TOPICS),
                    "metrics": {},
                    "state": "champion" if i == 2 else "retired",
                    "created_at": since,
                }
                for i, name in _MODELS
            ],
        )
        add(
            t.Series,
            [
                {"id": i, "name": name, "judged": name != "all", "trial": name == "topic:fx_crypto"}
                for name, i in stream.ids.items()
            ],
        )
        add(
            t.Source,
            [{"id": i, "name": n, "created_at": since, "muted": False} for i, n in enumerate(stream.sources, 1)],
        )
        each = {
            "records": 420_000,
            "documents": 419_000,
            "repeats": 300,
            "dead_letters": 30,
            "tombstones": 0,
            "progress_records": 670,
            "late": 12,
        }
        add(
            t.Offset,
            [
                {
                    "log_id": 1,
                    "partition": p,
                    "next_offset": 420_000,
                    "progress_t": since,
                    "progress_term": 1,
                    "progress_writer": "bench",
                    "last_observed_at": since,
                    "high_water": 420_000,
                    "updated_at": since,
                    **each,
                }
                for p in range(PARTITIONS)
            ],
        )
        add(
            t.Process,
            [
                {
                    "id": f"{role}-{i}",
                    "role": role,
                    "host": "bench",
                    "pid": 100 + i,
                    "started_at": since,
                    "seen_at": since,
                    "state": "running",
                    "info": {"documents_per_second": 1.5} if role == "worker" else {},
                }
                for i, role in enumerate(("worker", "worker", "monitor", "dashboard"))
            ],
        )
        jobs = ("seal", "fold", "index", "notify", "retention", "dead-letter-relay")
        add(t.Job, [{"name": n, "started_at": since, "finished_at": since, "ok": True, "message": None} for n in jobs])
        add(
            t.DeadLetter,
            [
                {
                    "row_id": (1 << 52) + i,
                    "record_timestamp": since + i * MINUTE,
                    "reason": "broken_json",
                    "detail": "unexpected end of data",
                    "headers": [],
                    "value": b'{"text": ' * 40,
                    "value_length": 360,
                    "value_sha256": b"0" * 32,
                    "stored_at": since,
                    "replays": 0,
                }
                for i in range(360)
            ],
        )
    for i in range(USERS):
        role = ("viewer", "analyst", "analyst", "admin")[i % 4]
        add_user(store, f"user-{i}", PASSWORD, role, actor="bench")


def url_of(folder: Path) -> str:
    """Of the SQLite store in a folder."""
    return f"sqlite:///{folder / 'bench.db'}"


def cores() -> int:
    return len(os.sched_getaffinity(0))
