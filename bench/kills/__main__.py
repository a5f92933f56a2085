"""Kill everything, in turn and at random, and compare what is left with an undisturbed run of the same log.

    python -m bench.kills                         # all, at least 25 kills a line: some 40 minutes
    python -m bench.kills --quick                 # 3 kills a line
    python -m bench.kills --only "between send" --kills 50 --seed 7
    python -m bench.kills --out kills.json

Real processes: workers and monitors as the product starts them (the model alone is one that costs nothing),
PostgreSQL, and Tansu with its log in an object store. What was killed is started again, as an init system would.
Needs PostgreSQL's programs (or --no-postgres) and ``pip install 'moto[server]'``.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.kills.aged import killed_upgrade
from bench.kills.campaign import LINES, Line
from bench.kills.rows import differences
from bench.kills.runs import Outcome, Stage, run, stage, undisturbed
from bench.kills.servers import broker_and_database
from bench.kills.texts import Shape

MOST_RUNS = 20
"""A line that has not got its kills after so many runs has found a point that nobody passes."""

console = Console(width=150)


@dataclass
class Total:
    """What the runs of one line came to."""

    database: str
    victim: str
    point: str
    runs: int = 0
    kills: int = 0
    restarts: int = 0
    rows: int = 0
    sent_again: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="at least so many a line")
    parser.add_argument("--quick", action="store_true", help="3 kills a line")
    parser.add_argument("--only", default="", help="lines that hold this text, as in 'postgresql / worker / before'")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace", type=float, default=0.04, help="seconds that a batch is scored for")
    parser.add_argument("--no-postgres", action="store_true")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    given = parser.parse_args()
    lines = [x for x in LINES if given.only in x.title and not (given.no_postgres and x.database == "postgresql")]
    if not lines:
        sys.exit(f"no line holds {given.only!r}; there are:\n  " + "\n  ".join(x.title for x in LINES))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are ended by leaving their contexts
    wanted = 3 if given.quick else given.kills
    began = time.monotonic()
    with ExitStack() as stack:
        broker, postgres, folder = stack.enter_context(broker_and_database(not given.no_postgres))
        made = stack.enter_context(stage(broker, postgres, folder, shape=Shape(), seed=given.seed, pace=given.pace))
        want = _references(made, {x.database for x in lines})
        totals = [_line(made, x, want[x.database], wanted, given.seed) for x in lines]
    _report(totals, time.monotonic() - began, made)
    if given.out:
        given.out.write_text(json.dumps([asdict(t) for t in totals], ensure_ascii=False, indent=1))
    sys.exit(1 if any(t.wrong for t in totals) else 0)


def say(line: str, wrong: list[str]) -> None:
    console.print(line, *wrong, sep="\n  ", markup=False, highlight=False)


def _references(made: Stage, databases: set[str]) -> dict[str, Outcome]:
    """The undisturbed run on each database; on PostgreSQL again with three workers, which must agree."""
    want: dict[str, Outcome] = {}
    for database in sorted(databases):
        quiet = undisturbed(made, sqlite=database == "sqlite")
        console.print(
            f"{database}, undisturbed: {quiet.rows:,} rows in {quiet.seconds:.1f} s", *quiet.wrong, sep="\n  "
        )
        if quiet.wrong:
            sys.exit(1)
        want[database] = quiet
    if "postgresql" in want:
        three = run(made, (), "undisturbed", want=want["postgresql"].stored)
        say(f"postgresql, undisturbed, 3 workers: {three.seconds:.1f} s", three.wrong)
        if three.wrong:
            sys.exit(1)
    if len(want) == 2:
        apart = differences(want["sqlite"].stored, want["postgresql"].stored)
        say("the two databases agree" if not apart else "the two databases differ:", apart)
    return want


def _line(made: Stage, line: Line, want: Outcome, wanted: int, seed: int) -> Total:
    """Runs until the line has its kills."""
    total = Total(line.database, line.victim, line.point)
    while total.kills < wanted and total.runs < MOST_RUNS and not total.wrong:
        killings = line.killings(min(wanted - total.kills, line.a_run))
        name, sqlite = f"{seed} {line.title} {total.runs}", line.database == "sqlite"
        if line.aged:
            out = killed_upgrade(made, want.url, killings, name, sqlite=sqlite)
        else:
            out = run(made, killings, name, sqlite=sqlite, want=want.stored, migrated=not line.migrates)
        total.runs += 1
        total.kills += len(out.kills)
        total.restarts += out.restarts
        total.rows += out.rows
        total.sent_again += out.repeats_sent
        total.seconds += out.seconds
        total.wrong += out.wrong
        say(f"{line.title}: run {total.runs}, {len(out.kills)} kills, {out.seconds:.0f} s", out.wrong)
    if total.kills < wanted and not total.wrong:
        total.wrong.append(f"only {total.kills} kills in {total.runs} runs")
    return total


def _report(totals: list[Total], seconds: float, made: Stage) -> None:
    table = Table(title=f"{sum(t.kills for t in totals)} kills, {made.filled.records:,} records a run")
    for name in (
        "database",
        "victim",
        "where",
        "runs",
        "killed",
        "restarts",
        "rows compared",
        "sent again",
        "s",
        "verdict",
    ):
        table.add_column(name, justify="left" if name in ("database", "victim", "where", "verdict") else "right")
    for t in totals:
        verdict = "FAILED" if t.wrong else "same rows"
        figures = (t.runs, t.kills, t.restarts, f"{t.rows:,}", t.sent_again, f"{t.seconds:.0f}")
        table.add_row(t.database, t.victim, t.point, *map(str, figures), verdict)
    console.print(table)
    console.print(f"{seconds:.0f} s in all")


if __name__ == "__main__":
    main()
