"""A backup of the store in one file, and a restore that is all or nothing.

SQLite: a copy of the database by its online backup interface. PostgreSQL: a dump of ``pg_dump`` in its custom format.
Both are one snapshot, taken while workers and leader write: rows and the offsets that cover them belong together, so a
worker goes on from the restored offsets and ends with the same rows. What is restored is checked before anybody can
see it, and brought to this program's revision. What a restore means for those who were told is in ``docs/backup.md``.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, inspect, select, update

from barometer import __version__
from barometer.errors import StoreError
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.processes import list_processes
from barometer.store.health.status import GONE_AFTER_MS
from barometer.store.migrate import current, known_revisions
from barometer.store.tables import AuditEntry, Base, Job, Lease, Meta, Process, UserSession

OnProgress = Callable[[str, int, int | None], None]
"""Told (what is being done, how much is done, of how much if that is known)."""
RESTORED = "store.restore"
_FORMAT = 1
_END = b"barometer-backup"
_TAIL = struct.Struct(f">32sQ{len(_END)}s")
"""Behind a database's own format stands what the backup says of itself (JSON), and then: SHA-256 of what comes before
that, its length, a mark."""
_CHUNK = 1 << 20
_UNKNOWN_TERMS = 1_000
"""More changes of hands than a lost database can have seen since its backup."""
_PASSING = ("meta", "leases", "processes", "jobs", "model_versions", "series")
"""Tables in which a store that was never used may have rows."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. ``counts``: rows by table. ``schema``: on PostgreSQL, where the tables are."""

    database: str
    revision: str
    made_at: int
    program: str
    meta: dict[str, str]
    counts: dict[str, int]
    schema: str | None = None
    format: int = _FORMAT


def make_backup(store: Store, file: Path, on_progress: OnProgress) -> Manifest:
    """Write a backup while others go on writing. A file of that name is never overwritten; a backup that does not
    come to its end leaves nothing.

    Raises:
        StoreError: the file is there already or cannot be written, the store is empty, or the tools for it are missing.
    """
    from barometer.store.backup import postgres, sqlite

    if store.path is not None and not store.path.exists():
        raise StoreError(f"there is no store at {store.path}: nothing to back up")
    if current(store) is None:
        raise StoreError("the store is empty: nothing to back up")
    part = sqlite if store.is_sqlite else postgres
    with _written_whole(file) as unfinished:
        manifest = part.backup(store, unfinished, on_progress)
        digest = _digest(unfinished, unfinished.stat().st_size, on_progress)
        words = json.dumps(asdict(manifest), ensure_ascii=False, sort_keys=True).encode()
        with unfinished.open("ab") as f:
            f.write(words + _TAIL.pack(digest, len(words), _END))
    return manifest


def read_manifest(file: Path) -> Manifest:
    """What a backup says of itself.

    Raises:
        StoreError: the file cannot be read, or is no backup.
    """
    return _read_tail(file)[0]


def restore_backup(
    store: Store, settings: Settings, file: Path, actor: str, on_progress: OnProgress, *, replace: bool = False
) -> Manifest:
    """Put a backup in the place of what the store holds; all of it or nothing.

    Args:
        replace: the store is not empty, and what it holds may go.

    Raises:
        StoreError: the file is no backup, damaged, of another kind of database, or of a later revision; the store is
            not empty, or somebody is using it. The store is as it was.
        SettingsError: the backup was made with another bucket width or zone.
    """
    from barometer.store.backup import postgres, sqlite

    manifest, length, digest = _read_tail(file)
    check_fits(manifest, store, settings, file)
    if _digest(file, length, on_progress) != digest:
        raise StoreError(f"{file} is damaged: its contents are not those that were written. Nothing changed")
    part = sqlite if store.is_sqlite else postgres
    part.restore(store, settings, file, manifest, actor, replace, on_progress)
    return manifest


def check_fits(manifest: Manifest, store: Store, settings: Settings, file: Path) -> None:
    """Whether this backup may come into this store, by this program and these settings; see :func:`restore_backup`."""
    kind = kind_of(store)
    if manifest.database != kind:
        raise StoreError(f"{file} is a backup of {manifest.database}, and database_url names {kind}: they do not mix")
    if manifest.revision not in known_revisions():
        raise StoreError(
            f"{file} is at revision {manifest.revision}, which this program ({__version__}) does not know: it was made "
            f"by a later one ({manifest.program}); restore it with that one"
        )
    have = manifest.meta.get("bucket_seconds")
    if have is not None and have != str(settings.bucket_seconds):
        raise StoreError(
            f"{file} was made with bucket_seconds (BAROMETER_BUCKET_SECONDS) {have}, the setting is "
            f"{settings.bucket_seconds}: set it to {have}"
        )


