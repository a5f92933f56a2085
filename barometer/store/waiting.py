"""Waiting for a database that is away, and for one that somebody else is still bringing up to date."""

from __future__ import annotations

import threading

import structlog
from sqlalchemy.exc import DBAPIError

from barometer.errors import StoreError
from barometer.settings import Settings
from barometer.store.engine import Store, is_away
from barometer.store.migrate import open_store

log = structlog.get_logger(__name__)


def open_store_patiently(settings: Settings, stop: threading.Event, patience_seconds: float = 120.0) -> Store | None:
    """Open the store; wait while the database is away (for ever) or not upgraded yet (``patience_seconds``).

    SQLite is brought up to date on the spot. Returns None if ``stop`` was set while waiting.

    Raises:
        StoreError: still at another revision when the patience is over.
    """
    delay, waited = 0.5, 0.0
    while not stop.is_set():
        try:
            return open_store(settings, migrate=settings.database_url.startswith("sqlite"))
        except DBAPIError as e:
            if not is_away(e):
                raise
            log.warning("database away", error=str(e.orig).strip().splitlines()[0], retry_in=delay)
        except StoreError:
            if waited >= patience_seconds:
                raise
            waited += delay
        stop.wait(delay)
        delay = min(delay * 2, 10.0)
    return None
