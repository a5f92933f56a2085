"""Kill the leader between send and mark, again and again: real monitors, a real HTTP receiver, SIGKILL.

    python -m bench.notify_kills                 50 kills on SQLite, some four minutes
    python -m bench.notify_kills --quick         5 kills
    python -m bench.notify_kills --database-url postgresql://...

Two ``barometer monitor`` processes run, one leads. Each round opens alerts; when the receiver has taken the first
message, the leader is killed before it hears so (or an instant after), or, every fifth time, frozen beyond its lease
and then woken. The round ends when the store says that all is sent. What must hold, and is counted: no
notification is lost; none is told more than once besides one repeat a kill; repeats have the same idempotency key; who
was frozen sends and writes nothing when it wakes.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from sqlalchemy import func, select

from barometer.settings import load_settings
from barometer.store import leases
from barometer.store.alerts.life_cycle import Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import Notification, NotificationAttempt
from monitor.notify.config import load_config
from monitor.notify.outbox.enqueue import enqueue
from testing.post_box import PostBox, post_box

LEASE_SECONDS = 2.0
FROZEN_SECONDS = 4 * LEASE_SECONDS
"""Long enough for somebody else to lead and to send."""
PATIENCE_SECONDS = 90.0
ALERTS = 3
"""Opened in each round; the kill falls when the first of them was taken."""


@dataclass
class Outcome:
    """What came of it; ``wrong`` is empty if all held."""

    kills: int = 0
    freezes: int = 0
    between: int = 0
    """Kills and freezes after which a message that had been taken was sent once more: they fell before the mark."""
    notifications: int = 0
    repeats: int = 0
    most: int = 0
    """How often the message that came most often came."""
    wrong: list[str] = field(default_factory=list)


class Monitors:
    """Two ``barometer monitor`` processes."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log = environment, log
        self.processes = [self._start(), self._start()]

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "app", "monitor"], env=self._environment, stdout=out, stderr=out
            )

    def replace_dead(self) -> None:
        self.processes = [p if p.poll() is None else self._start() for p in self.processes]

    def stop(self) -> None:
        for p in self.processes:
            if p.poll() is None:
                p.send_signal(signal.SIGCONT)
                p.kill()
            p.wait()


@contextmanager
def stage(database_url: str | None) -> Iterator[tuple[Store, PostBox, Monitors, Path]]:
    """A store, a receiver and two monitors."""
    with tempfile.TemporaryDirectory() as folder, post_box() as box:
        path = Path(folder) / "notify.yaml"
        channel = {"type": "webhook", "url": box.url, "timeout_seconds": 5}
        path.write_text(yaml.safe_dump({"receivers": [{"name": "oncall", "channels": [channel]}]}))
        values = {
            "DATABASE_URL": database_url or f"sqlite:///{folder}/store.db",
            "NOTIFY_FILE": str(path),
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "PROGRESS_FROM": "timestamps",
            "METRICS_PORT_MONITOR": "0",
            "KAFKA_BOOTSTRAP": "127.0.0.1:1",
        }
        settings = load_settings(**{name.lower(): value for name, value in values.items()})
        store = open_store(settings, migrate=True)
        environment = {**os.environ, "NO_PROXY": "127.0.0.1"} | {f"BAROMETER_{k}": v for k, v in values.items()}
        monitors = Monitors(environment, Path(folder) / "monitors.log")
        try:
            yield store, box, monitors, path
        finally:
            monitors.stop()
            store.close()


