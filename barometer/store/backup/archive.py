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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from barometer.errors import StoreError
from barometer.settings import Settings
from barometer.store.backup import postgres, sqlite
from barometer.store.backup.manifest import FORMAT, Manifest, OnProgress, check_fits
from barometer.store.engine import Store
from barometer.store.migrate import current

_MARK = b"barometer-backup"
_FOOTER = struct.Struct(f">32sQ{len(_MARK)}s")
"""A file is the database's own format, the manifest (JSON), and this footer: SHA-256 of the first part, length of the
manifest, a mark."""
_CHUNK = 1 << 20


def make_backup(store: Store, file: Path, on_progress: OnProgress) -> Manifest:
    """Write a backup while others go on writing. A file of that name is never overwritten; a backup that does not
    come to its end leaves nothing.

    Raises:
        StoreError: the file is there already or cannot be written, the store is empty, or the tools for it are missing.
    """
    if store.path is not None and not store.path.exists():
        raise StoreError(f"there is no store at {store.path}: nothing to back up")
    if current(store) is None:
        raise StoreError("the store is empty: nothing to back up")
    backup = sqlite.backup if store.is_sqlite else postgres.backup
    with _written_atomically(file) as unfinished:
        manifest = backup(store, unfinished, on_progress)
        digest = _digest(unfinished, unfinished.stat().st_size, on_progress)
        encoded = json.dumps(asdict(manifest), ensure_ascii=False, sort_keys=True).encode()
        with unfinished.open("ab") as f:
            f.write(encoded + _FOOTER.pack(digest, len(encoded), _MARK))
    return manifest


def read_manifest(file: Path) -> Manifest:
    """The manifest of a backup file.

    Raises:
        StoreError: the file cannot be read, or is no backup.
    """
    return _read_footer(file)[0]


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
    manifest, length, digest = _read_footer(file)
    check_fits(manifest, store, settings, file)
    if _digest(file, length, on_progress) != digest:
        raise StoreError(f"{file} is damaged: its contents are not those that were written. Nothing changed")
    restore = sqlite.restore if store.is_sqlite else postgres.restore
    restore(store, settings, file, manifest, actor, replace, on_progress)
    return manifest


@contextmanager
def _written_atomically(file: Path) -> Iterator[Path]:
    """A temporary file beside ``file``, for its owner alone, that takes the name when complete and synced."""
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


def _read_footer(file: Path) -> tuple[Manifest, int, bytes]:
    """(manifest, length of the database's own part, SHA-256 of that)."""
    try:
        with file.open("rb") as f:
            size = f.seek(0, os.SEEK_END)
            f.seek(max(0, size - _FOOTER.size))
            end = f.read()
            if len(end) == _FOOTER.size and end.endswith(_MARK):
                digest, manifest_length, _ = _FOOTER.unpack(end)
                length = size - _FOOTER.size - manifest_length
                if length > 0:
                    f.seek(length)
                    return _manifest(f.read(manifest_length), file), length, digest
    except OSError as e:
        raise StoreError(f"{file}: cannot be read: {e.strerror}") from None
    raise StoreError(f"{file} was not made by `barometer db backup`, or its end is missing")


def _manifest(encoded: bytes, file: Path) -> Manifest:
    try:
        values = json.loads(encoded)
        if values["format"] > FORMAT:
            later = values.get("program")
            raise StoreError(f"{file} was made by a later Barometer ({later}): restore it with that one")
        return Manifest(**values)
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{file} is damaged: its manifest cannot be read") from None


def _digest(file: Path, length: int, on_progress: OnProgress) -> bytes:
    sha, done = hashlib.sha256(), 0
    with file.open("rb") as f:
        while chunk := f.read(min(_CHUNK, length - done)):
            sha.update(chunk)
            done += len(chunk)
            on_progress("checksum", done, length)
    return sha.digest()
