"""Heartbeats of the running roles: which processes run, in which state, since when."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select

from barometer.store.bulk import upsert
from barometer.store.engine import Store
from barometer.store.rows import columns_of
from barometer.store.tables import Process

_STARTED_AT = time.time_ns() // 1_000_000
FORGET_AFTER_MS = 24 * 3_600_000
"""A process that was not seen for this long is dropped from the list."""


class ProcessRow(NamedTuple):
    """A running role, as of its last heartbeat; times are epoch ms by the database's clock."""

    id: str
    role: str
    host: str
    pid: int
    started_at: int
    seen_at: int
    state: str
    info: dict[str, Any]


def heartbeat(store: Store, process_id: str, role: str, state: str, info: Mapping[str, Any]) -> None:
    """Insert or refresh this process's row.

    Args:
        process_id: unique for each start of a process.
        role: worker, monitor, dashboard.
        state: a word or two for people: running, database away, stopped ...
        info: figures to show; JSON.
    """
    with store.write() as c:
        now = store.now_ms(c)
        statement = upsert(store, Process).values(
            id=process_id,
            role=role,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=_STARTED_AT,
            seen_at=now,
            state=state,
            info=dict(info),
        )
        changed = {name: statement.excluded[name] for name in ("seen_at", "state", "info")}
        c.execute(statement.on_conflict_do_update(index_elements=[Process.id], set_=changed))
        c.execute(delete(Process).where(Process.seen_at < now - FORGET_AFTER_MS))


def list_processes(c: Connection) -> list[ProcessRow]:
    """All processes seen within a day, by role."""
    q = select(*columns_of(Process, ProcessRow._fields)).order_by(Process.role, Process.started_at)
    return [ProcessRow._make(row) for row in c.execute(q)]
