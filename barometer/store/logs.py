"""The log under the store: which life of the topic the stored offsets belong to.

A log is (cluster id, topic). Another cluster id, or stored offsets that the log no longer has, mean that it was
replaced: it is marked so, every writer is refused from then on, and an operator decides (``barometer log accept``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from time import time_ns
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text, update

from barometer.errors import LogReplaced, StoreError
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.tables import AuditEntry, Log, Offset

_LOCK = 0x6C6F6773  # 'logs': one maker of a log at a time
TRIMMED = "records deleted before they were read"
OTHER_CLUSTER = "the broker is of another cluster"
_GAP = re.compile(r"partition (\d+): (\d+) -> (\d+)")


def current_log(c: Connection, topic: str) -> Row[Any] | None:
    """The topic's present log (columns of ``logs``), or None before first use."""
    return c.execute(select(Log.__table__).where(Log.topic == topic, Log.current)).one_or_none()


def list_logs(c: Connection) -> Sequence[Row[Any]]:
    """All lives of all topics, oldest first."""
    return c.execute(select(Log.__table__).order_by(Log.id)).all()


def register_log(store: Store, cluster_id: str, topic: str, partitions: int) -> Row[Any]:
    """The topic's present log; made at first use. ``partitions`` only ever grows.

    Raises:
        LogReplaced: the stored log is of another cluster, or was found replaced; its row says why.
    """
    with store.read() as c:
        row = current_log(c, topic)
    if row is None or (row.cluster_id == cluster_id and row.partitions < partitions):
        with store.write() as c:
            _lock(c, store)
            row = current_log(c, topic)
            if row is None:
                _begin(c, cluster_id, topic, partitions)
            elif row.cluster_id == cluster_id and row.partitions < partitions:
                c.execute(update(Log).where(Log.id == row.id).values(partitions=partitions))
            row = current_log(c, topic)
    assert row is not None
    if row.cluster_id != cluster_id:
        reason = f"{OTHER_CLUSTER}: its id is {cluster_id}, the store was filled from {row.cluster_id}"
        mark_replaced(store, row.id, reason)
        raise LogReplaced(f"{topic}: {reason}")
    if row.replaced_reason:
        raise LogReplaced(f"{topic}: {row.replaced_reason}")
    return row


def mark_replaced(store: Store, log_id: int, reason: str) -> None:
    """Stop all writers of a log until an operator decides. The first reason stays."""
    with store.write() as c:
        c.execute(update(Log).where(Log.id == log_id, Log.replaced_reason.is_(None)).values(replaced_reason=reason))


def trimmed(gaps: Mapping[int, tuple[int, int]]) -> str:
    """The reason for a log that lost records before they were read: {partition: (stored offset, log's beginning)}."""
    return f"{TRIMMED}: " + "; ".join(f"partition {p}: {a} -> {b}" for p, (a, b) in sorted(gaps.items()))


def accept_replacement(store: Store, settings: Settings, actor: str, cluster_id: str) -> int:
    """An operator accepts what was lost; returns the id of the log that is read from now on.

    Where the right broker is back after another one was seen, reading goes on where it stood; where the same log lost
    records at its beginning, behind the gap. Otherwise the old log is closed and a new one begins, which is read from
    its beginning. Each leaves an entry in the audit log.

    Args:
        actor: who accepts.
        cluster_id: the id of the cluster that is there now.

    Raises:
        StoreError: there is no log yet, or nothing is wrong with it.
    """
    topic = settings.topic_documents
    with store.write() as c:
        _lock(c, store)
        old = current_log(c, topic)
        if old is None:
            raise StoreError(f"this store has not read {topic} yet: nothing to accept")
        if old.replaced_reason is None and old.cluster_id == cluster_id:
            raise StoreError(f"the log of {topic} is the one that this store was filled from: nothing to accept")
        reason = old.replaced_reason or f"cluster id {cluster_id} instead of {old.cluster_id}"
        if cluster_id == old.cluster_id and reason.startswith((TRIMMED, OTHER_CLUSTER)):
            new_id = old.id
            for partition, _, begin in (map(int, m) for m in _GAP.findall(reason)):
                c.execute(
                    update(Offset)
                    .where(Offset.log_id == old.id, Offset.partition == partition, Offset.next_offset < begin)
                    .values(next_offset=begin)
                )
            c.execute(update(Log).where(Log.id == old.id).values(replaced_reason=None))
        else:
            c.execute(update(Log).where(Log.id == old.id).values(current=False, replaced_reason=reason))
            new_id = _begin(c, cluster_id, topic, partitions=0)  # the worker counts them
        c.execute(
            insert(AuditEntry).values(
                at=_now(),
                actor=actor,
                action="log.accept",
                object=topic,
                data={"old_log": old.id, "new_log": new_id, "cluster_id": cluster_id, "reason": reason},
            )
        )
        return new_id


def _begin(c: Connection, cluster_id: str, topic: str, partitions: int) -> int:
    made = c.execute(
        insert(Log)
        .values(cluster_id=cluster_id, topic=topic, partitions=partitions, current=True, created_at=_now())
        .returning(Log.id)
    )
    return int(made.scalar_one())


def _lock(c: Connection, store: Store) -> None:
    if not store.is_sqlite:
        c.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _LOCK})


def _now() -> int:
    return time_ns() // 1_000_000
