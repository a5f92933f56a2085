"""Log epochs: which life of the topic the stored offsets belong to.

A log is (cluster id, topic, topic id where the broker gives one: Kafka 2.8, KIP-516). Another id, or stored offsets
that the log no longer has, mean that it was replaced: it is marked so, every writer is refused from then on, and an
operator decides (``barometer log accept``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from time import time_ns
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, text, update

from barometer.errors import LogReplaced, StoreError
from barometer.records import pack_row, unpack_row
from barometer.settings import Settings
from barometer.store.bulk import insert_if_absent
from barometer.store.engine import Store
from barometer.store.stream.offsets import StoredOffset
from barometer.store.tables import AuditEntry, Document, Log, Meta, Offset

ACCEPTED = "log.accept"
_LOCK = 0x6C6F6773  # 'logs': one maker of a log at a time
TRIMMED = "records deleted before they were read"
CUT = "records that were read are gone from the log's end"
OTHER_CLUSTER = "the broker is of another cluster"
MADE_ANEW = "the topic was deleted and made anew"
_GAP = re.compile(r"partition (\d+): (\d+) -> (\d+)")


class LogEpoch(NamedTuple):
    """A row of ``logs``: one life of a topic."""

    id: int
    cluster_id: str
    topic: str
    partitions: int
    current: bool
    created_at: int
    replaced_reason: str | None


class Acceptance(NamedTuple):
    """An entry of the audit log: an operator accepted what a log had lost."""

    at: int
    actor: str
    data: dict[str, object]
    """old_log, new_log, cluster_id, topic_id, reason, why, from_beginning."""


_LOGS = select(*(Log.__table__.c[name] for name in LogEpoch._fields))


def current_log(c: Connection, topic: str) -> LogEpoch | None:
    """The topic's present log, or None before first use."""
    row = c.execute(_LOGS.where(Log.topic == topic, Log.current)).one_or_none()
    return None if row is None else LogEpoch._make(row)


def list_logs(c: Connection) -> list[LogEpoch]:
    """All lives of all topics, oldest first."""
    return [LogEpoch._make(row) for row in c.execute(_LOGS.order_by(Log.id))]


def known_topic_id(c: Connection, log_id: int) -> str | None:
    """The id of the topic that a log was read from; None where the broker gave none, or nobody asked yet."""
    return c.execute(select(Meta.value).where(Meta.key == _topic_key(log_id))).scalar()


def register_log(store: Store, cluster_id: str, topic: str, partitions: int, topic_id: str | None = None) -> LogEpoch:
    """The topic's present log; made at first use. ``partitions`` only ever grows.

    Raises:
        LogReplaced: the stored log is of another cluster or another topic of that name, or was found replaced; its row
            says why.
    """
    with store.read() as c:
        row = current_log(c, topic)
        known = None if row is None else known_topic_id(c, row.id)
    if row is None or (row.cluster_id == cluster_id and row.partitions < partitions):
        with store.write() as c:
            _lock(c, store)
            row = current_log(c, topic)
            if row is None:
                _begin(c, cluster_id, topic, partitions, topic_id)
            elif row.cluster_id == cluster_id and row.partitions < partitions:
                c.execute(update(Log).where(Log.id == row.id).values(partitions=partitions))
            row = current_log(c, topic)
            assert row is not None
            known = known_topic_id(c, row.id)
    reason = None
    if row.cluster_id != cluster_id:
        reason = f"{OTHER_CLUSTER}: its id is {cluster_id}, the store was filled from {row.cluster_id}"
    elif topic_id is not None and known is not None and topic_id != known:
        reason = f"{MADE_ANEW}: its id is {topic_id}, the store was filled from {known}"
    if reason is not None:
        mark_replaced(store, row.id, reason)
        raise LogReplaced(f"{topic}: {reason}")
    if row.replaced_reason:
        raise LogReplaced(f"{topic}: {row.replaced_reason}")
    return row


def remember_topic_id(store: Store, log_id: int, topic_id: str) -> None:
    """Tell by this id from now on, where none was known: once what is stored was found in the topic."""
    with store.write() as c:
        insert_if_absent(c, store, Meta, {"key": _topic_key(log_id), "value": topic_id})


def mark_replaced(store: Store, log_id: int, reason: str) -> None:
    """Stop all writers of a log until an operator decides. The first reason stays."""
    with store.write() as c:
        c.execute(update(Log).where(Log.id == log_id, Log.replaced_reason.is_(None)).values(replaced_reason=reason))


def newest_texts(store: Store, log_id: int, offsets: Mapping[int, StoredOffset]) -> dict[int, tuple[int, int]]:
    """partition -> (offset, observed_at) of the stored document with the largest time; partitions without are left out.

    Args:
        offsets: the partitions to look at.
    """
    out: dict[int, tuple[int, int]] = {}
    with store.read() as c:
        for p, stored in offsets.items():
            if stored.last_observed_at is None:
                continue
            row_id = c.execute(
                select(func.max(Document.row_id)).where(
                    Document.observed_at == stored.last_observed_at,
                    Document.row_id >= pack_row(log_id, p, 0),
                    Document.row_id < pack_row(log_id, p, stored.next_offset),
                )
            ).scalar()
            if row_id is not None:
                out[p] = (unpack_row(row_id).offset, stored.last_observed_at)
    return out


