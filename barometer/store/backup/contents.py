"""What backup and restore do inside the transactions of both databases."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, inspect, select, update

from barometer import __version__
from barometer.errors import StoreError
from barometer.store.backup.manifest import Manifest, database_kind
from barometer.store.engine import Store
from barometer.store.health.processes import list_processes
from barometer.store.health.status import GONE_AFTER_MS
from barometer.store.tables import AuditEntry, Base, Job, Lease, Meta, Process, UserSession

RESTORED = "store.restore"
"""The audit log's name for a restore."""
_UNKNOWN_TERMS = 1_000
"""More changes of hands than a lost database can have seen since its backup."""
_PASSING = ("meta", "leases", "processes", "jobs", "model_versions", "series")
"""Tables in which a store that was never used may have rows."""


def describe_snapshot(c: Connection, store: Store, revision: str | None) -> Manifest:
    """The manifest of what this transaction's snapshot holds."""
    have = set(inspect(c).get_table_names())
    counts = {}
    for table in Base.metadata.sorted_tables:
        if table.name in have:
            counts[table.name] = int(c.execute(select(func.count()).select_from(table)).scalar_one())
    meta = {r.key: r.value for r in c.execute(select(Meta.key, Meta.value))}
    schema = None if store.is_sqlite else c.exec_driver_sql("SELECT current_schema()").scalar_one()
    assert revision is not None
    return Manifest(
        database_kind(store),
        revision,
        time.time_ns() // 1_000_000,
        __version__,
        meta,
        dict(sorted(counts.items())),
        schema,
    )


def check_counts(c: Connection, manifest: Manifest) -> None:
    """Check that each table has as many rows as the manifest says.

    Raises:
        StoreError: a table has more or fewer.
    """
    for name, want in manifest.counts.items():
        have = c.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one()
        if have != want:
            raise StoreError(
                f"the backup is damaged: {have:,} rows in {name}, there should be {want:,}. Nothing changed"
            )


def require_free(c: Connection, store: Store, *, replace: bool) -> None:
    """Check that the contents of the store may be replaced.

    Raises:
        StoreError: a process is using it, or it is not empty and ``replace`` is not set.
    """
    have = set(inspect(c).get_table_names())
    if "processes" in have:
        now = store.now_ms(c)
        live = [p for p in list_processes(c) if now - p.seen_at <= GONE_AFTER_MS and p.state != "stopped"]
        if live:
            names = ", ".join(f"{p.role} (process {p.pid} on {p.host})" for p in live)
            raise StoreError(
                f"still in use: {names}. End them first; one that was killed counts as gone after "
                f"{GONE_AFTER_MS // 1000} s"
            )
    if not replace:
        for table in Base.metadata.sorted_tables:
            if table.name in have and table.name not in _PASSING and c.execute(select(table).limit(1)).first():
                raise StoreError(
                    f"the store is not empty ({table.name} has rows). --replace puts the backup in its place; what the "
                    "store holds now is gone then, so make a backup of it first"
                )


def lease_terms(c: Connection) -> dict[str, int] | None:
    """Terms of the leases by name; None for a store without tables."""
    if "leases" not in inspect(c).get_table_names():
        return None
    return {str(r.name): int(r.term) for r in c.execute(select(Lease.name, Lease.term))}


def finish_restore(
    c: Connection, store: Store, manifest: Manifest, terms: Mapping[str, int] | None, actor: str, file: Path
) -> None:
    """The last step of a restore, in its transaction, at this program's revision: leases are free, processes, jobs and
    sessions are cleared, and the restore is in the audit log. Lease terms become larger than any that was given
    before, so that a process that was frozen meanwhile is fenced off when it wakes.

    Args:
        terms: those of the store that is replaced, None if they are not known.
    """
    restored = lease_terms(c) or {}
    for name in sorted(restored.keys() | (terms or {}).keys()):
        term = max(restored.get(name, 0), (terms or {}).get(name, 0)) + (1 if terms else _UNKNOWN_TERMS)
        values = {"holder": "restored", "term": term, "expires_at": 0}
        if name in restored:
            c.execute(update(Lease).where(Lease.name == name).values(**values))
        else:
            c.execute(insert(Lease).values(name=name, **values))
    c.execute(delete(Process))
    c.execute(delete(Job))
    c.execute(delete(UserSession))  # of people who may have logged out since
    c.execute(
        insert(AuditEntry).values(
            at=store.now_ms(c),
            actor=actor,
            action=RESTORED,
            object=file.name,
            data={
                "made_at": manifest.made_at,
                "revision": manifest.revision,
                "program": manifest.program,
                "documents": manifest.counts.get("documents", 0),
                "replaced": bool(terms),
            },
        )
    )
