"""Heartbeats of the running roles: who is there, how they are, since when."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from barometer.store.bulk import upsert
from barometer.store.engine import Store
from barometer.store.tables import Process

_STARTED_AT = time.time_ns() // 1_000_000
FORGET_AFTER_MS = 24 * 3_600_000
"""A process that was not seen for this long is dropped from the list."""


def heartbeat(store: Store, process_id: str, role: str, state: str, info: Mapping[str, Any]) -> None:
    """Say that this process lives: insert or refresh its row.

    Args:
        process_id: unique for each start of a process.
        role: worker, monitor, dashboard.
        state: a word or two for people: running, database away, stopped ...
        info: figures to show; JSON.
    """
    with store.write() as c:
        now = store.now_ms(c)
        statement = upsert(store, Process).values(
            id=process_id, role=role, host=socket.gethostname(), pid=os.getpid(), started_at=_STARTED_AT,
            seen_at=now, state=state, info=dict(info),
        )  # fmt: skip
        changed = {name: statement.excluded[name] for name in ("seen_at", "state", "info")}
        c.execute(statement.on_conflict_do_update(index_elements=[Process.id], set_=changed))
        c.execute(delete(Process).where(Process.seen_at < now - FORGET_AFTER_MS))


def list_processes(c: Connection) -> Sequence[Row[Any]]:
    """All processes seen within a day (columns of ``processes``), by role."""
    return c.execute(select(Process.__table__).order_by(Process.role, Process.started_at)).all()
