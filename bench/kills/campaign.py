"""The lines of the table: who is killed where."""

from __future__ import annotations

from dataclasses import dataclass

from bench.kills.actors import Killing
from bench.kills.points import Target

REBALANCE = ("at a rebalance", "after a rebalance", "partitions revoked")
SEEK = ("before seeking", "during a seek", "after seeking")
SEALING = ("while sealing", "before sealing's commit", "after sealing's commit")
OUTBOX = ("notification claimed", "notification marked")
MIGRATION = ("during a migration", "before the migration's commit")
KEPT = ("in the migration of kept rows", "before the migration's commit")
SERVERS = ("postmaster", "backend", "broker")
COMMIT = ("in the transaction", "before the commit", "after the commit")


@dataclass(frozen=True, slots=True)
class Line:
    """``whose`` process passes the points; ``target``: who dies there, itself or a server."""

    database: str
    victim: str
    point: str
    points: tuple[str, ...] = ()
    whose: str = ""
    target: Target = "self"
    a_run: int = 9
    delay: float = 0.0
    migrates: bool = False
    """It begins with an empty store; ``aged``: with a full one of the oldest revision, and there is no stream."""
    aged: bool = False

    @property
    def title(self) -> str:
        return f"{self.database} / {self.victim} / {self.point}"

    def killings(self, kills: int) -> tuple[Killing, ...]:
        if self.victim == "all":
            return everything(kills)
        whose = (self.whose or self.victim).split(" or ")
        return tuple(Killing(w, self.points, self.target, kills, self.delay) for w in whose)


def everything(kills: int, servers: bool = True) -> tuple[Killing, ...]:
    """All victims in one run, at all points and at random; so many kills of the roles, a few of the servers."""
    some = max(1, kills // 6)
    roles = (
        Killing("worker", (*COMMIT, *SEEK, *REBALANCE), kills=max(1, kills // 3)),
        Killing("leader", (*SEALING, "between send and mark"), kills=max(1, kills // 3)),
    )
    return roles + tuple(Killing(v, kills=some, pause=(2.0, 4.0)) for v in SERVERS if servers)


def _named(victim: str, point: str, *points: str, database: str = "postgresql", **more: object) -> Line:
    return Line(database, victim, point, points or (point,), **more)  # type: ignore[arg-type]


def _server(victim: Target, whose: str, point: str, *points: str, delay: float = 0.004) -> Line:
    """A server dies while a role is at a point, up to a few milliseconds later: some commits get through unanswered."""
    return Line("postgresql", victim, point, points, whose, victim, 7, delay)


LINES: tuple[Line, ...] = (
    _named("worker", "in the transaction"),
    _named("worker", "before the commit"),
    _named("worker", "after the commit"),
    _named("worker", "during a rebalance", *REBALANCE),
    _named("worker", "during a seek", *SEEK),
    Line("postgresql", "worker", "at random"),
    _named("leader", "during sealing", *SEALING),
    _named("leader", "between send and mark"),
    _named("leader", "notification claimed, or just marked", *OUTBOX),
    _named("leader", "while dead letters are relayed", "dead letters relayed", a_run=5),
    Line("postgresql", "leader", "at random"),
    _server("backend", "worker", "the worker's transaction", "in the transaction", "before the commit"),
    _server("backend", "leader", "the sealing's transaction", "while sealing", "before sealing's commit"),
    _server("backend", "leader", "between send and mark", "notification marked"),
    Line("postgresql", "backend", "at random", a_run=7),
    _server("postmaster", "worker", "the worker's commit", *COMMIT),
    _server("postmaster", "leader", "during sealing", *SEALING),
    _server("postmaster", "leader", "between send and mark", "between send and mark"),
    Line("postgresql", "postmaster", "at random", a_run=7),
    _server("broker", "worker", "around the worker's commit", "records polled", *COMMIT),
    _server("broker", "worker", "during a rebalance or a seek", *REBALANCE, *SEEK),
    _server("broker", "leader", "while dead letters are relayed", "dead letters relayed"),
    Line("postgresql", "broker", "at random", a_run=7),
    Line("postgresql", "all", "at named points and at random", a_run=12),
    Line("postgresql", "upgrade", "of an empty store", MIGRATION, a_run=7, migrates=True),
    Line("postgresql", "backend", "upgrade of an empty store", MIGRATION, "upgrade", "backend", 5, migrates=True),
    Line("postgresql", "upgrade", "of kept rows", KEPT, a_run=7, aged=True),
    Line("postgresql", "backend", "upgrade of kept rows", KEPT, "upgrade", "backend", 5, aged=True),
    Line("postgresql", "postmaster", "upgrade of kept rows", KEPT, "upgrade", "postmaster", 5, aged=True),
    _named("worker", "at its commits", *COMMIT, database="sqlite"),
    Line("sqlite", "worker", "at random"),
    Line("sqlite", "worker or leader", "upgrade of an empty store", MIGRATION, a_run=5, migrates=True),
    Line("sqlite", "upgrade", "of kept rows", KEPT, a_run=7, aged=True),
    _named("leader", "during sealing", *SEALING, database="sqlite"),
    _named("leader", "between send and mark", database="sqlite"),
    Line("sqlite", "leader", "at random"),
)
