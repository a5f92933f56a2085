"""Sorting an archive by time, whatever its size: a private SQLite database that goes to disk when memory is short."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType

from ingest.producing.produce import Record


class Archive:
    """Records of any order, given back in time order; equal times in the order in which they were added.

    >>> with Archive() as archive:
    ...     archive.add([Record(2, b"k", b"b", "f:2"), Record(1, b"k", b"a", "f:1")])
    ...     [r.time_ms for r in archive], archive.first, archive.count_before(2), archive.size
    ([1, 2], 1, 1, 4)
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # "": a temporary database, removed with the connection
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE records (time INTEGER, key BLOB, value BLOB, origin TEXT)")

    def add(self, records: Iterable[Record]) -> None:
        """Take records; each must have a time."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", records)
        self._db.execute("COMMIT")

    def __iter__(self) -> Iterator[Record]:
        for row in self._db.execute("SELECT time, key, value, origin FROM records ORDER BY time, rowid"):
            yield Record(*row)

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM records").fetchone()[0])

    @property
    def first(self) -> int | None:
        """The earliest time, or None."""
        found = self._db.execute("SELECT min(time) FROM records").fetchone()[0]
        return None if found is None else int(found)

    @property
    def last(self) -> int | None:
        """The latest time, or None."""
        found = self._db.execute("SELECT max(time) FROM records").fetchone()[0]
        return None if found is None else int(found)

    @property
    def size(self) -> int:
        """Bytes of all keys and values."""
        return int(self._db.execute("SELECT coalesce(sum(length(key) + length(value)), 0) FROM records").fetchone()[0])

    def count_before(self, time_ms: int) -> int:
        """How many are earlier than a time."""
        return int(self._db.execute("SELECT count(*) FROM records WHERE time < ?", (time_ms,)).fetchone()[0])

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, _type: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self.close()
