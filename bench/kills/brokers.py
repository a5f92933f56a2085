"""Kill, freeze and cut off the brokers of an Apache Kafka of three while texts are produced, stored and sealed.

    python -m bench.kills.brokers                       # 300 brokers struck: about 45 minutes on 2 cores
    python -m bench.kills.brokers --struck 20 --seed 7
    python -m bench.kills.brokers --only "black hole" --struck 10

Replication 3, min.insync.replicas 2; three workers and two monitors of the product on PostgreSQL; the product's sender
produces at a steady pace. After every group of outages the log is recounted against what was sent, and the store is
compared row for row with an undisturbed run of the same log. Seconds from sending a text to its row are measured. With
two brokers in sync 99 of 100 texts must be rows within 10 s, and no partition may be without rows for longer than 15 s.
Exit code 1 if anything is not so. Needs Apache Kafka (BAROMETER_KAFKA_HOME, or ../shared/kafka), Java and PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from barometer.errors import BarometerError
from barometer.settings import Settings
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from bench.kills.actors import Company
from bench.kills.cluster import Cluster
from bench.kills.live import SHAPE, Delays, Producing, delays, present, recount
from bench.kills.outages import LINES, Line, Outages, Place, course
from bench.kills.outside import deliveries_wrong, relayed_wrong
from bench.kills.rows import Rows, differences, read_rows
from bench.kills.runs import LOOK_SECONDS, importing, keep_logs, run_settings, until_done
from bench.kills.servers import Postgres, own_postgres
from bench.kills.texts import Filled
from ingest.topic.topics import ensure_topics
from testing.post_box import PostBox, post_box

A_GROUP = 36
"""Brokers struck between two comparisons."""
RATE = 30.0
PACE = 0.02
RECEIVERS = 2
SESSION_MS = 6_000
PATIENCE_SECONDS = 180.0
MOST_P99_SECONDS = 10.0
MOST_WITHOUT_SECONDS = 15.0
console = Console(width=150)


@dataclass
class World:
    cluster: Cluster
    postgres: Postgres
    box: PostBox
    folder: Path
    template: str

    @contextmanager
    def company(self, topic: str, workers: int) -> Iterator[tuple[Settings, Store, Company]]:
        """The product's processes on an empty store; all gone at the end."""
        group = f"g-{uuid.uuid4().hex[:8]}"
        folder = Path(tempfile.mkdtemp(prefix=f"{group}-", dir=self.folder))
        url = self.postgres.database(self.template)
        settings = run_settings(
            self.cluster.bootstrap, topic, group, folder, url, self.box, SHAPE, RECEIVERS, SESSION_MS
        )
        ensure_topics(settings)
        store = Store(url)
        company = Company(settings, folder, None, None, (), random.Random(group), PACE, lambda: None)
        self.box.received.clear()
        importing(store, settings)
        try:
            company.start("worker", workers)
            company.start("monitor", 2)
            yield settings, store, company
        finally:
            company.kill_all()
            store.close()
            self.postgres.drop(url)


@dataclass
class Part:
    """One group of outages, and what came of it."""

    struck: int = 0
    records: int = 0
    rows: int = 0
    alerts: int = 0
    seconds: float = 0.0
    delays: dict[Line, Delays] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def world(cluster: Cluster, postgres: Postgres) -> Iterator[World]:
    """A store to copy, and whoever is told."""
    with tempfile.TemporaryDirectory(prefix="barometer-brokers-") as folder, post_box() as box:
        made = World(cluster, postgres, box, Path(folder), postgres.database())
        nobodys = run_settings(cluster.bootstrap, "none", "none", made.folder, made.template, box, SHAPE, 1)
        open_store(nobodys, migrate=True).close()
        yield made


def play(w: World, lines: Sequence[Line], seed: str, *, rate: float = RATE) -> Part:
    """Outages while texts are produced, the store afterwards, and an undisturbed run of the same log."""
    topic = f"documents-{uuid.uuid4().hex[:8]}"
    began = time.monotonic()
    part = Part(sum(x.struck for x in lines))
    with w.company(topic, 3) as (settings, store, company):
        place = Place(w.cluster, topic, settings.consumer_group, SHAPE.partitions, random.Random(seed))
        producing = Producing(settings, present(), random.Random(seed).randrange(1 << 30), rate)
        outages = Outages(place, list(lines), say)
        producing.start()
        _await_rows(store, company)
        outages.start()
        try:
            while outages.is_alive() and producing.is_alive():
                company.look(True)
                time.sleep(LOOK_SECONDS)
        finally:
            outages.over.set()
        if outages.failure is not None:
            raise outages.failure
        try:
            sealed = producing.finish()
        except BarometerError as e:
            part.wrong.append(f"not produced: {e}")
            return part
        log = recount(settings, producing.sent, producing.digests)
        filled = Filled(log.ends, sealed)
        part.records = filled.records
        wrong = until_done(filled, store, settings, company, time.monotonic() + PATIENCE_SECONDS)
        wrong += company.stop() + company.faults
        if not wrong:
            stored = read_rows(store)
            part.rows = sum(map(len, stored.values()))
            part.alerts = len(stored["alerts"])
            part.wrong += deliveries_wrong(store, Counter(r["headers"]["Idempotency-Key"] for r in w.box.received))
            part.wrong += relayed_wrong(settings, store)
            part.delays = delays(store, log.times, outages.done)
        part.wrong += log.wrong + wrong
        if part.wrong:
            part.wrong.append(f"logs are in {keep_logs(company.folder)}")
    if not wrong:
        want, wrong = _undisturbed(w, topic, filled)
        part.wrong += wrong or differences(stored, want)
    part.seconds = time.monotonic() - began
    return part


