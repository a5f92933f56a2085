"""Backup and restore of SQLite, both by its online backup interface (https://www.sqlite.org/backup.html).

A restore writes into the living file in one transaction of SQLite's own rather than putting another file in its place:
whoever still has the old file open would go on with it, and on closing delete the new one's log.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from barometer.errors import StoreError
from barometer.settings import Settings
from barometer.store.backup.contents import check_counts, describe_snapshot, finish_restore, lease_terms, require_free
from barometer.store.backup.manifest import Manifest, OnProgress
from barometer.store.engine import BUSY_TIMEOUT_MS, Store
from barometer.store.exclusive import only_worker
from barometer.store.migrate import settle, upgrade

_PAGES = 4_096


def backup(store: Store, file: Path, on_progress: OnProgress) -> Manifest:
    """Copy the snapshot of one read transaction. In WAL mode it holds up no writer."""
    with store.read() as c:
        on_progress("count", 0, None)
        manifest = describe_snapshot(c, store, MigrationContext.configure(c).get_current_revision())
        target = sqlite3.connect(file, isolation_level=None)
        try:
            _raw(c).backup(target, pages=_PAGES, progress=_steps(on_progress, "copy"))
            target.execute("PRAGMA journal_mode=DELETE")  # one file, whole in itself
            _check(target, "quick_check", file)
        except sqlite3.Error as e:
            raise StoreError(f"{file}: the backup could not be written: {e}") from None
        finally:
            target.close()
    return manifest


def restore(
    store: Store, settings: Settings, file: Path, manifest: Manifest, actor: str, replace: bool, on_progress: OnProgress
) -> None:
    """Prepare a copy of the backup beside the store, then write it over the store in one transaction."""
    assert store.path is not None
    with only_worker(store), tempfile.TemporaryDirectory(prefix=".restore-", dir=store.path.parent) as folder:
        with store.read() as c:
            require_free(c, store, replace=replace)
            terms = lease_terms(c)
        copy = Path(folder) / "copy.db"
        on_progress("copy", 0, None)
        try:
            shutil.copyfile(file, copy)  # the header says how long the database is: what stands behind it is not read
        except OSError as e:
            raise StoreError(f"no room beside the store for a copy of {file}: {e.strerror}. Nothing changed") from None
        prepared = Store(f"sqlite:///{copy}")
        try:
            on_progress("check", 0, None)
            with prepared.write() as c:
                _check(_raw(c), "integrity_check", file)
                check_counts(c, manifest)
            upgrade(prepared)
            settle(prepared, settings)
            with prepared.write() as c:
                finish_restore(c, prepared, manifest, terms, actor, file)
        finally:
            prepared.close()
        with store.write() as c:  # once more, where nobody can come in between unseen
            require_free(c, store, replace=replace)
        _write_over(copy, store, on_progress)


def _write_over(copy: Path, store: Store, on_progress: OnProgress) -> None:
    source = sqlite3.connect(copy, isolation_level=None)
    target = sqlite3.connect(str(store.path), timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
    try:
        target.execute("PRAGMA journal_mode=WAL")
        source.backup(target, pages=_PAGES, progress=_steps(on_progress, "restore"))
        target.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except sqlite3.Error as e:
        raise StoreError(f"{store.path} could not be written: {e}. It is as it was") from None
    finally:
        target.close()
        source.close()


def _raw(c: Connection) -> sqlite3.Connection:
    raw = c.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _check(c: sqlite3.Connection, how: str, file: Path) -> None:
    try:
        found = [str(row[0]) for row in c.execute(f"PRAGMA {how}")]
    except sqlite3.Error as e:
        found = [str(e)]
    if found != ["ok"]:
        raise StoreError(f"{file} is damaged: {found[0]}. Nothing changed")


def _steps(on_progress: OnProgress, what: str) -> Callable[[int, int, int], object]:
    """Tells of the progress, and gives up where somebody keeps the database locked: Python would try for ever."""
    last, since = -1, time.monotonic()

    def step(_status: int, remaining: int, total: int) -> None:
        nonlocal last, since
        if remaining != last:
            last, since = remaining, time.monotonic()
        elif time.monotonic() - since > BUSY_TIMEOUT_MS / 1000:
            raise sqlite3.OperationalError("somebody else has locked it for too long")
        on_progress(what, total - remaining, total)

    return step
