"""Where reading stands in each partition, and what its records were: looked at first and moved last in a transaction,
with one statement each however many partitions a batch has. Between the two the rows are locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from barometer.errors import StaleWrite
from barometer.store.bulk import insert_if_absent, rows_with
from barometer.store.engine import Store
from barometer.store.tables import Log, Offset

NOWHERE = -1
"""``next_offset`` of a partition's row between its making and the end of the transaction that makes it."""


class Step(NamedTuple):
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
_TYPES = ("smallint", "smallint", *("bigint",) * 14, "text", "bigint")
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
        *(f"{n} = CASE WHEN {_NEWER} THEN w.{n} ELSE o.{n} END" for n in Step._fields[-3:]),
    ]
)
_WHERE = "WHERE o.log_id = w.log_id AND o.partition = w.partition AND o.next_offset = w.expected"
_SQLITE = (
    f"UPDATE offsets AS o SET {_CHANGES} FROM (SELECT {', '.join(f'? AS {n}' for n in Step._fields)}) AS w {_WHERE}"
)
_POSTGRES = (
    f"UPDATE offsets AS o SET {_CHANGES} FROM unnest({', '.join(f'%s::{t}[]' for t in _TYPES)})"
    f" AS w({', '.join(Step._fields)}) {_WHERE}"
)
_IN_USE = select(Log.current).where(Log.replaced_reason.is_(None))


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
        row = {"log_id": log_id, "partition": p, "next_offset": NOWHERE, "updated_at": 0, **dict.fromkeys(_ADDED, 0)}
        if not insert_if_absent(c, store, Offset, row):
            raise StaleWrite(f"partition {p} does not stand at offset None")


def move_offsets(c: Connection, store: Store, steps: Sequence[Step]) -> None:
    """Move the partitions and add to their counters. The rows are held (:func:`hold_offsets`).

    Raises:
        StaleWrite: a partition does not stand where its step begins.
    """
    if store.is_sqlite:
        done = c.exec_driver_sql(_SQLITE, [tuple(s) for s in steps]).rowcount
    else:
        done = c.exec_driver_sql(_POSTGRES, tuple(map(list, zip(*steps, strict=True)))).rowcount
    if done != len(steps):
        raise StaleWrite(f"{len(steps) - done} partitions do not stand where they were read from")
