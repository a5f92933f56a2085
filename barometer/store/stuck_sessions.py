"""Locks of a process that froze in the middle of a COPY (PostgreSQL).

A session that is idle inside a transaction is ended by the server after a minute. One that waits for the rest of a COPY
counts as active: no timeout of the server ends it, and a frozen process's kernel goes on answering keep-alives. Its
locks would hold up whoever took over its partitions for as long as it is frozen.
"""

from __future__ import annotations

import structlog
from sqlalchemy import text

from barometer.store.engine import APPLICATION, Store

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 60.0
"""As long as a session may be idle inside a transaction."""

_END = text("""
    SELECT b.pid, pg_terminate_backend(b.pid)
    FROM (
        SELECT DISTINCT unnest(pg_blocking_pids(pid)) AS pid FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
          AND query_start < clock_timestamp() - make_interval(secs => :patience)
    ) AS blocking JOIN pg_stat_activity AS b USING (pid)
    WHERE b.application_name = :application AND b.usename = current_user
      AND b.state = 'active' AND b.wait_event = 'ClientRead'
      AND b.query_start < clock_timestamp() - make_interval(secs => :patience)
""")


def end_frozen_sessions(store: Store, patience: float = PATIENCE_SECONDS) -> int:
    """End our sessions that have kept others waiting for ``patience`` seconds while the server waits for them.

    Their transactions are rolled back: nothing of them is written, and the process starts over when it wakes.

    Returns:
        How many were ended.
    """
    if store.is_sqlite:
        return 0
    with store.write() as c:
        ended = c.execute(_END, {"patience": patience, "application": APPLICATION}).all()
    for pid, done in ended:
        log.warning("ended the session of a process that froze with locks", backend=pid, done=done)
    return len(ended)
