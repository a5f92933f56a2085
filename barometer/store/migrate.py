"""Migrations: upgrade the store to this program's revision, and refuse to work on another one."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, text

from barometer.errors import SettingsError, StoreError
from barometer.settings import Settings
from barometer.store.bulk import insert_if_absent
from barometer.store.engine import Store
from barometer.store.tables import Meta

_HERE = Path(__file__).parent / "migrations"
_LOCK = 0x6D696772


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    return config


def head() -> str:
    """The revision that this version of the program works with."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def known_revisions() -> set[str]:
    """The revisions that this version of the program can bring up to date, its own included."""
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def current(store: Store) -> str | None:
    """The store's revision, or None if it is empty."""
    with store.read() as c:
        return MigrationContext.configure(c).get_current_revision()


def upgrade(store: Store) -> str:
    """Run the missing migrations in one transaction, one process at a time; returns the new revision."""
    with store.write() as c:
        if not store.is_sqlite:
            c.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _LOCK})
        upgrade_in(c)
    return head()


def upgrade_in(c: Connection, revision: str = "head") -> None:
    """:func:`upgrade` inside a transaction of the caller's."""
    config = _config()
    config.attributes["connection"] = c
    command.upgrade(config, revision)


def require_head(store: Store) -> None:
    """Raises:
    StoreError: the store is empty or at another revision than this program's.
    """
    have, want = current(store), head()
    if have != want:
        raise StoreError(
            f"the store is at revision {have or 'none'}, this program needs {want}: run `barometer db upgrade`"
        )


def settle(store: Store, settings: Settings) -> None:
    """Check the settings that rows were cut by against those the store was made with; write them on first use.

    Raises:
        SettingsError: bucket width or zone differ. Rollups of two widths cannot be compared.
    """
    wanted = {"bucket_seconds": str(settings.bucket_seconds)}
    if settings.bucket_seconds == 86_400:
        wanted["timezone"] = settings.timezone
    with store.read() as c:  # a database that takes no writes just now can still be asked
        have = {r.key: r.value for r in c.execute(select(Meta.key, Meta.value))}
    if all(have.get(key) == value for key, value in wanted.items()):
        return
    with store.write() as c:
        for key, value in sorted(wanted.items()):
            # Several processes may be the first at once: one writes, the others find what it wrote.
            insert_if_absent(c, store, Meta, {"key": key, "value": value})
        have = {r.key: r.value for r in c.execute(select(Meta.key, Meta.value))}
        for key, value in wanted.items():
            if have[key] != value:
                raise SettingsError(
                    f"{key} (BAROMETER_{key.upper()}) is {value}, but this store was made with {have[key]}: "
                    f"set it back, or start with an empty store"
                )


def open_store(settings: Settings, *, migrate: bool = False, cache_mb: int = 64) -> Store:
    """Open the store of the settings, at the right revision and with the right bucket width.

    Args:
        migrate: bring it up to date first (the embedded default does; production runs ``barometer db upgrade``).
        cache_mb: what each connection keeps of an SQLite file in memory.
    """
    store = Store(settings.database_url, cache_mb=cache_mb, make=migrate)
    try:
        if migrate:
            upgrade(store)
        else:
            require_head(store)
        settle(store, settings)
    except BaseException:
        store.close()
        raise
    return store
