"""Offsets: where reading stands in each partition of the log, and counts of what its records were.

A worker's transaction locks the rows first (:func:`hold_offsets`) and moves them last (:func:`move_offsets`), with one
statement each however many partitions a batch has.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects import postgresql

from barometer.errors import StaleWrite
from barometer.store.bulk import insert_if_absent, rows_with
from barometer.store.engine import Store
from barometer.store.tables import Log, Offset

NOWHERE = -1
"""``next_offset`` of a partition's row between its making and the end of the transaction that makes it."""


@dataclass(frozen=True, slots=True)
class StoredOffset:
    """Where reading stands in a partition."""

    next_offset: int
    progress_t: int | None
    last_observed_at: int | None
    leader_epoch: int | None = None


class OffsetUpdate(NamedTuple):
    """How a batch moves one partition: from where, to where, what to add to its counters, and what it saw last."""

    log_id: int
    partition: int
    expected: int
    next_offset: int
    updated_at: int
    records: int
    documents: int
    repeats: int
    dead_letters: int
    tombstones: int
    progress_records: int
    late: int
    high_water: int | None
    leader_epoch: int | None
    last_observed_at: int | None
    progress_t: int | None
    progress_writer: str | None
    progress_term: int | None


_ADDED = ("records", "documents", "repeats", "dead_letters", "tombstones", "progress_records", "late")
_TYPES = {n: Offset.__table__.c["next_offset" if n == "expected" else n].type for n in OffsetUpdate._fields}
_ARRAYS = ", ".join(f"%s::{t.compile(postgresql.dialect())}[]" for t in _TYPES.values())  # type: ignore[no-untyped-call]
_NEWER = "w.progress_t IS NOT NULL AND (o.progress_t IS NULL OR o.progress_t < w.progress_t)"
_CHANGES = ", ".join(
    [
        "next_offset = w.next_offset",
        "updated_at = w.updated_at",
        *(f"{n} = o.{n} + w.{n}" for n in _ADDED),
        "high_water = coalesce(w.high_water, o.high_water)",
        # Not the older epoch where the new one is unknown: with the new offset it would tell of a cut that never was.
        "leader_epoch = w.leader_epoch",
        "last_observed_at = CASE WHEN o.last_observed_at IS NULL OR w.last_observed_at > o.last_observed_at"
        " THEN w.last_observed_at ELSE o.last_observed_at END",
        *(f"{n} = CASE WHEN {_NEWER} THEN w.{n} ELSE o.{n} END" for n in OffsetUpdate._fields[-3:]),
    ]
)
_WHERE = "WHERE o.log_id = w.log_id AND o.partition = w.partition AND o.next_offset = w.expected"
_SQLITE = (
    f"UPDATE offsets AS o SET {_CHANGES}"
    f" FROM (SELECT {', '.join(f'? AS {n}' for n in OffsetUpdate._fields)}) AS w {_WHERE}"
)
_POSTGRES = (
    f"UPDATE offsets AS o SET {_CHANGES} FROM unnest({_ARRAYS}) AS w({', '.join(OffsetUpdate._fields)}) {_WHERE}"
)
_IN_USE = select(Log.current).where(Log.replaced_reason.is_(None))


def read_offsets(store: Store, log_id: int) -> dict[int, StoredOffset]:
    """All stored offsets of a log, by partition."""
    columns = (Offset.partition, Offset.next_offset, Offset.progress_t, Offset.last_observed_at, Offset.leader_epoch)
    with store.read() as c:
        rows = c.execute(select(*columns).where(Offset.log_id == log_id))
        return {
            r.partition: StoredOffset(r.next_offset, r.progress_t, r.last_observed_at, r.leader_epoch) for r in rows
        }


def insert_offsets(store: Store, log_id: int, beginnings: Mapping[int, int]) -> None:
    """Make rows for partitions that the store does not know yet, at the log's beginning.

    From here on it is known what was there to read: records that are deleted before they are read are missed, and a
    partition that stays empty is known to be (progress from timestamps needs that).

    Args:
        beginnings: partition -> the log's first offset.
    """
    now = time.time_ns() // 1_000_000
    with store.write() as c:
        for p, begin in sorted(beginnings.items()):
            insert_if_absent(c, store, Offset, _new_row(log_id, p, begin, now))


