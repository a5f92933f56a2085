"""The processes of a run, watched as an init system would: what dies is started again."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from barometer.settings import Settings
from bench.kills.nursery import nursery
from bench.kills.points import Plan, Target, passes
from bench.kills.servers import DurableBroker, Postgres

RESTART_SECONDS = (0.0, 0.4)
"""How long an init system takes to notice."""
_ROLE = {"leader": "monitor"}


@dataclass(slots=True)
class Actor:
    name: str
    role: str
    process: Any
    plan: Plan | None
    due: float | None = None
    """When it is to be started again; None while it lives."""


@dataclass
class Killing:
    """What is killed in a run, where, and how often.

    ``points``: taken in turn; none: at random instants. ``victim``: whose process has the point, or, at random, who is
    killed: worker, leader, backend, postmaster, broker.
    """

    victim: str
    points: tuple[str, ...] = ()
    target: Target = "self"
    kills: int = 9
    delay: float = 0.0
    pause: tuple[float, float] = (0.3, 1.6)
    """Seconds between two kills at random."""


@dataclass
class Company:
    """All that runs at a time, and the count of what was killed.

    Args:
        leader: says which process leads now; None: nobody, or the store does not answer.
    """

    settings: Settings
    folder: Path
    broker: DurableBroker | None
    """None: the brokers are somebody else's to kill."""
    postgres: Postgres | None
    killings: tuple[Killing, ...]
    chance: random.Random
    pace: float
    leader: Callable[[], int | None]
    journal: Path = field(init=False)
    actors: list[Actor] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    """The points of those that were struck while there was something left to do."""
    restarts: int = 0
    faults: list[str] = field(default_factory=list)
    """Roles that ended by themselves: nothing that happens here is a reason to."""
    _read: int = 0
    _armed: int = 0
    _struck: Counter[int] = field(default_factory=Counter)
    _next_strike: dict[int, float] = field(default_factory=dict)
    _server_due: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.journal = self.folder / "journal"
        self.journal.touch()
        self._context = nursery("bench.kills.roles")
        values = self.settings.model_dump(mode="json")
        values["author_salt"] = self.settings.author_salt.get_secret_value()
        self._values = {k: v for k, v in values.items() if v is not None}

    @property
    def log(self) -> Path:
        return self.folder / "roles.log"

    def start(self, role: str, copies: int = 1) -> None:
        for i in range(copies):
            actor = Actor(f"{role}-{i + 1}", role, None, None)
            self.actors.append(actor)
            self._spawn(actor)

    def stop(self) -> list[str]:
        """SIGTERM to all that live; says which did not end by it."""
        living = [a for a in self.actors if a.process.is_alive()]
        for a in living:
            a.process.terminate()
        deadline = time.monotonic() + 20
        stuck = []
        for a in living:
            a.process.join(max(0.1, deadline - time.monotonic()))
            if a.process.is_alive():
                stuck.append(f"{a.name} did not end on SIGTERM")
                a.process.kill()
                a.process.join()
        return stuck

    def kill_all(self) -> None:
        for a in self.actors:
            if a.process.is_alive():
                a.process.kill()
                a.process.join()

    def _spawn(self, actor: Actor) -> None:
        actor.plan = self._plan(actor.role)
        pids = {"broker": str(self.broker.pid_file)} if self.broker is not None else {}
        if self.postgres is not None:
            pids["postmaster"] = str(self.postgres.pid_file)
        from bench.kills.roles import run

        actor.process = self._context.Process(
            target=run,
            args=(
                actor.role,
                self._values,
                str(self.log),
                self.pace,
                actor.plan and actor.plan.json(),
                str(self.journal),
                pids,
                self.broker is None,
            ),
            daemon=True,
        )
        actor.process.start()
        actor.due = None

    def _plan(self, role: str) -> Plan | None:
        """What a new process of the role is to do, if anything: killings and their points take turns."""
        ours = [(i, k) for i, k in enumerate(self.killings) if k.points and _ROLE.get(k.victim, k.victim) == role]
        if not ours:
            return None
        self._armed += 1
        label, k = ours[self._armed % len(ours)]
        point = k.points[self._armed // len(ours) % len(k.points)]
        first, every = passes(point, self.chance)
        return Plan(point, k.target, first, every, k.delay, k.kills, self.chance.randrange(1 << 30), label)

    # --- one look ----------------------------------------------------------------------------------------------------

    def look(self, unfinished: bool) -> None:
        """Count what was killed, start it again, and kill at random where that is what this run does."""
        self._read_journal(unfinished)
        now = time.monotonic()
        for a in self.actors:
            if a.due is not None:
                if now >= a.due:
                    self.restarts += 1
                    self._spawn(a)
                continue
            if a.process.is_alive():
                continue
            code = a.process.exitcode
            if a.role == "upgrade" and code == 0:
                continue
            if code != -signal.SIGKILL and not self._may_end(a, code):
                self.faults.append(f"{a.name} ended by itself with code {code}")
            a.due = now + self.chance.uniform(*RESTART_SECONDS)
        self._servers(now)
        for i, k in enumerate(self.killings):
            if unfinished and not k.points:
                self._strike(i, k, now)

    def _read_journal(self, unfinished: bool) -> None:
        text = self.journal.read_text()
        for line in text[self._read :].splitlines():
            entry = json.loads(line)
            if unfinished:
                self.kills.append(entry["point"])
        self._read = len(text)

    def _may_end(self, actor: Actor, code: int) -> bool:
        """The upgrade is a command: without its database it says so and is run again. Roles wait."""
        return actor.role == "upgrade" and code == 1 and any(k.target != "self" for k in self.killings)

    def _servers(self, now: float) -> None:
        for name, server in (("broker", self.broker), ("postgres", self.postgres)):
            if server is None or server.alive:
                continue
            due = self._server_due.setdefault(name, now + self.chance.uniform(0.0, 1.5))
            if now >= due:
                server.start()
                self.restarts += 1
                del self._server_due[name]

    def _strike(self, i: int, k: Killing, now: float) -> None:
        due = self._next_strike.setdefault(i, now + self.chance.uniform(0.2, 2.0))
        if now < due or self._struck[i] >= k.kills:
            return
        self._next_strike[i] = now + self.chance.uniform(*k.pause)
        if self._kill(k.victim):
            self._struck[i] += 1
            self.kills.append(f"{k.victim} at random")

    def _kill(self, victim: str) -> bool:
        if victim == "broker":
            assert self.broker is not None
            alive = self.broker.alive
            self.broker.kill()
            return alive
        if victim in ("postmaster", "backend"):
            return self._kill_postgres(victim)
        living = [
            a for a in self.actors if a.role == _ROLE.get(victim, victim) and a.due is None and a.process.is_alive()
        ]
        if victim == "leader":
            living = [a for a in living if a.process.pid == self.leader()]
        if not living:
            return False
        self.chance.choice(living).process.kill()
        return True

    def _kill_postgres(self, victim: str) -> bool:
        assert self.postgres is not None
        if not self.postgres.alive:
            return False
        if victim == "postmaster":
            self.postgres.kill()
            return True
        try:
            backends = self.postgres.backends()
            if backends:
                os.kill(self.chance.choice(backends), signal.SIGKILL)
            return bool(backends)
        except (psycopg.Error, ProcessLookupError):
            return False
