"""Waiting for a database that is unavailable, or that another process is still migrating."""

from __future__ import annotations

import shutil
import threading

import structlog
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from barometer.errors import StoreError
from barometer.settings import Settings
from barometer.store.engine import Store, is_away, way_of
from barometer.store.migrate import open_store
from barometer.store.tables import Meta

log = structlog.get_logger(__name__)


TO_DO = {
    "away": "it is tried again",
    "full": "make room on its disk; work goes on by itself",
    "read-only": "make it writable again; work goes on by itself",
}


def say_away(error: DBAPIError) -> str:
    """Log that the database cannot be had just now (:func:`barometer.store.engine.is_away`), and what to do; returns
    the state to show: ``database away``, ``database full`` or ``database read-only``."""
    way = way_of(error)
    say = log.warning if way == "away" else log.error
    say(f"database {way}", error=str(error.orig).strip().splitlines()[0][:300], to_do=TO_DO[way])
    return f"database {way}"


LEAST_ROOM = 1 << 20
"""Bytes on the disk of a SQLite store: with less a small write may still find room where a batch does not."""


def refuses_writes(store: Store) -> str | None:
    """Try a write that changes nothing; returns the state to show if the database refuses it, else None."""
    if store.path is not None and shutil.disk_usage(store.path.parent).free < LEAST_ROOM:
        return "database full"
    try:
        with store.write() as c:
            c.execute(update(Meta).values(value=Meta.value))
    except DBAPIError as e:
        if not is_away(e):
            raise
        return say_away(e)
    return None


def open_store_patiently(
    settings: Settings, stop: threading.Event, patience_seconds: float = 120.0, cache_mb: int = 64
) -> Store | None:
    """Open the store; wait while the database is away (for ever) or not upgraded yet (``patience_seconds``).

    SQLite is brought up to date on the spot. Returns None if ``stop`` was set while waiting.

    Raises:
        StoreError: still at another revision when the patience is over.
    """
    delay, waited = 0.5, 0.0
    while not stop.is_set():
        try:
            migrate = settings.database_url.startswith("sqlite")
            return open_store(settings, migrate=migrate, cache_mb=cache_mb)
        except DBAPIError as e:
            if not is_away(e):
                raise
            say_away(e)
        except StoreError:
            if waited >= patience_seconds:
                raise
            waited += delay
        stop.wait(delay)
        delay = min(delay * 2, 10.0)
    return None