def trial(rounds: int, *, database_url: str | None = None, seed: int = 1, say: bool = False) -> Outcome:
    """So many kills; every fifth is a freeze."""
    out, chance = Outcome(), random.Random(seed)
    with stage(database_url) as (store, box, monitors, path):
        config = load_config(load_settings(notify_file=path))
        frozen: list[int] = []
        armed = threading.Event()
        struck = threading.Event()
        delay, freeze = 0.0, False

        def strike() -> None:
            """Called when a message has been taken and not answered yet."""
            if not armed.is_set():
                return
            armed.clear()
            leader = leases.holder_of(store, leases.LEADER)
            if leader is not None:
                time.sleep(delay)
                pid = int(leader.holder.split("-")[-2])
                os.kill(pid, signal.SIGSTOP if freeze else signal.SIGKILL)
                if freeze:
                    frozen.append(pid)
            struck.set()

        box.on_post = strike
        for number in range(rounds):
            freeze, delay = number % 5 == 4, chance.choice((0.0, 0.0, 0.01))
            before = Counter(box.keys)
            struck.clear()
            armed.set()
            _open(store, config, number)
            if not struck.wait(PATIENCE_SECONDS):
                out.wrong.append(f"round {number}: nobody sent anything")
                break
            out.freezes += freeze
            out.kills += not freeze
            monitors.replace_dead()
            if frozen:
                # Not until all is sent: one that was frozen within a transaction holds SQLite's lock.
                time.sleep(FROZEN_SECONDS)
                os.kill(frozen.pop(), signal.SIGCONT)
            if not _all_sent(store, out, number):
                break
            if freeze:
                time.sleep(2.0)  # what the woken one would send now would be one too many
            new = Counter(box.keys) - before
            out.between += any(n > 1 for n in new.values())
            out.wrong += [f"round {number}: {key} came {n} times" for key, n in new.items() if n > 2]
            if say:
                print(
                    f"{number + 1:3}  {'frozen' if freeze else 'killed'}  messages {len(new)}  repeats "
                    f"{sum(n - 1 for n in new.values())}",
                    flush=True,
                )
        _account(store, box, out)
    return out


def _open(store: Store, config: object, number: int) -> None:
    with store.write() as c:
        now = store.now_ms(c)
        for i in range(ALERTS):
            f = Finding("surge", f"topic:t{number}_{i}", None, 1, True, "warning", now, now, 4.0, 5.0, 20, 50, 600)
            change = apply_finding(c, f, now)
            assert enqueue(c, change, config, now) == 1  # type: ignore[arg-type]


def _all_sent(store: Store, out: Outcome, number: int) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    waiting = select(func.count()).where(Notification.state != "sent")
    while time.monotonic() < deadline:
        with store.read() as c:
            if not c.execute(waiting).scalar_one():
                return True
        time.sleep(0.05)
    out.wrong.append(f"round {number}: not all was sent in {PATIENCE_SECONDS:.0f} s")
    return False


def _account(store: Store, box: PostBox, out: Outcome) -> None:
    """The receiver's record against the store's."""
    came = Counter(box.keys)
    with store.read() as c:
        rows = c.execute(select(Notification.id, Notification.message_id, Notification.state)).all()
        attempts: dict[int, list[int]] = {}
        a = NotificationAttempt
        for notification, term in c.execute(select(a.notification_id, a.term).order_by(a.id)):
            attempts.setdefault(notification, []).append(term)
    out.notifications, out.repeats = len(rows), sum(came.values()) - len(came)
    out.most = max(came.values(), default=0)
    out.wrong += [f"lost: {r.message_id} ({r.state})" for r in rows if not came[r.message_id] or r.state != "sent"]
    out.wrong += [f"unknown key {key}" for key in came.keys() - {r.message_id for r in rows}]
    for r in rows:
        terms = attempts.get(r.id, [])
        if terms != sorted(terms):
            out.wrong.append(f"two leaders at once: {r.message_id} was tried under the terms {terms}")
        if came[r.message_id] > len(terms):
            out.wrong.append(f"sent without an attempt being written down first: {r.message_id}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="rounds; every fifth is a freeze")
    parser.add_argument("--quick", action="store_true", help="5 rounds")
    parser.add_argument("--database-url", help="an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    out = trial(5 if options.quick else options.kills, database_url=options.database_url, seed=options.seed, say=True)
    print(
        f"{out.kills} kills, {out.freezes} freezes, {out.between} of them between send and mark; "
        f"{out.notifications} notifications, none told more than {out.most} times, {out.repeats} repeats, "
        f"{time.monotonic() - began:.0f} s"
    )
    for line in out.wrong:
        print(f"WRONG: {line}")
    sys.exit(bool(out.wrong))


if __name__ == "__main__":
    main()
