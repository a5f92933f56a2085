"""Named points in the product's own functions, and a hook that kills there.

The product knows nothing of this: the launcher (:mod:`bench.kills.roles`) wraps the functions in its own process
before it runs the role. A point is a function and a moment: when it is entered or left, before one of its statements
goes to the database, just before a COMMIT of its, just after one.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, event

from barometer.store.engine import Store

Target = Literal["self", "backend", "postmaster", "broker"]
Moment = Literal["enter", "leave", "statement", "commit", "committed"]


@dataclass(frozen=True, slots=True)
class Point:
    """Where in which function."""

    function: str
    """``module:name`` or ``module:Class.name``."""
    moment: Moment
    passes: tuple[int, int]
    """The first kill is at a pass between these two; drawn anew for each process."""


POINTS: dict[str, Point] = {
    # the worker
    "in the transaction": Point("barometer.store.stream.writer:Writer.commit", "statement", (1, 60)),
    "before the commit": Point("barometer.store.stream.writer:Writer.commit", "commit", (1, 6)),
    "after the commit": Point("barometer.store.stream.writer:Writer.commit", "committed", (1, 6)),
    "at a rebalance": Point("ingest.worker.positions:Positions.on_partitions_assigned", "enter", (1, 2)),
    "after a rebalance": Point("ingest.worker.positions:Positions.on_partitions_assigned", "leave", (1, 2)),
    "partitions revoked": Point("ingest.worker.positions:Positions.on_partitions_revoked", "leave", (1, 1)),
    "before seeking": Point("ingest.worker.positions:Positions.place", "enter", (1, 2)),
    "during a seek": Point("kafka:KafkaConsumer.seek", "leave", (1, 8)),
    "after seeking": Point("ingest.worker.positions:Positions.place", "leave", (1, 2)),
    "records polled": Point("kafka:KafkaConsumer.poll", "leave", (5, 40)),
    # the leader
    "while sealing": Point("monitor.sealing.seal:Sealer.seal_ready", "statement", (1, 120)),
    "before sealing's commit": Point("monitor.sealing.seal:Sealer.seal_ready", "commit", (1, 12)),
    "after sealing's commit": Point("monitor.sealing.seal:Sealer.seal_ready", "committed", (1, 12)),
    "notification claimed": Point("monitor.leader:send_due", "committed", (1, 3)),
    "between send and mark": Point("monitor.notify.channels.webhook.sender:Webhook.send", "leave", (1, 4)),
    "notification marked": Point("monitor.leader:send_due", "commit", (2, 6)),
    "dead letters relayed": Point("ingest.dead_letters.replay:Sender.send", "leave", (1, 25)),
    # the upgrade of the schema
    "during a migration": Point("barometer.store.migrate:upgrade", "statement", (1, 90)),
    "in the migration of kept rows": Point("barometer.store.migrate:upgrade", "statement", (1, 20)),
    "before the migration's commit": Point("barometer.store.migrate:upgrade", "commit", (1, 1)),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process is to do to itself, or to the server it talks to.

    ``first`` and ``every``: at which pass of the point, and after how many more again (a server is killed more than
    once, a process but once). ``delay``: seconds at most between the pass and the kill, drawn from ``seed``. ``most``:
    kills by plans of this ``label`` in the whole run, after which nothing is struck any more.
    """

    point: str
    target: Target
    first: int
    every: int
    delay: float
    most: int
    seed: int
    label: int

    def json(self) -> dict[str, Any]:
        return asdict(self)


def passes(point: str, chance: random.Random) -> tuple[int, int]:
    """The first pass to strike at, and how many more until the next."""
    low, high = POINTS[point].passes
    return chance.randint(low, high), max(4, high)


_here = threading.local()
"""``inside``: whether this thread is in the point's function."""


def install(plan: Plan, journal: Path, pids: dict[str, Path]) -> None:
    """Wrap the plan's function in this process.

    Args:
        journal: one JSON line is added for each kill, before it.
        pids: files with the process ids of ``postmaster`` and ``broker``.

    Raises:
        AttributeError: the product no longer has that function.
    """
    point = POINTS[plan.point]
    passes = _Passes(plan, journal, pids)
    module, _, path = point.function.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    original = getattr(owner, name)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if point.moment == "enter":
            passes.reached(None)
        before, _here.inside = getattr(_here, "inside", False), True
        try:
            out = original(*args, **kwargs)
        finally:
            _here.inside = before
        if point.moment == "leave":
            passes.reached(None)
        return out

    setattr(owner, name, watched)
    if point.moment == "statement":
        event.listen(Engine, "before_cursor_execute", lambda c, *_: passes.within(c))
    elif point.moment == "commit":
        event.listen(Engine, "commit", passes.within)
    elif point.moment == "committed":
        _after_commits(lambda: passes.within(None))


def _after_commits(reached: Callable[[], None]) -> None:
    original = Store.write

    @contextmanager
    def write(self: Store) -> Iterator[Connection]:
        with original(self) as c:
            yield c
        reached()

    Store.write = write  # type: ignore[method-assign]


class _Passes:
    """Counts passes of a point and kills when it is time."""

    def __init__(self, plan: Plan, journal: Path, pids: dict[str, Path]) -> None:
        self._plan, self._journal, self._pids = plan, journal, pids
        self._chance = random.Random(plan.seed)
        self._lock = threading.Lock()
        self._count, self._next = 0, plan.first

    def within(self, connection: Connection | None) -> None:
        if getattr(_here, "inside", False):
            self.reached(connection)

    def reached(self, connection: Connection | None) -> None:
        with self._lock:
            self._count += 1
            if self._count < self._next:
                return
            self._next = self._count + self._plan.every
        pid = self._victim(connection)
        if self._plan.delay:
            delay = self._chance.uniform(0, self._plan.delay)
            threading.Thread(target=self._strike, args=(pid, delay), daemon=True).start()
        else:
            self._strike(pid, 0.0)

    def _victim(self, connection: Connection | None) -> int:
        if self._plan.target == "self":
            return os.getpid()
        if self._plan.target == "backend":
            assert connection is not None, "only a moment of the database knows its backend"
            return int(connection.connection.driver_connection.info.backend_pid)  # type: ignore[union-attr]
        return int(self._pids[self._plan.target].read_text().split()[0])

    def _strike(self, pid: int, delay: float) -> None:
        time.sleep(delay)
        before = [json.loads(x) for x in self._journal.read_text().splitlines()]
        if sum(x["label"] == self._plan.label for x in before) >= self._plan.most or any(
            x["pid"] == pid for x in before
        ):
            return  # enough, or it is dead already
        line = {"label": self._plan.label, "point": self._plan.point, "target": self._plan.target, "pid": pid}
        with self._journal.open("a") as f:
            f.write(json.dumps(line) + "\n")
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # somebody was quicker
