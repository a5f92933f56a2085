"""Rebalances of every cause, with busy and with idle workers, on one Apache Kafka with rights, and PostgreSQL.

    python -m bench.rebalances                       # 300: about 25 minutes on 2 cores
    python -m bench.rebalances --count 32 --seed 7
    python -m bench.rebalances --only "rights late" --count 20

Every life is a topic, a group and a store of its own, with one to four members (the product's worker, each in a
process; the scorer alone costs nothing, or is slower than the stream, so that a batch is always held). A rebalance is
survived if every partition is read to its end (rows against what was produced, a record sent afterwards included) and
the members say so, within a session and 15 s (and the time that scoring takes) after the cause is over; later, while
something is still being read, is late, which a busy machine may be; else it is stuck. Exit code 1 if one is stuck.
Needs Apache Kafka (BAROMETER_KAFKA_HOME, or ../shared/kafka), Java, and PostgreSQL's programs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from kafka import KafkaProducer
from rich.console import Console
from rich.table import Table

from barometer.errors import BarometerError
from barometer.settings import load_settings
from barometer.store.migrate import open_store
from bench.kills.nursery import nursery
from bench.kills.servers import Postgres, own_postgres
from bench.rebalances.causes import LOCKED, OPENERS, TURNS, Trial, first_needed, possible, try_out
from bench.rebalances.life import Life, Stopped, World
from ingest.local_broker.apache_kafka import ApacheKafka

LANES = 3
"""Lives at a time: most of a rebalance is waiting for a session to end."""
console = Console(width=130)


@dataclass(frozen=True)
class Course:
    """What one life is to go through. ``opener``: None: its topic and a member are there, and that is not counted."""

    number: int
    busy: bool
    opener: str | None
    turns: tuple[str, ...]


Cell = tuple[str, bool]
"""(cause, whether members are busy)."""


def courses(cells: Sequence[Cell], wanted: int, chance: random.Random) -> list[Course]:
    """Lives that together have so many trials, shared evenly among the cells."""
    cells = chance.sample(cells, len(cells))
    numbers = count(1)
    out = []
    for busy in (True, False):
        deck = [c for i, (c, b) in enumerate(cells) if b == busy for _ in range((wanted + i) // len(cells))]
        openers: list[str | None] = [c for c in deck if c in OPENERS]
        turns = [c for c in deck if c in TURNS]
        chance.shuffle(openers)
        chance.shuffle(turns)
        openers += [None] * (-(-len(turns) // 4) - len(openers))
        for i, opener in enumerate(openers):
            out.append(Course(next(numbers), busy, opener, tuple(turns[i :: len(openers)])))
    chance.shuffle(out)
    return out


class Campaign:
    """Goes through courses and keeps what came of them."""

    def __init__(self, world: World, seed: int, total: int, keep: Path) -> None:
        self._world, self._seed, self._total, self._keep = world, seed, total, keep
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.trials: list[Trial] = []

    def live(self, course: Course) -> None:
        if self._world.stop.is_set():
            return
        chance = random.Random(f"{self._seed} {course.number}")
        name = f"{self._seed}-{course.number}-{chance.randrange(1 << 24):06x}"
        locked = course.opener in LOCKED
        life = Life(self._world, name, chance, busy=course.busy, locked=locked)
        try:
            if course.opener is None:
                life.make_topic()
                life.come()
            todo = [*([course.opener] if course.opener else []), *course.turns]
            while todo:
                cause = todo[0] if todo[0] in OPENERS else first_needed(life, todo[0]) or todo[0]
                if cause == todo[0]:
                    todo.pop(0)
                if not possible(life, cause):
                    life = self._anew(life, course, len(todo))
                if self._survived(life, cause):
                    continue
                if not todo:
                    return
                life = self._anew(life, course, len(todo))
        except Stopped:
            return
        finally:
            life.end()

    def _anew(self, life: Life, course: Course, left: int) -> Life:
        """Another life for what is left to be tried: this one is stuck, or its topic has all partitions."""
        life.end()
        chance = random.Random(f"{self._seed} {course.number} {left}")
        name = f"{self._seed}-{course.number}-{left}-{chance.randrange(1 << 24):06x}"
        fresh = Life(self._world, name, chance, busy=course.busy, locked=False)
        fresh.make_topic()
        fresh.come()
        return fresh

    def _survived(self, life: Life, cause: str) -> bool:
        trial = try_out(life, cause)
        with self._lock:
            self.trials.append(trial)
            done, spent = len(self.trials), time.monotonic() - self._began
        how = "busy" if trial.busy else "idle"
        line = f"{done}/{self._total} {spent:5.0f} s  {cause}, {how}: "
        if not trial.wrong:
            console.print(f"{line}{trial.seconds:.1f} s", markup=False, highlight=False)
            return True
        kept = self._keep / life.log.name
        kept.write_text("\n".join([cause, *trial.wrong, *life.said(), ""]))
        console.print(f"{line}STUCK", *trial.wrong, f"see {kept}", sep="\n  ", markup=False, highlight=False)
        return False


@contextmanager
def world(kafka: ApacheKafka, postgres: Postgres) -> Iterator[World]:
    """Who may do all on the servers, a store to copy, and where members are born."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="barometer-rebalances-")))
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all", linger_ms=5, metadata_max_age_ms=500)
        stack.callback(producer.close, timeout=5)
        admin = kafka.admin()
        stack.callback(admin.close)
        template = postgres.database()
        open_store(load_settings(database_url=template), migrate=True).close()
        yield World(kafka, postgres, template, folder, nursery("bench.rebalances.member"), producer, admin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="rebalances in all")
    parser.add_argument("--only", default="", help="causes that hold this text")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=LANES, help="lives at a time")
    parser.add_argument("--out", type=Path, help="write every trial here as JSON")
    given = parser.parse_args()
    causes = [c for c in (*OPENERS, *TURNS) if given.only in c]
    if not causes:
        sys.exit(f"no cause holds {given.only!r}; there are: {', '.join((*OPENERS, *TURNS))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are ended by leaving their contexts
    cells = [(cause, busy) for cause in causes for busy in (True, False)]
    todo = courses(cells, given.count, random.Random(given.seed))
    began = time.monotonic()
    try:
        with ApacheKafka(secure=True) as kafka, own_postgres() as postgres, world(kafka, postgres) as w:
            trials, whole = run(w, todo, given.seed, given.lanes, given.count)
    except BarometerError as e:
        sys.exit(str(e))
    report(trials, time.monotonic() - began)
    if given.out:
        given.out.write_text(json.dumps([asdict(x) for x in trials], ensure_ascii=False, indent=1))
    sys.exit(130 if not whole else 1 if any(x.wrong for x in trials) else 0)


def run(w: World, todo: Sequence[Course], seed: int, lanes: int, total: int) -> tuple[list[Trial], bool]:
    """All courses, so many at a time; Ctrl-C ends them. Returns the trials, and whether all were made."""
    keep = Path(tempfile.mkdtemp(prefix="barometer-rebalances-stuck-"))
    campaign = Campaign(w, seed, total, keep)
    whole = True
    with ThreadPoolExecutor(lanes) as pool:
        lives = [pool.submit(campaign.live, c) for c in todo]
        try:
            for life in lives:
                life.result()
        except KeyboardInterrupt:
            console.print("ending ...")
            whole = False
        finally:
            w.stop.set()
    if not any(keep.iterdir()):
        shutil.rmtree(keep)
    return campaign.trials, whole


def report(trials: Sequence[Trial], seconds: float) -> None:
    table = Table(title=f"{len(trials)} rebalances, {sum(bool(x.wrong) for x in trials)} stuck")
    for name in ("cause", "members", "number", "stuck", "late", "s until all read: p50", "p95", "max"):
        table.add_column(name, justify="left" if name in ("cause", "members") else "right")
    for cause in (*OPENERS, *TURNS):
        for busy in (True, False):
            cell = [x for x in trials if x.cause == cause and x.busy == busy]
            if not cell:
                continue
            well = sorted(x.seconds for x in cell if not x.wrong)
            figures = [f"{x:.1f}" for x in spread(well)] if well else ["", "", ""]
            counts = len(cell), len(cell) - len(well), sum(x.late and not x.wrong for x in cell)
            table.add_row(cause, "busy" if busy else "idle", *map(str, counts), *figures)
    console.print(table)
    console.print(f"{seconds:.0f} s in all")


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 95th percentile (the least value that 95 % do not pass), maximum of sorted values."""
    return statistics.median(values), values[max(0, -(-len(values) * 95 // 100) - 1)], values[-1]


if __name__ == "__main__":
    main()
