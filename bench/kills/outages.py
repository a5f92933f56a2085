"""What is done to three brokers, one outage after another."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from barometer.errors import BarometerError
from bench.kills.cluster import Cluster

AWAY_SECONDS = (1.0, 10.0)
"""Shorter and longer than the session after which the controller gives a broker's partitions to others."""
PAUSE_SECONDS = (3.0, 6.0)
"""Between an outage's end (all replicas in sync again) and the next: clients have come back by then."""


@dataclass(frozen=True)
class Place:
    """Where it happens: whose partitions, which group."""

    cluster: Cluster
    topic: str
    group: str
    partitions: int
    chance: random.Random

    def find(self, role: str) -> int:
        """The broker that has this role now."""
        if role == "leader":
            return self.cluster.leader(self.topic, self.chance.randrange(self.partitions))
        if role == "coordinator":
            return self.cluster.coordinator(self.group)
        return self.cluster.controller()

    def away(self, most: float = 1.0) -> None:
        time.sleep(self.chance.uniform(*AWAY_SECONDS) * most)


def killed(p: Place, node: int) -> None:
    p.cluster.kill(node)
    p.away(0.7)
    p.cluster.bring_back(node)


def frozen(p: Place, node: int) -> None:
    p.cluster.freeze(node)
    p.away()
    p.cluster.thaw(node)


def black_hole(p: Place, node: int) -> None:
    p.cluster.swallow(node)
    p.away()
    p.cluster.mend(node)


def power_lost(p: Place, node: int) -> None:
    p.cluster.lose_power(node)
    p.away(0.7)
    p.cluster.bring_back(node)


def rolling(p: Place) -> None:
    """Each is stopped in order and started again, as for an upgrade: the next when all replicas are in sync."""
    for node in p.chance.sample(p.cluster.nodes, 3):
        p.cluster.terminate(node)
        p.cluster.bring_back(node)
        p.cluster.await_whole([p.topic])


def some_away(p: Place, count: int) -> None:
    nodes = p.chance.sample(p.cluster.nodes, count)
    for node in nodes:
        p.cluster.kill(node)
        time.sleep(p.chance.uniform(0, 0.5))
    p.away(0.6)
    p.cluster.bring_back(*nodes)


@dataclass(frozen=True)
class Line:
    """One row of the table. ``struck``: brokers that an outage of this kind strikes."""

    victim: str
    what: str
    do: Callable[[Place], None]
    struck: int = 1

    @property
    def title(self) -> str:
        return f"{self.victim} / {self.what}"

    @property
    def quorum(self) -> bool:
        """Whether two brokers are in sync all the time: then texts must go on becoming rows."""
        return self.what != "away"


def _one(role: str, name: str, what: str, do: Callable[[Place, int], None]) -> Line:
    return Line(name, what, lambda p: do(p, p.find(role)))


ROLES = (
    ("leader", "a partition's leader"),
    ("coordinator", "the group's coordinator"),
    ("controller", "the controller"),
)
WAYS = (("killed", killed), ("frozen", frozen), ("black hole", black_hole), ("power lost", power_lost))
LINES: tuple[Line, ...] = (
    *(_one(role, name, what, do) for role, name in ROLES for what, do in WAYS),
    Line("each in turn", "restarted", rolling, 3),
    Line("two of three", "away", lambda p: some_away(p, 2), 2),
    Line("all three", "away", lambda p: some_away(p, 3), 3),
)


def course(lines: tuple[Line, ...], struck: int, chance: random.Random) -> list[Line]:
    """Outages that together strike so many brokers: each line in turn, in an order of chance."""
    out: list[Line] = []
    left: list[Line] = []
    while sum(x.struck for x in out) < struck:
        if not left:
            left = chance.sample(lines, len(lines))
        out.append(left.pop())
    return out


@dataclass(frozen=True)
class Outage:
    """One that happened, in epoch milliseconds. ``whole``: when all replicas were in sync again."""

    line: Line
    began: int
    whole: int


@dataclass
class Outages(threading.Thread):
    """Makes one outage after another, in a thread of its own."""

    place: Place
    todo: list[Line]
    say: Callable[[str], None]
    done: list[Outage] = field(default_factory=list)
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        p = self.place
        try:
            p.cluster.await_whole([p.topic])
            for line in self.todo:
                if self.over.wait(p.chance.uniform(*PAUSE_SECONDS)):
                    return
                began = time.time_ns() // 1_000_000
                line.do(p)
                p.cluster.await_whole([p.topic])
                self.done.append(Outage(line, began, time.time_ns() // 1_000_000))
                self.say(f"{line.title}, {(self.done[-1].whole - began) / 1000:.1f} s")
        except Exception as e:  # told by whoever waits for us
            self.failure = e if isinstance(e, BarometerError) else BarometerError(f"{type(e).__name__}: {e}")
