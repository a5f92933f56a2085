"""Backup and restore of PostgreSQL: a dump in ``pg_dump``'s custom format.

The dump is of a snapshot that we hold meanwhile, so that the rows that we count in it are those that it holds. A
restore reads the dump with ``pg_restore`` but carries it out itself, in one transaction: tables, rows, indexes, counts
compared, migrations, leases. Until its commit nobody sees any of it, and before it nothing is gone.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from barometer.errors import StoreError
from barometer.settings import Settings
from barometer.store.backup.contents import check_counts, describe_snapshot, finish_restore, lease_terms, require_free
from barometer.store.backup.manifest import Manifest, OnProgress
from barometer.store.backup.postgres_tools import environment, find_tool
from barometer.store.engine import APPLICATION, Store
from barometer.store.migrate import settle, upgrade_in
from barometer.store.search.index import SEARCH
from barometer.store.tables import MONTHLY_TABLES, Base

_LOCK_WAIT_MS = 60_000
_CHUNK = 1 << 20
_COUNTED = re.compile(rb"COPY .* FROM stdin;\n")
_TIMEOUTS = re.compile(r"^SET \w*_timeout\b.*$", re.M)
"""Not ours to change, and not known to every server."""
_PSQL = re.compile(r"^\\.*$", re.M)


def backup(store: Store, file: Path, on_progress: OnProgress) -> Manifest:
    """Dump our tables, and no other's, as one snapshot."""
    with store.read() as c:
        c.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        raw = _raw(c)
        tool = find_tool("pg_dump", raw.info.server_version // 10_000)
        on_progress("count", 0, None)
        manifest = describe_snapshot(c, store, MigrationContext.configure(c).get_current_revision())
        snapshot = c.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        months = c.execute(
            text(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent IN"
                " (SELECT oid FROM pg_class WHERE relname = ANY(:tables)"
                " AND relnamespace = CAST(current_schema() AS regnamespace))"
            ),
            {"tables": list(MONTHLY_TABLES)},
        ).scalars()
        names = [*manifest.counts, "alembic_version", *(n for n in months if n not in manifest.counts)]
        names += inspect(c).has_table(SEARCH) * [SEARCH]
        command = [
            str(tool),
            "--format=custom",
            f"--snapshot={snapshot}",
            "--no-owner",
            "--no-privileges",
            "--no-comments",
            f"--lock-wait-timeout={_LOCK_WAIT_MS}",
            f"--file={file}",
            *(f'--table="{manifest.schema}"."{name}"' for name in names),
        ]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, env=environment(raw), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            try:
                while process.poll() is None:
                    on_progress("copy", file.stat().st_size, None)
                    try:
                        process.wait(0.2)
                    except subprocess.TimeoutExpired:
                        continue
            finally:
                _end(process)
            if process.returncode:
                raise StoreError(f"pg_dump failed: {_last_lines(output)}")
    return manifest


def restore(
    store: Store, settings: Settings, file: Path, manifest: Manifest, actor: str, replace: bool, on_progress: OnProgress
) -> None:
    """Carry the dump out in one transaction. (``pg_restore`` does not mind what stands behind a dump.)"""
    store.engine.dispose()  # only one connection is ours from here on
    try:
        with store.write() as c:
            tool = find_tool("pg_restore", _raw(c).info.server_version // 10_000)
            schema = c.exec_driver_sql("SELECT current_schema()").scalar_one()
            if schema != manifest.schema:
                raise StoreError(f"{file} is of the schema {manifest.schema}, this connection's is {schema}")
            c.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            c.execute(text("SET LOCAL lock_timeout = '10s'"))
            require_free(c, store, replace=replace)
            _require_no_connections(c)
            terms = lease_terms(c)
            tables = ", ".join(f'"{t.name}"' for t in Base.metadata.sorted_tables) + f", {SEARCH}"
            c.exec_driver_sql(f"DROP TABLE IF EXISTS {tables}, alembic_version CASCADE")
            for section in ("pre-data", "data", "post-data"):
                with _read_dump(tool, file, section) as out:
                    _carry_out(_raw(c), out, section, on_progress)
            c.exec_driver_sql("RESET search_path")
            on_progress("check", 0, None)
            check_counts(c, manifest)
            upgrade_in(c)
            finish_restore(c, store, manifest, terms, actor, file)
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
            c.exec_driver_sql(f"ANALYZE {tables}")
    except (psycopg.Error, DBAPIError) as e:
        cause = e.orig if isinstance(e, DBAPIError) else e
        if isinstance(cause, psycopg.errors.LockNotAvailable):
            raise StoreError("somebody else is using the tables: end it first. Nothing changed") from None
        raise StoreError(f"{file} could not be restored: {str(cause).strip()}. The store is as it was") from None
    finally:
        store.engine.dispose()  # the dump's own settings end with its connection
    settle(store, settings)


def _require_no_connections(c: Connection) -> None:
    """Who is frozen sends no heartbeat, but its connection is still there."""
    rows = c.execute(
        text(
            "SELECT pid, client_addr FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = :name AND pid <> pg_backend_pid()"
        ),
        {"name": APPLICATION},
    ).all()
    if rows:
        who = ", ".join(f"{r.client_addr or 'local'} (backend {r.pid})" for r in rows)
        raise StoreError(f"still connected: {who}. End all that uses this store first, the dashboard too")


def _carry_out(raw: psycopg.Connection, out: IO[bytes], section: str, on_progress: OnProgress) -> None:
    if section != "data":
        on_progress("tables" if section == "pre-data" else "indexes", 0, None)
        script = _PSQL.sub("", _TIMEOUTS.sub("", out.read().decode()))
        raw.execute(script)
        return
    done = 0
    for line in out:
        if _COUNTED.fullmatch(line):
            with raw.cursor() as cursor, cursor.copy(line.decode().rstrip(";\n")) as copy:
                for row in _rows(out):
                    copy.write(row)
                    done += len(row)
                    on_progress("rows", done, None)
        elif line.startswith(b"SELECT pg_catalog.setval("):
            raw.execute(line.decode())


def _rows(out: IO[bytes]) -> Iterator[bytes]:
    """The lines up to the one that ends a table, some at a time."""
    held: list[bytes] = []
    size = 0
    for line in out:
        if line == b"\\.\n":
            yield b"".join(held)
            return
        held.append(line)
        size += len(line)
        if size > _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    raise StoreError("the backup is damaged: it ends within a table. Nothing changed")


@contextmanager
def _read_dump(tool: Path, file: Path, section: str) -> Iterator[IO[bytes]]:
    """What the dump says, as SQL."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [str(tool), f"--section={section}", "--no-owner", "--no-privileges", "--file=-", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
        )
        assert process.stdout is not None
        try:
            yield process.stdout
            process.stdout.close()
            if process.wait(60):
                raise StoreError(f"pg_restore failed: {_last_lines(output)}. Nothing changed")
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _last_lines(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "it did not say why"


def _raw(c: Connection) -> psycopg.Connection[Any]:
    raw = c.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw
