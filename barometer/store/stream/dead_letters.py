"""Dead letters as they are stored: found, and marked as copied or replayed."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, Select, insert, select, update

from barometer.errors import BarometerError
from barometer.records import Reason, Row, unpack_row
from barometer.store.engine import Store
from barometer.store.tables import AuditEntry, DeadLetter


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A row of ``dead_letters``; the fields are its columns."""

    row_id: int
    record_timestamp: int
    reason: str
    detail: str
    headers: list[tuple[str, bytes]]
    key: bytes | None
    value: bytes
    """At most 64 KB of it; ``value_length`` says how long it was."""
    value_length: int
    value_sha256: bytes
    replay_of: int | None
    stored_at: int
    relayed_at: int | None
    replayed_at: int | None
    replays: int

    @property
    def row(self) -> Row:
        return unpack_row(self.row_id)

    @property
    def cut(self) -> bool:
        return self.value_length > len(self.value)

    @property
    def original(self) -> int:
        """The row that was the first to fail; a replay of a replay counts as a replay of the original."""
        return self.row_id if self.replay_of is None else self.replay_of


_ROWS: Select[tuple[object, ...]] = select(DeadLetter.__table__)


def find_letters(
    store: Store,
    *,
    rows: Sequence[int] = (),
    reason: str | None = None,
    since_ms: int | None = None,
    not_replayed: bool = False,
    after: int | None = None,
    limit: int = 50,
    newest_first: bool = True,
) -> list[StoredLetter]:
    """Dead letters in the order of their rows.

    Args:
        rows: only these row ids.
        reason: only this one; see :class:`barometer.records.Reason`.
        since_ms: stored at this time or later, epoch ms.
        not_replayed: leave out those that were replayed already.
        after: only rows behind this one (before it, newest first).

    Raises:
        BarometerError: no such reason.
    """
    query = _ROWS.limit(limit)
    if rows:
        query = query.where(DeadLetter.row_id.in_(rows))
    if reason is not None:
        if reason not in list(Reason):
            raise BarometerError(f"no reason {reason!r}; use one of {', '.join(Reason)}")
        query = query.where(DeadLetter.reason == reason)
    if since_ms is not None:
        query = query.where(DeadLetter.stored_at >= since_ms)
    if not_replayed:
        query = query.where(DeadLetter.replayed_at.is_(None))
    if after is not None:
        query = query.where(DeadLetter.row_id < after if newest_first else DeadLetter.row_id > after)
    order = (DeadLetter.stored_at.desc(), DeadLetter.row_id.desc()) if newest_first else (DeadLetter.row_id,)
    return _read(store, query.order_by(*order))


def get_letter(store: Store, row_id: int) -> StoredLetter:
    """Raises:
    BarometerError: there is no such dead letter.
    """
    found = find_letters(store, rows=[row_id], limit=1)
    if not found:
        raise BarometerError(f"no dead letter at row {row_id} ({'/'.join(map(str, unpack_row(row_id)))})")
    return found[0]


def unrelayed_letters(store: Store, limit: int, exclude: Collection[int] = ()) -> list[StoredLetter]:
    """Dead letters that were not copied to the dead letter topic yet, oldest rows first.

    Args:
        exclude: row ids to leave out.
    """
    waiting = DeadLetter.relayed_at.is_(None), DeadLetter.row_id.not_in(list(exclude))
    return _read(store, _ROWS.where(*waiting).order_by(DeadLetter.row_id).limit(limit))


def mark_relayed(store: Store, rows: Collection[int]) -> None:
    """Set ``relayed_at`` to now."""
    with store.write() as c:
        c.execute(update(DeadLetter).where(DeadLetter.row_id.in_(rows)).values(relayed_at=_now()))


def mark_replayed(store: Store, rows: Collection[int], *, actor: str, topic: str) -> None:
    """Count a replay of each row, with one entry in the audit log.

    Args:
        actor: who replayed them.
        topic: where to.
    """
    now = _now()
    with store.write() as c:
        c.execute(
            update(DeadLetter)
            .where(DeadLetter.row_id.in_(rows))
            .values(replayed_at=now, replays=DeadLetter.replays + 1)
        )
        # Row ids as text: JavaScript's numbers cannot hold them.
        data = {"rows": [str(r) for r in rows]}
        c.execute(insert(AuditEntry).values(at=now, actor=actor, action="dlq.replay", object=topic, data=data))


def _read(store: Store, query: Select[tuple[object, ...]]) -> list[StoredLetter]:
    with store.read() as c:
        return [_letter(row) for row in c.execute(query).mappings()]


def _letter(row: RowMapping) -> StoredLetter:
    decoded = {
        "headers": [(name, b64decode(content)) for name, content in row["headers"] or []],
        "key": None if row["key"] is None else bytes(row["key"]),
        "value": bytes(row["value"]),
        "value_sha256": bytes(row["value_sha256"]),
    }
    return StoredLetter(**{**row, **decoded})


def _now() -> int:
    return time.time_ns() // 1_000_000
