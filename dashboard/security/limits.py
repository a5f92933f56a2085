"""How often something may be tried. Attempts to log in are counted in the store, so that a limit holds for all
processes of all dashboards together; calls of the API in each process by itself, for they are many."""

from __future__ import annotations

import time

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy.exc import DBAPIError

from barometer.store.accounts import rate_counts
from barometer.store.engine import Store


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
        return rate_counts.count_attempt(self._store, key, expiry, amount)

    def get(self, key: str) -> int:
        with self._store.read() as c:
            return rate_counts.attempts(c, key, self._store.now_ms(c))

    def get_expiry(self, key: str) -> float:
        """When the count ends, in seconds of this machine's clock, which callers compare with."""
        with self._store.read() as c:
            ends = rate_counts.counted_until(c, key)
            return time.time() + (max(0, ends - self._store.now_ms(c)) / 1000 if ends is not None else 0)

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        with self._store.write() as c:
            return rate_counts.forget(c)

    def clear(self, key: str) -> None:
        with self._store.write() as c:
            rate_counts.forget(c, key)


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
