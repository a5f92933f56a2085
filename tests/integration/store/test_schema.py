"""Migrations, leases and the checks at the door, on both databases."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, text

from barometer.errors import SettingsError, StaleWrite, StoreError
from barometer.settings import load_settings
from barometer.store import leases
from barometer.store.engine import Store
from barometer.store.migrate import current, head, open_store, require_head, settle, upgrade
from barometer.store.month_partitions import Months
from barometer.store.tables import Base, Meta


def test_migrations_make_what_the_tables_say(store: Store) -> None:
    Months(store).ensure([1_700_000_000_000])
    with store.read() as c:
        context = MigrationContext.configure(
            c,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: (
                    kind != "table" or name in Base.metadata.tables or name.startswith("alembic")
                ),
            },
        )
        assert compare_metadata(context, Base.metadata) == []


def test_upgrading_twice_at_once_is_one_upgrade(empty_store: Store) -> None:
    threads = [threading.Thread(target=upgrade, args=(empty_store,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert current(empty_store) == head()


def test_an_old_store_is_refused_with_the_command_to_run(empty_store: Store) -> None:
    with pytest.raises(StoreError, match="barometer db upgrade"):
        require_head(empty_store)


def test_processes_that_are_the_first_at_once(empty_store: Store) -> None:
    """Workers and monitors that waited for the upgrade all go on in the same moment."""
    upgrade(empty_store)
    errors: list[BaseException] = []

    def second() -> None:
        try:
            settle(empty_store, load_settings(bucket_seconds=600))
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=second)
    with empty_store.write() as c:
        c.execute(insert(Meta).values(key="bucket_seconds", value="600"))
        thread.start()
        time.sleep(0.5)
    thread.join()
    assert errors == []


def test_another_bucket_width_is_refused(store: Store) -> None:
    settle(store, load_settings(bucket_seconds=600))
    settle(store, load_settings(bucket_seconds=600))
    with pytest.raises(SettingsError, match="made with 600"):
        settle(store, load_settings(bucket_seconds=60))
    with store.read() as c:
        assert dict(c.execute(select(Meta.key, Meta.value)).tuples().all())["bucket_seconds"] == "600"


def test_a_day_store_keeps_its_zone(empty_store: Store) -> None:
    store = empty_store
    upgrade(store)
    settle(store, load_settings(bucket_seconds=86_400))
    with pytest.raises(SettingsError, match="timezone"):
        settle(store, load_settings(bucket_seconds=86_400, timezone="Europe/London"))


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url", "sqlite://", "sqlite:///:memory:"])
def test_a_database_that_cannot_be_is_named(url: str) -> None:
    with pytest.raises(StoreError, match="database_url"):
        Store(url)


def test_the_message_about_a_url_hides_its_password() -> None:
    with pytest.raises(StoreError) as e:
        open_store(load_settings(database_url="mysql://me:hush@x/y"))
    assert "hush" not in str(e.value)


def test_a_renewal_that_waits_for_the_holders_own_transaction_lasts_in_full(store: Store) -> None:
    lease = leases.acquire(store, leases.LEADER, "a", 1.0)
    assert lease is not None
    locked = threading.Event()

    def long_step() -> None:
        with store.write() as c:
            leases.check(store, c, lease)
            locked.set()
            time.sleep(1.3)

    thread = threading.Thread(target=long_step)
    thread.start()
    locked.wait()
    assert leases.acquire(store, leases.LEADER, "a", 1.0) is not None
    held = leases.holder_of(store, leases.LEADER)
    thread.join()
    assert held is not None
    assert held.holder == "a"


def test_a_lease_has_one_holder_and_a_growing_term(store: Store) -> None:
    first = leases.acquire(store, "leader", "a", 60)
    assert first is not None
    assert first.term == 1
    assert leases.acquire(store, "leader", "b", 60) is None
    again = leases.acquire(store, "leader", "a", 60)
    assert again is not None
    assert again.term == 1
    leases.release(store, first)
    second = leases.acquire(store, "leader", "b", 60)
    assert second is not None
    assert second.term == 2
    with pytest.raises(StaleWrite), store.write() as c:
        leases.check(store, c, first)
    with store.write() as c:
        leases.check(store, c, second)
    assert leases.holder_of(store, "leader") == second


def test_a_lease_that_ran_out_writes_nothing(store: Store) -> None:
    lease = leases.acquire(store, "leader", "a", 0.2)
    assert lease is not None
    time.sleep(0.3)
    with pytest.raises(StaleWrite), store.write() as c:
        leases.check(store, c, lease)
    assert leases.holder_of(store, "leader") is None
    later = leases.acquire(store, "leader", "a", 60)
    assert later is not None
    assert later.term == 2


def test_many_who_want_a_lease_get_one(store: Store) -> None:
    leases.acquire(store, "x", "nobody", 0)
    got: list[object] = []
    gate = threading.Barrier(5)

    def want(name: str) -> None:
        gate.wait()
        got.append(leases.acquire(store, "x", name, 60))

    threads = [threading.Thread(target=want, args=(f"w{i}",)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(x is not None for x in got) == 1


def test_a_store_of_one_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds password hashes and the key of the cookies."""
    before = os.umask(0)
    try:
        made = Store(f"sqlite:///{tmp_path / 'new' / 'deep' / 'store.db'}")
        upgrade(made)
        with made.write() as c:
            c.execute(text("SELECT 1"))
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new").rglob("*")}
        made.close()
    finally:
        os.umask(before)
    assert modes.pop("deep") == 0o700
    assert {"store.db"} <= modes.keys() <= {"store.db", "store.db-wal", "store.db-shm"}
    assert set(modes.values()) == {0o600}