def _await_rows(store: Store, company: Company) -> None:
    """Before anything is lost all must be at work: rows come from every partition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        company.look(True)
        with store.read() as c:
            reading = c.execute(select(func.count()).where(t.Offset.records > 0)).scalar_one()
        if reading == SHAPE.partitions:
            return
        time.sleep(LOOK_SECONDS)
    raise BarometerError(f"nothing was read for {PATIENCE_SECONDS:.0f} s: {company.log.read_text()[-2_000:]}")


def _undisturbed(w: World, topic: str, filled: Filled) -> tuple[Rows, list[str]]:
    """The same log, read by one worker while nothing happens."""
    with w.company(topic, 1) as (settings, store, company):
        wrong = until_done(filled, store, settings, company, time.monotonic() + PATIENCE_SECONDS)
        wrong += company.stop() + company.faults
        return read_rows(store), [f"undisturbed: {x}" for x in wrong]


def say(line: str, *wrong: str) -> None:
    console.print(f"{time.strftime('%H:%M:%S')} {line}", *wrong, sep="\n  ", markup=False, highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--struck", type=int, default=300, help="brokers killed, frozen or cut off, in all")
    parser.add_argument("--only", default="", help="lines that hold this text, as in 'the controller / frozen'")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=RATE, help="records produced a second")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    given = parser.parse_args()
    lines = tuple(x for x in LINES if given.only in x.title)
    if not lines:
        sys.exit(f"no line holds {given.only!r}; there are:\n  " + "\n  ".join(x.title for x in LINES))
    _keep_client_log()
    for number in (signal.SIGINT, signal.SIGTERM):  # what was done is reported, servers end by leaving their contexts
        signal.signal(number, signal.default_int_handler)
    todo = course(lines, given.struck, random.Random(given.seed))
    parts: list[Part] = []
    began = time.monotonic()
    try:
        with Cluster() as cluster, own_postgres() as postgres, world(cluster, postgres) as w:
            while todo:
                some = [todo.pop(0)]
                while todo and sum(x.struck for x in some) < A_GROUP:
                    some.append(todo.pop(0))
                part = play(w, some, f"{given.seed} {len(parts)}", rate=given.rate)
                parts.append(part)
                struck = sum(x.struck for x in parts)
                told = f"{struck} of {given.struck} struck; {part.records:,} records, {part.rows:,} rows compared"
                say(f"{told}, {part.seconds:.0f} s: {'WRONG' if part.wrong else 'same rows'}", *part.wrong)
    except BarometerError as e:
        say(f"ended: {e}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("ended by a signal")
    by_line = summed(parts)
    report(parts, by_line, time.monotonic() - began)
    if given.out:
        figures = {k.title: vars(v) for k, v in by_line.items()}
        of_parts = [{**vars(x), "delays": None} for x in parts]
        given.out.write_text(json.dumps({"lines": figures, "parts": of_parts}, ensure_ascii=False, indent=1))
    sys.exit(1 if todo or any(x.wrong for x in parts) or slow(by_line) else 0)


def _keep_client_log() -> None:
    """What the producer's client says goes to a file: it matters if a record is lost or there twice."""
    handle, path = tempfile.mkstemp(prefix="barometer-brokers-client-", suffix=".log")
    os.close(handle)
    logger = logging.getLogger("kafka")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.FileHandler(path))
    logger.handlers[-1].setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logger.propagate = False
    say(f"the client's log is {path}")


def summed(parts: Sequence[Part]) -> dict[Line, Delays]:
    out: dict[Line, Delays] = defaultdict(Delays)
    for part in parts:
        for line, d in part.delays.items():
            out[line].add(d)
    return out


def slow(by_line: dict[Line, Delays]) -> list[str]:
    """Lines with a quorum whose texts took too long."""
    return [
        f"{line.title}: p99 {d.share(0.99):.1f} s, a partition without rows for {d.without:.1f} s"
        for line, d in by_line.items()
        if line.quorum and (d.share(0.99) >= MOST_P99_SECONDS or d.without > MOST_WITHOUT_SECONDS)
    ]


def report(parts: Sequence[Part], by_line: dict[Line, Delays], seconds: float) -> None:
    table = Table(title=f"{sum(x.struck for x in parts)} brokers struck, {sum(x.records for x in parts):,} records")
    for name in ("broker", "", "outages", "texts", "s to row: p50", "p99", "max", "partition without rows, s"):
        table.add_column(name, justify="left" if name in ("broker", "") else "right")
    whole = Delays()
    for line in LINES:
        if (d := by_line.get(line)) is None:
            continue
        if line.quorum:
            whole.add(d)
        table.add_row(line.victim, line.what, *_figures(d))
    table.add_section()
    table.add_row("all with two in sync", "", *_figures(whole))
    console.print(table)
    for told in slow(by_line):
        say(f"TOO SLOW {told}")
    wrong = [w for x in parts for w in x.wrong]
    say(f"{len(parts)} comparisons, {'row for row the same' if not wrong else 'WRONG'}; {seconds:.0f} s in all", *wrong)


def _figures(d: Delays) -> tuple[str, ...]:
    shares = (f"{d.share(x):.1f}" for x in (0.5, 0.99, 1.0))
    return str(d.outages), f"{len(d.to_row):,}", *shares, f"{d.without:.1f}"


if __name__ == "__main__":
    main()