def kind_of(store: Store) -> str:
    return "sqlite" if store.is_sqlite else "postgresql"


# --- inside the transactions of the two databases --------------------------------------------------------------------


def take_stock(c: Connection, store: Store, revision: str | None) -> Manifest:
    """What the snapshot of this transaction holds."""
    have = set(inspect(c).get_table_names())
    counts = {}
    for table in Base.metadata.sorted_tables:
        if table.name in have:
            counts[table.name] = int(c.execute(select(func.count()).select_from(table)).scalar_one())
    meta = {r.key: r.value for r in c.execute(select(Meta.key, Meta.value))}
    schema = None if store.is_sqlite else c.exec_driver_sql("SELECT current_schema()").scalar_one()
    assert revision is not None
    return Manifest(
        kind_of(store), revision, time.time_ns() // 1_000_000, __version__, meta, dict(sorted(counts.items())), schema
    )


def compare(c: Connection, manifest: Manifest) -> None:
    """Whether all rows of the backup are there.

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
    """Whether the store's contents may go.

    Raises:
        StoreError: a process lives on it, or it is not empty and ``replace`` is not set.
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


def terms_of(c: Connection) -> dict[str, int] | None:
    """The terms of the leases that the store has seen; None where it has no tables."""
    if "leases" not in inspect(c).get_table_names():
        return None
    return {str(r.name): int(r.term) for r in c.execute(select(Lease.name, Lease.term))}


def settle_in(
    c: Connection, store: Store, manifest: Manifest, terms: Mapping[str, int] | None, actor: str, file: Path
) -> None:
    """Last words of a restore, in its transaction, at this program's revision: nobody holds a lease, nobody runs, and
    the audit log knows. A term is larger than any that was given before, so who was frozen over all this writes
    nothing when it wakes.

    Args:
        terms: those of the store that is replaced, None if they are not known.
    """
    restored = terms_of(c) or {}
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
            at=store.now_ms(c), actor=actor, action=RESTORED, object=file.name,
            data={"made_at": manifest.made_at, "revision": manifest.revision, "program": manifest.program,
                  "documents": manifest.counts.get("documents", 0), "replaced": bool(terms)},
        )
    )  # fmt: skip


# --- files -----------------------------------------------------------------------------------------------------------


@contextmanager
def _written_whole(file: Path) -> Iterator[Path]:
    """A file beside ``file``, for nobody but us to read, that takes its name once it is whole and on the disk."""
    if file.exists():
        raise StoreError(f"{file} is there already: take another name (a backup is never overwritten)")
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield unfinished
        with unfinished.open("rb+") as f:
            os.fsync(f.fileno())
        os.link(unfinished, file)  # unlike a rename, never over somebody else's
        folder = os.open(file.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as e:
        raise StoreError(f"{file}: cannot be written: {e.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _read_tail(file: Path) -> tuple[Manifest, int, bytes]:
    """(what it says of itself, length of the database's own part, SHA-256 of that)."""
    try:
        with file.open("rb") as f:
            size = f.seek(0, os.SEEK_END)
            f.seek(max(0, size - _TAIL.size))
            end = f.read()
            if len(end) == _TAIL.size and end.endswith(_END):
                digest, words, _ = _TAIL.unpack(end)
                length = size - _TAIL.size - words
                if length > 0:
                    f.seek(length)
                    return _manifest(f.read(words), file), length, digest
    except OSError as e:
        raise StoreError(f"{file}: cannot be read: {e.strerror}") from None
    raise StoreError(f"{file} was not made by `barometer db backup`, or its end is missing")


def _manifest(words: bytes, file: Path) -> Manifest:
    try:
        values = json.loads(words)
        if values["format"] > _FORMAT:
            later = values.get("program")
            raise StoreError(f"{file} was made by a later Barometer ({later}): restore it with that one")
        return Manifest(**values)
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{file} is damaged: what it says of itself cannot be read") from None


def _digest(file: Path, length: int, on_progress: OnProgress) -> bytes:
    sha, done = hashlib.sha256(), 0
    with file.open("rb") as f:
        while chunk := f.read(min(_CHUNK, length - done)):
            sha.update(chunk)
            done += len(chunk)
            on_progress("checksum", done, length)
    return sha.digest()