def largest_progress(c: Connection, log_id: int) -> int | None:
    """Largest t of all progress records that workers have read from a log, epoch ms; None: none yet."""
    return c.execute(select(func.max(Offset.progress_t)).where(Offset.log_id == log_id)).scalar()


def touch_high_water(store: Store, log_id: int, high_water: Mapping[int, int]) -> None:
    """Refresh what is known of the partitions' ends while nothing arrives, and when they were looked at.

    For lag and for progress from timestamps: unguarded, and nobody is waited for long.
    """
    if not high_water:
        return
    now = time.time_ns() // 1_000_000
    with store.write() as c:
        if not store.is_sqlite:
            c.execute(text("SET LOCAL lock_timeout = '2s'"))
        for partition, value in sorted(high_water.items()):
            c.execute(
                text(
                    "UPDATE offsets SET updated_at = :now,"
                    " high_water = CASE WHEN high_water > :v THEN high_water ELSE :v END"
                    " WHERE log_id = :l AND partition = :p"
                ),
                {"v": value, "l": log_id, "p": partition, "now": now},
            )


# --- in the worker's transaction -------------------------------------------------------------------------------------


def hold_offsets(c: Connection, store: Store, log_id: int, expected: Mapping[int, int | None]) -> None:
    """Lock the partitions' rows in sorted order, if they stand where the caller thinks they do.

    Args:
        expected: partition -> its stored next offset; None: it has no row yet (one is made).

    Raises:
        StaleWrite: another worker has moved one of them, or the log is no longer the current one.
    """
    if not c.execute(_IN_USE.where(Log.id == log_id)).scalar():
        raise StaleWrite(f"log {log_id} is not the current one, or waits for an operator")
    known = sorted(p for p, at in expected.items() if at is not None)
    rows = rows_with(c, store, Offset, ("log_id", "partition"), [(log_id, p) for p in known], lock=True)
    stands = {r.partition: r.next_offset for r in rows}
    for p in known:
        if stands.get(p) != expected[p]:
            raise StaleWrite(f"partition {p} does not stand at offset {expected[p]}")
    for p in sorted(expected.keys() - set(known)):
        if not insert_if_absent(c, store, Offset, _new_row(log_id, p, NOWHERE, 0)):
            raise StaleWrite(f"partition {p} does not stand at offset None")


def move_offsets(c: Connection, store: Store, updates: Sequence[OffsetUpdate]) -> None:
    """Move the partitions and add to their counters. The rows are held (:func:`hold_offsets`).

    Raises:
        StaleWrite: a partition does not stand where its update begins.
    """
    if store.is_sqlite:
        done = c.exec_driver_sql(_SQLITE, [tuple(u) for u in updates]).rowcount
    else:
        done = c.exec_driver_sql(_POSTGRES, tuple(map(list, zip(*updates, strict=True)))).rowcount
    if done != len(updates):
        raise StaleWrite(f"{len(updates) - done} partitions do not stand where they were read from")


def _new_row(log_id: int, partition: int, next_offset: int, updated_at: int) -> dict[str, int]:
    position = {"log_id": log_id, "partition": partition, "next_offset": next_offset, "updated_at": updated_at}
    return position | dict.fromkeys(_ADDED, 0)


class StoredCounts(NamedTuple):
    """What was read so far, over all partitions and lives of the topic."""

    texts: int
    """Repeats too."""
    dead_letters: int


def stored_counts(c: Connection) -> StoredCounts:
    """The sums of the counters of all partitions."""
    row = c.execute(select(func.sum(Offset.documents + Offset.repeats), func.sum(Offset.dead_letters))).one()
    return StoredCounts(int(row[0] or 0), int(row[1] or 0))


def progress_of_partitions(c: Connection, log_id: int) -> dict[int, int]:
    """Partition -> the last progress that was read from it (epoch ms), of those that have any."""
    rows = c.execute(select(Offset.partition, Offset.progress_t).where(Offset.log_id == log_id))
    return {r.partition: int(r.progress_t) for r in rows if r.progress_t is not None}
