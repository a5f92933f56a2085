"""The manifest of a backup: which database, revision, time and row counts; and whether it fits a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from barometer import __version__
from barometer.errors import StoreError
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.migrate import known_revisions

OnProgress = Callable[[str, int, int | None], None]
"""Called with (stage, amount done, total amount or None if unknown)."""
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """Contents of a backup. ``counts``: rows by table. ``schema``: PostgreSQL's schema of the tables, else None."""

    database: str
    revision: str
    made_at: int
    program: str
    meta: dict[str, str]
    counts: dict[str, int]
    schema: str | None = None
    format: int = FORMAT


def database_kind(store: Store) -> str:
    """``sqlite`` or ``postgresql``."""
    return "sqlite" if store.is_sqlite else "postgresql"


def check_fits(manifest: Manifest, store: Store, settings: Settings, file: Path) -> None:
    """Check that a backup can be restored into this store, by this program and with these settings.

    Raises:
        StoreError: another kind of database, an unknown (later) revision, or another bucket width.
    """
    kind = database_kind(store)
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
