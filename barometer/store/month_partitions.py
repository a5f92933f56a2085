"""Months of the partitioned tables. On PostgreSQL ``documents`` and its like are partitioned by month of
``observed_at`` without a DEFAULT partition: a row's month must exist before the row does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from barometer.store.engine import Store
from barometer.store.tables import MONTHLY_TABLES

_LOCK = 0x6261726F  # 'baro': one creator of partitions at a time


def month_of(time_ms: int) -> tuple[int, int]:
    """(year, month) in UTC."""
    d = datetime.fromtimestamp(time_ms / 1000, UTC)
    return d.year, d.month


def month_bounds(month: tuple[int, int]) -> tuple[int, int]:
    """Start and end (exclusive) of a month, UTC epoch ms."""
    year, m = month
    following = (year + 1, 1) if m == 12 else (year, m + 1)
    return tuple(int(datetime(y, mm, 1, tzinfo=UTC).timestamp()) * 1000 for y, mm in (month, following))  # type: ignore[return-value]


class Months:
    """Remembers which months this process has made sure of."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[tuple[int, int]] = set()

    def ensure(self, times_ms: Iterable[int]) -> None:
        """Create the partitions for these times, in a transaction of its own, before the rows are written."""
        if self._store.is_sqlite:
            return
        missing = {month_of(t) for t in times_ms} - self._known
        if not missing:
            return
        with self._store.write() as c:
            c.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _LOCK})
            for month in sorted(missing):
                create_month(c, month)
        self._known |= missing

    def forget(self) -> None:
        """After retention dropped a month."""
        self._known.clear()


def create_month(connection: Connection, month: tuple[int, int], tables: Sequence[str] = MONTHLY_TABLES) -> None:
    start, end = month_bounds(month)
    for table in tables:
        name = f"{table}_{month[0]:04d}_{month[1]:02d}"
        connection.execute(
            text(f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ({start}) TO ({end})")
        )
