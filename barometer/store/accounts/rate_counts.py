"""Counters of attempts, shared by all processes: table ``rate_counts``. Keys are kept as hashes, since they hold what
people type into the field for the name, at times a password."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection, case, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from barometer.store.engine import Store
from barometer.store.tables import RateCount


def count_attempt(store: Store, key: str, seconds: int, amount: int = 1) -> int:
    """Add to the counter of a key; a new one ends after so many seconds. Returns the count.

    One statement: two processes do not read the same number.
    """
    r = RateCount
    insert: Any = sqlite.insert if store.is_sqlite else postgresql.insert
    with store.write() as c:
        now = store.now_ms(c)
        c.execute(delete(r).where(r.ends_at <= now))
        ends = now + seconds * 1000
        made = insert(r).values(key=_digest(key), hits=amount, ends_at=ends)
        over = r.ends_at <= now
        made = made.on_conflict_do_update(
            index_elements=[r.key],
            set_={
                "hits": case((over, amount), else_=r.hits + amount),
                "ends_at": case((over, ends), else_=r.ends_at),
            },
        ).returning(r.hits)
        return int(c.execute(made).scalar_one())


def attempts(c: Connection, key: str, now_ms: int) -> int:
    """The count of a key; 0 where it has ended."""
    r = RateCount
    return int(c.execute(select(r.hits).where(r.key == _digest(key), r.ends_at > now_ms)).scalar() or 0)


def counted_until(c: Connection, key: str) -> int | None:
    """When the counter of a key ends, epoch ms; None: there is none."""
    found: int | None = c.execute(select(RateCount.ends_at).where(RateCount.key == _digest(key))).scalar()
    return found


def forget(c: Connection, key: str | None = None) -> int:
    """Remove the counter of a key, or all; returns how many there were."""
    q = delete(RateCount)
    return int(c.execute(q if key is None else q.where(RateCount.key == _digest(key))).rowcount)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
