"""Retention: drops documents, predictions and memberships older than ``retention_days``. Counts and alerts stay."""

from __future__ import annotations

import structlog
from sqlalchemy import text

from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.leases import Lease, check
from barometer.store.month_partitions import month_bounds
from barometer.store.search.index import forget, forget_before
from barometer.store.series.sealing import furthest_sealed
from barometer.store.tables import MONTHLY_TABLES

log = structlog.get_logger(__name__)

BATCH = 5_000
SEARCHED_BATCH = 1_000
"""Of documents: their texts have to be cut into terms once more."""
DAY_MS = 86_400_000
STILL_NEEDED_MS = 8 * DAY_MS
"""How far back sealing reads the texts of a window."""


def drop_old(store: Store, settings: Settings, lease: Lease, now_ms: int | None = None) -> int:
    """Drop rows past the retention; returns how many months (PostgreSQL) or rows (SQLite) went. What sealing still
    needs stays, however old: an archive that is being imported, or all that came while nothing could be sealed.

    PostgreSQL drops a month when all of it is past; SQLite deletes in batches, so that writers get their turn.

    Raises:
        StaleWrite: the lease is gone.
    """
    if not settings.retention_days:
        return 0
    with store.read() as c:
        sealed = furthest_sealed(c)
        now = store.now_ms(c) if now_ms is None else now_ms
    if sealed is None:
        return 0
    before = min(now - settings.retention_days * DAY_MS, sealed - STILL_NEEDED_MS)
    return _delete(store, lease, before) if store.is_sqlite else _drop_months(store, lease, before)


def _drop_months(store: Store, lease: Lease, before: int) -> int:
    dropped = 0
    with store.read() as c:
        names = c.execute(
            text(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                " JOIN pg_class p ON p.oid = i.inhparent WHERE p.relname = ANY(:tables) ORDER BY c.relname"
            ),
            {"tables": list(MONTHLY_TABLES)},
        ).scalars()
        old = [n for n in names if month_bounds((int(n[-7:-3]), int(n[-2:])))[1] <= before]
    for name in old:
        parent = name[:-8]
        with store.write() as c:
            # Behind a backup that reads the table; workers would queue behind us in turn. Next hour, then.
            c.execute(text("SET LOCAL lock_timeout = '5s'"))
            check(store, c, lease)
            c.execute(text(f"ALTER TABLE {parent} DETACH PARTITION {name}"))
            c.execute(text(f"DROP TABLE {name}"))
            if parent == "search":
                forget_before(c, month_bounds((int(name[-7:-3]), int(name[-2:])))[1])
        log.info("month dropped", table=name)
        dropped += 1
    return dropped


def _delete(store: Store, lease: Lease, before: int) -> int:
    gone = _delete_documents(store, lease, before)
    for table, key in (
        ("predictions", "observed_at, row_id, model_id"),
        ("series_documents", "series_id, observed_at, row_id"),
    ):
        while True:
            with store.write() as c:
                check(store, c, lease)
                n = c.execute(
                    text(
                        f"DELETE FROM {table} WHERE ({key}) IN"
                        f" (SELECT {key} FROM {table} WHERE observed_at < :before LIMIT {BATCH})"
                    ),
                    {"before": before},
                ).rowcount
            gone += n
            if n < BATCH:
                break
    return gone


def _delete_documents(store: Store, lease: Lease, before: int) -> int:
    """With what the search index has of them, which it forgets while their predictions are still there."""
    gone = 0
    while True:
        with store.write() as c:
            check(store, c, lease)
            rows = c.execute(
                text("SELECT observed_at, row_id FROM documents WHERE observed_at < :before LIMIT :n"),
                {"before": before, "n": SEARCHED_BATCH},
            ).all()
            keys = [(int(r[0]), int(r[1])) for r in rows]
            forget(c, keys)
            if keys:
                c.exec_driver_sql("DELETE FROM documents WHERE observed_at = ? AND row_id = ?", keys)
        gone += len(keys)
        if len(keys) < SEARCHED_BATCH:
            return gone