def trimmed(gaps: Mapping[int, tuple[int, int]]) -> str:
    """The reason for a log that lost records before they were read: {partition: (stored offset, log's beginning)}."""
    return f"{TRIMMED}: {_gaps(gaps)}"


def cut(gaps: Mapping[int, tuple[int, int]]) -> str:
    """The reason for a log that is shorter than what was read of it: {partition: (stored offset, log's end)}."""
    return f"{CUT}: {_gaps(gaps)}"


def accept_replacement(
    store: Store,
    settings: Settings,
    actor: str,
    cluster_id: str,
    topic_id: str | None = None,
    *,
    why: str = "",
    from_beginning: bool = False,
) -> int:
    """An operator accepts what was lost; returns the id of the log that is read from now on.

    * The right broker is back after another one was seen: reading goes on where it stood.
    * The same log lost records at its beginning: reading goes on behind the gap.
    * The same topic lost records at its end: their offsets will be given to others, so a new log begins, which is read
      from the cut (partitions without one: from where they stood).
    * Else the old log is closed and a new one is read from its beginning.

    Each leaves an entry in the audit log.

    Args:
        actor: who accepts.
        cluster_id: the id of the cluster that is there now.
        topic_id: the id of the topic that is there now, where the broker gives one.
        why: the operator's words.
        from_beginning: read all that is in the log now, whatever was lost: what is still in it is stored twice, unless
            its records carry ids.

    Raises:
        StoreError: there is no log yet, or nothing is wrong with it.
    """
    topic = settings.topic_documents
    with store.write() as c:
        _lock(c, store)
        old = current_log(c, topic)
        if old is None:
            raise StoreError(f"this store has not read {topic} yet: nothing to accept")
        known = known_topic_id(c, old.id)
        same = old.cluster_id == cluster_id and (known is None or topic_id is None or known == topic_id)
        if old.replaced_reason is None and same:
            raise StoreError(f"the log of {topic} is the one that this store was filled from: nothing to accept")
        reason = old.replaced_reason or f"cluster {cluster_id}, topic {topic_id} instead of {old.cluster_id}, {known}"
        gaps = {p: to for p, _, to in (map(int, m) for m in _GAP.findall(reason))}
        if reason.startswith(MADE_ANEW) and topic_id is None:
            same = False  # nothing says that the old topic is back
        if same and not from_beginning and reason.startswith((TRIMMED, OTHER_CLUSTER, MADE_ANEW)):
            new_id = old.id
            _skip_gaps(c, old.id, gaps)
            c.execute(update(Log).where(Log.id == old.id).values(replaced_reason=None))
        else:
            c.execute(update(Log).where(Log.id == old.id).values(current=False, replaced_reason=reason))
            # From the beginning the worker counts the partitions.
            goes_on = same and not from_beginning and reason.startswith(CUT)
            new_id = _begin(
                c, cluster_id, topic, old.partitions if goes_on else 0, topic_id or (known if same else None)
            )
            if goes_on:
                _go_on(c, old.id, new_id, gaps)
        c.execute(
            insert(AuditEntry).values(
                at=_now(),
                actor=actor,
                action=ACCEPTED,
                object=topic,
                data={
                    "old_log": old.id,
                    "new_log": new_id,
                    "cluster_id": cluster_id,
                    "topic_id": topic_id,
                    "reason": reason,
                    "why": why,
                    "from_beginning": from_beginning,
                },
            )
        )
        return int(new_id)


def acceptances(c: Connection, topic: str) -> list[Acceptance]:
    """Who accepted a loss of this topic's log, oldest first."""
    a = AuditEntry
    query = select(a.at, a.actor, a.data).where(a.action == ACCEPTED, a.object == topic)
    return [Acceptance._make(row) for row in c.execute(query.order_by(a.at, a.id))]


def _skip_gaps(c: Connection, log_id: int, beginnings: Mapping[int, int]) -> None:
    for partition, begin in beginnings.items():
        c.execute(
            update(Offset)
            .where(Offset.log_id == log_id, Offset.partition == partition, Offset.next_offset < begin)
            .values(next_offset=begin)
        )


def _go_on(c: Connection, old_id: int, new_id: int, cuts: Mapping[int, int]) -> None:
    kept = ("partition", "progress_t", "progress_writer", "progress_term", "last_observed_at")
    for row in c.execute(select(Offset.__table__).where(Offset.log_id == old_id)).mappings().all():
        at = min(row["next_offset"], cuts.get(row["partition"], row["next_offset"]))
        values = {k: row[k] for k in kept}
        c.execute(insert(Offset).values(log_id=new_id, next_offset=at, updated_at=_now(), **values))


def _gaps(gaps: Mapping[int, tuple[int, int]]) -> str:
    return "; ".join(f"partition {p}: {a} -> {b}" for p, (a, b) in sorted(gaps.items()))


def _topic_key(log_id: int) -> str:
    return f"topic_id:{log_id}"


def _begin(c: Connection, cluster_id: str, topic: str, partitions: int, topic_id: str | None) -> int:
    made = c.execute(
        insert(Log)
        .values(cluster_id=cluster_id, topic=topic, partitions=partitions, current=True, created_at=_now())
        .returning(Log.id)
    )
    log_id = int(made.scalar_one())
    if topic_id is not None:
        c.execute(insert(Meta).values(key=_topic_key(log_id), value=topic_id))
    return log_id


def _lock(c: Connection, store: Store) -> None:
    if not store.is_sqlite:
        c.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _LOCK})


def _now() -> int:
    return time_ns() // 1_000_000
