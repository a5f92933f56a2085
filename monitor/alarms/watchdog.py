"""Detects that no monitor leads, and notifies people in its place.

Any process may have a watchdog: workers do, and ``barometer up``. It notifies people as the leader would: under the
leader's lease, which it takes for a moment once nobody has held it for ``leader_gone_minutes``. So two watchdogs, or a
watchdog and a monitor that comes back, never both send. Until a monitor leads again, the watchdogs also send what was
left to be sent, and remind and escalate: an alert that was open when the monitor died is not forgotten.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from barometer.errors import BarometerError, SettingsError, StaleWrite
from barometer.settings import Settings
from barometer.store import leases
from barometer.store.alerts.life_cycle import Finding, apply_finding
from barometer.store.alerts.system_alerts import running_since
from barometer.store.engine import Store, is_away
from barometer.store.leases import Lease
from monitor.notify.config import NotifyConfig, load_config
from monitor.notify.outbox.enqueue import enqueue
from monitor.notify.outbox.reminders import repeat_due
from monitor.notify.outbox.sending import send_due

log = structlog.get_logger(__name__)

FINGERPRINT = "system:no_leader"
LOOK_SECONDS = 15.0
HOLD_SECONDS = 60.0
"""So long the lease is taken for; given back as soon as all is sent."""
SEND_SECONDS = 20.0


class Watchdog:
    """Checks the leader's lease; see the module.

    Args:
        since_ms: a leader is not missed before that: when this process started, by the database's clock. None: now.
    """

    def __init__(self, store: Store, settings: Settings, since_ms: int | None = None) -> None:
        self._store, self._settings = store, settings
        self._id = f"watchdog-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        if since_ms is None:
            with store.read() as c:
                since_ms = store.now_ms(c)
        self._since = since_ms

    def check(self) -> bool:
        """Check once, and notify people if it is time to. Returns whether this process stood in for the leader."""
        with self._store.read() as c:
            gone = self._gone(c)
        if gone is None:
            return False
        try:
            config = load_config(self._settings)
        except SettingsError as e:
            log.error("no monitor leads, and this process cannot tell anybody", why=str(e))
            return False
        lease = leases.acquire(self._store, leases.LEADER, self._id, HOLD_SECONDS)
        if lease is None:
            return False
        try:
            if lease.term != gone[0] + 1:
                return False  # somebody has led in between
            self._stand_in(lease, config, gone[1])
            return True
        except StaleWrite as e:
            log.warning("somebody else leads now", reason=str(e))
            return False
        finally:
            leases.release(self._store, lease)

    def _gone(self, c: Connection) -> tuple[int, int] | None:
        """(last term, since when nobody leads), if that is long enough."""
        now = self._store.now_ms(c)
        last = leases.last_lease(c, leases.LEADER)
        term, until = (0, 0) if last is None else (last.term, last.expires_at)
        if until > now:
            return None
        started = running_since(c, FINGERPRINT)
        if started is not None:
            return term, started  # told before: watchdogs have held the lease since
        since = max(until, self._since)
        return (term, since) if now - since >= self._settings.leader_gone_minutes * 60_000 else None

    def _stand_in(self, lease: Lease, config: NotifyConfig, since: int) -> None:
        began = time.monotonic()
        with self._store.write() as c:
            leases.check(self._store, c, lease)
            now = self._store.now_ms(c)
            minutes = (now - since) // 60_000
            text = f"no monitor has led for {minutes} min; told by a watchdog on {socket.gethostname()}"
            finding = Finding(
                "system",
                FINGERPRINT,
                None,
                None,
                True,
                "critical",
                since,
                now,
                explanation={"minutes": minutes},
                summary=text,
            )
            change = apply_finding(c, finding, now)
            if change is not None:
                enqueue(c, change, config, now)
        log.error("no monitor leads", minutes=minutes)
        repeat_due(self._store, lease, config, now)
        send_due(
            self._store,
            lease,
            config,
            now,
            budget_seconds=SEND_SECONDS,
            leading=lambda: time.monotonic() - began < HOLD_SECONDS,
        )


@contextmanager
def watching(settings: Settings, look_seconds: float = LOOK_SECONDS) -> Iterator[None]:
    """A watchdog in a thread of this process, with a store of its own."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(settings, stop, look_seconds), name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


def _watch(settings: Settings, stop: threading.Event, look_seconds: float) -> None:
    store, dog = Store(settings.database_url, pool_size=1), None
    while not stop.wait(look_seconds):
        try:
            dog = dog or Watchdog(store, settings)
            dog.check()
        except (DBAPIError, BarometerError) as e:
            if isinstance(e, DBAPIError) and not is_away(e):
                log.exception("watchdog")
        except Exception:
            log.exception("watchdog")  # a fault here must not end what it watches over
    store.close()
