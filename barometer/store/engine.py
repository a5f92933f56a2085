"""Opening the store: SQLite (embedded default) or PostgreSQL, with the same transactions on both.

``store.write()`` is one read-write transaction, ``store.read()`` one read-only snapshot. On SQLite a writer takes its
lock at the start (``BEGIN IMMEDIATE``): a deferred transaction that turns into a writer half-way fails at once with
"database is locked" however long the busy timeout is.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from barometer.errors import StoreError

BUSY_TIMEOUT_MS = 30_000
APPLICATION = "barometer"
"""``application_name`` of our connections to PostgreSQL."""
# A server that vanished without a word is noticed within a minute, not after the two hours of TCP's own default.
_POSTGRES_OPTIONS: dict[str, Any] = {
    "application_name": APPLICATION,
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
}
# And the other way round: a process that vanished or froze inside a transaction must not keep its locks (a leader's
# lease, a worker's partitions) from those who take over. A reader holds none, and may hand rows to a slow client.
_POSTGRES_SESSION = {
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "20s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
    # Compiling a plan takes longer than any of our queries; PostgreSQL's estimate of what they cost says otherwise.
    "jit": "off",
}

DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")
Way = Literal["away", "full", "read-only"]
_DISK_FULL, _READ_ONLY, _IDLE_TOO_LONG, _LOCKED = "53100", "25006", "25P03", "55P03"
IDLE_WRITER_SECONDS = 10
"""How long a write transaction may pause on PostgreSQL before the server ends its session."""


class Store:
    """A handle on the database. Safe to share between threads; open one per process.

    Args:
        url: an SQLAlchemy URL, ``sqlite:///file.db`` or ``postgresql://user:password@host/name``.
        pool_size: connections kept open on PostgreSQL.
        cache_mb: what each connection keeps of an SQLite file in memory.
        make: make a SQLite file that is not there, and its folders; else that is an error.

    Raises:
        StoreError: the URL is malformed or names a database that is not supported, or a file that is not there.
    """

    def __init__(self, url: str, pool_size: int = 5, cache_mb: int = 64, *, make: bool = True) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as e:
            raise StoreError(f"database_url: cannot read {_masked(url)!r}: {e}") from None
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise StoreError(f"database_url: {backend} is not supported; use sqlite:///FILE or postgresql://...")
        if parsed.drivername not in DRIVERS:
            raise StoreError(
                f"database_url: the driver of {parsed.drivername} is not used here; write {backend}://... without it"
            )
        self.is_sqlite = backend == "sqlite"
        self.url = parsed
        if self.is_sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise StoreError(
                    "database_url: SQLite needs a file (sqlite:///barometer.db): several processes share it"
                )
            file = Path(parsed.database).absolute()
            if make:
                _make_private(file)
            elif not file.exists():
                raise StoreError(
                    f"database_url: there is no store at {file}: set it right, or make one with `barometer db upgrade`"
                )
            self.engine = create_engine(
                parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
            )
            event.listen(self.engine, "connect", partial(_sqlite_connect, cache_mb))
            event.listen(self.engine, "begin", _sqlite_begin)
        else:
            if "+" not in parsed.drivername:
                parsed = parsed.set(drivername="postgresql+psycopg")
            self.engine = create_engine(
                parsed,
                pool_size=pool_size,
                max_overflow=pool_size,
                pool_pre_ping=True,
                connect_args=_POSTGRES_OPTIONS,
            )
            event.listen(self.engine, "connect", _postgres_connect)
            event.listen(self.engine, "checkin", _postgres_checkin)

    @property
    def path(self) -> Path | None:
        """The SQLite file, or None on PostgreSQL."""
        return Path(str(self.url.database)).absolute() if self.is_sqlite else None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One read-write transaction: committed at the end, rolled back on any exception."""
        with self.engine.connect().execution_options(barometer_write=True) as connection, connection.begin():
            if not self.is_sqlite:
                connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_WRITER_SECONDS}s'")
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot to read from."""
        options: dict[str, Any] = (
            {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    def now_ms(self, connection: Connection) -> int:
        """The database's clock, so that leases do not depend on how well the machines' clocks agree."""
        if self.is_sqlite:
            sql = "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
        else:
            sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
        return int(connection.execute(text(sql)).scalar_one())

    def close(self) -> None:
        self.engine.dispose()


def is_away(error: BaseException) -> bool:
    """Whether an error means that the database is unavailable for now (retry), not that a statement is wrong."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or isinstance(error, OperationalError):
        return True
    # 40001 serialization failure, 40P01 deadlock, 57P0x shutdown, 53xxx resources, 08xxx connection
    state = getattr(error.orig, "sqlstate", None) or ""
    return state[:2] in ("08", "53", "57", "40") or state in (_READ_ONLY, _IDLE_TOO_LONG)


def ping(c: Connection) -> None:
    """Ask the database for nothing: raises DBAPIError where it does not answer."""
    c.execute(text("SELECT 1"))


def way_of(error: DBAPIError) -> Way:
    """Why a database is unavailable (:func:`is_away`): disk full, read-only, or not reachable."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    state = getattr(error.orig, "sqlstate", None)
    if state == _DISK_FULL or (code is not None and code & 0xFF == sqlite3.SQLITE_FULL):
        return "full"
    if state == _READ_ONLY or (code is not None and code & 0xFF == sqlite3.SQLITE_READONLY):
        return "read-only"
    return "away"


def is_locked(error: DBAPIError) -> bool:
    """Whether somebody else held what was asked for, for longer than we wait."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return getattr(error.orig, "sqlstate", None) == _LOCKED or (code is not None and code & 0xFF == sqlite3.SQLITE_BUSY)


def _masked(url: str) -> str:
    return re.sub(r"(?<=:)[^:@/]+(?=@)", "***", url)


def _make_private(file: Path) -> None:
    """The file holds password hashes and the key of the cookies: it is for its owner alone, whatever the umask says.
    SQLite gives its journal and its shared memory the same rights."""
    if file.is_dir():
        raise StoreError(f"database_url: {file} is a folder; name a file in it")
    missing = [p for p in (file.parent, *file.parent.parents) if not p.exists()]
    try:
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as e:
        raise StoreError(f"database_url: cannot make the folder {file.parent}: {e.strerror}") from e
    if not file.exists():
        with suppress(OSError):  # opening it says what is wrong
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


def _sqlite_connect(cache_mb: int, dbapi: Any, _record: Any) -> None:
    dbapi.isolation_level = None  # the begin event says which kind of transaction it is
    cursor = dbapi.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size={-1024 * cache_mb}")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


def _postgres_connect(dbapi: Any, _record: Any) -> None:
    with dbapi.cursor() as cursor:
        for name, value in _POSTGRES_SESSION.items():
            cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
    dbapi.commit()


def _postgres_checkin(dbapi: Any, _record: Any) -> None:
    """After a read SQLAlchemy leaves "not read-only", which would be asked for at each BEGIN, whatever the server's own
    default; a standby refuses that with an error that looks like a wrong statement."""
    if dbapi is not None:
        with suppress(psycopg.Error):
            dbapi.read_only = None


def _sqlite_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("barometer_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


__all__ = ["Engine", "Store", "Way", "is_away", "is_locked", "way_of"]
