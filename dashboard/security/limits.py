"""How often something may be tried. Attempts to log in are counted in the store, so that a limit holds for all
processes of all dashboards together; calls of the API in each process by itself, for they are many."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import case, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from barometer.store.engine import Store
from barometer.store.tables import RateCount


class StoreStorage(Storage):
    """Counters of the library ``limits`` in the table ``rate_counts``."""

    STORAGE_SCHEME = ["barometer"]

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    @property
    def base_exceptions(self) -> type[Exception]:
        return DBAPIError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count; returns what is counted now. One statement: two processes do not read the same number."""
        r = RateCount
        insert: Any = sqlite.insert if self._store.is_sqlite else postgresql.insert
        with self._store.write() as c:
            now = self._store.now_ms(c)
            c.execute(delete(r).where(r.ends_at <= now))
            ends = now + expiry * 1000
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

    def get(self, key: str) -> int:
        r = RateCount
        with self._store.read() as c:
            q = select(r.hits).where(r.key == _digest(key), r.ends_at > self._store.now_ms(c))
            return int(c.execute(q).scalar() or 0)

    def get_expiry(self, key: str) -> float:
        """When the count ends, in seconds of this machine's clock, which callers compare with."""
        with self._store.read() as c:
            ends = c.execute(select(RateCount.ends_at).where(RateCount.key == _digest(key))).scalar()
            return time.time() + (max(0, ends - self._store.now_ms(c)) / 1000 if ends is not None else 0)

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        with self._store.write() as c:
            return int(c.execute(delete(RateCount)).rowcount)

    def clear(self, key: str) -> None:
        with self._store.write() as c:
            c.execute(delete(RateCount).where(RateCount.key == _digest(key)))


class Limit:
    """Some limits on one thing, such as ``10 per minute; 100 per hour``."""

    def __init__(self, written: str, name: str, store: Store | None = None) -> None:
        """``store``: where it is counted; None: in this process."""
        self._items: list[RateLimitItem] = parse_many(written)
        self._name = name
        self._counter = FixedWindowRateLimiter(MemoryStorage() if store is None else StoreStorage(store))

    def wait(self, who: str) -> int:
        """Count one attempt; 0 if it may go on, else after how many seconds to try again."""
        for item in self._items:
            if not self._counter.hit(item, self._name, who):
                ends = self._counter.get_window_stats(item, self._name, who).reset_time
                return max(1, round(ends - time.time()))
        return 0


def _digest(key: str) -> str:
    """Keys hold what people type into the field for the name, at times a password."""
    return hashlib.sha256(key.encode()).hexdigest()
