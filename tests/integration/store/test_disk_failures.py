"""Failures of the disk kind under a worker and a leader at work: no room, no writes, a connection cut inside a COPY.

Both wait, say what is wrong, spare the processor, and go on by themselves: nothing lost, nothing twice.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, event, make_url, select

import ingest.worker.consumer
from barometer.settings import Settings
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.migrate import open_store
from bench.kills.rows import Rows, differences, read_rows
from bench.kills.texts import Filled
from monitor.alarms.checks import Alarms
from monitor.leader import Monitor
from testing.keyword_scorer import KeywordScorer
from testing.postgres import PostgresServer
from tests.conftest import Broker
from tests.integration.monitor.test_monitor import monitoring
from tests.integration.store.test_backup import import_lease, is_done, log, stream_settings
from tests.support.cutter import Cutter
from tests.support.stream import totals, wait_for, worker

__all__ = ["log"]


def waits() -> float:
    return REGISTRY.get_sample_value("barometer_worker_waits_total", {"for": "database"}) or 0.0


def leader_knows(store: Store, settings: Settings, monitor: Monitor, state: str) -> bool:
    """It cannot write its heartbeat either, or it hears of it by the worker's and will raise an alarm."""
    if f"database {monitor._health()[1]['database']}" == state:
        return True
    return "database" in {x.name for x in Alarms(store, settings)._conditions(status(store, settings), True, [])}


def stands_still(store: Store, seconds: float) -> bool:
    """Nothing is stored for so long."""
    before = totals(store)["records"]
    time.sleep(seconds)
    return bool(totals(store)["records"] == before)


def through(
    log: tuple[str, Filled, Rows], broker: Broker, url: str, state: str, break_it: Callable[[Store], Any],
    mend: Callable[[Store], Any], monkeypatch: pytest.MonkeyPatch, plain: Store | None = None,
) -> None:  # fmt: skip
    """Run worker and leader over the log; break the database on the way and mend it again.

    Args:
        state: what the worker must say of itself meanwhile.
        plain: another way to the database, for looking; the same store where there is none.
    """
    monkeypatch.setattr(ingest.worker.consumer, "PARTITION_FETCH_BYTES", 8_192)
    topic, filled, want = log
    settings = stream_settings(broker, topic, url)
    store = open_store(settings, migrate=True)
    look = plain or store
    import_lease(store, settings)
    before = waits()
    with worker(settings, store, KeywordScorer(0.02)) as running, monitoring(settings, store) as monitor:
        wait_for(lambda: totals(look)["records"] > filled.records // 4)
        break_it(store)
        wait_for(lambda: running.state == state, 20, f"{state}: {running.states}")
        # Half-filled pages may take one more transaction; then nothing moves.
        wait_for(lambda: stands_still(look, 1.0) and running.state == state, 20, f"{state}: {running.states}")
        stood, used, began = totals(look)["records"], time.process_time(), time.monotonic()
        time.sleep(2.0)
        assert totals(look)["records"] == stood < filled.records
        assert running.thread.is_alive()
        assert (time.process_time() - used) / (time.monotonic() - began) < 0.5, "it must wait, not spin"
        report = status(look, settings, probe=True)
        assert "database" in {p["code"] for p in report["problems"]}, report["problems"]
        wait_for(lambda: leader_knows(look, settings, monitor, state), 10, "the leader knows too")
        mend(store)
        wait_for(lambda: is_done(look, filled), 60)
        wait_for(lambda: running.state == "running")
    assert 3 <= waits() - before < 100
    assert differences(read_rows(look), want) == []
    store.close()


# --- SQLite ----------------------------------------------------------------------------------------------------------


def for_all_connections(engine: Engine, pragma: str) -> None:
    """Now, and for those that are made later."""
    engine.dispose()

    @event.listens_for(engine, "connect")
    def _connect(raw: Any, _record: Any) -> None:
        raw.execute(pragma)

    engine.barometer_undo = lambda: event.remove(engine, "connect", _connect)  # type: ignore[attr-defined]


def undo(engine: Engine) -> None:
    engine.barometer_undo()  # type: ignore[attr-defined]
    engine.dispose()


def test_a_sqlite_database_that_takes_no_writes(
    log: tuple[str, Filled, Rows], broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(
        log, broker, f"sqlite:///{tmp_path / 'store.db'}", "database read-only",
        lambda s: for_all_connections(s.engine, "PRAGMA query_only=ON"), lambda s: undo(s.engine), monkeypatch,
    )  # fmt: skip


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system with so much room."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill_up(folder: Path) -> None:
    """Leave no byte of room."""
    with (folder / "ballast").open("ab", buffering=0) as f, contextlib.suppress(OSError):
        while f.write(bytes(4_096)):
            pass


def test_a_sqlite_database_without_room(
    log: tuple[str, Filled, Rows], broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        through(
            log, broker, f"sqlite:///{disk / 'store.db'}", "database full",
            lambda _: fill_up(disk), lambda _: (disk / "ballast").unlink(), monkeypatch,
        )  # fmt: skip


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_a_postgresql_database_without_room(
    log: tuple[str, Filled, Rows], broker: Broker, own_postgres: PostgresServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its tables lie in a tablespace on a small disk; its own log does not."""
    parent = own_postgres.data.parent
    with small_disk(parent / "disk", 64) as disk:
        space = disk / "space"
        space.mkdir()
        shutil.chown(space, os.stat(own_postgres.data).st_uid)
        name = f"t_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(own_postgres.url, autocommit=True) as c:
            c.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
            c.execute(f"CREATE DATABASE {name} TABLESPACE small")
        url = make_url(own_postgres.url).set(database=name).render_as_string(hide_password=False)
        through(
            log, broker, url, "database full",
            lambda _: fill_up(disk), lambda _: (disk / "ballast").unlink(), monkeypatch,
        )  # fmt: skip
        own_postgres.stop("immediate")


@pytest.mark.postgres
def test_a_postgresql_database_that_takes_no_writes(
    log: tuple[str, Filled, Rows], broker: Broker, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = make_url(fresh_postgres).database

    def set_to(value: str) -> None:
        with psycopg.connect(fresh_postgres, autocommit=True) as c:
            c.execute("SET default_transaction_read_only = off")
            c.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
            c.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    through(
        log, broker, fresh_postgres, "database read-only",
        lambda _: set_to("on"), lambda _: set_to("off"), monkeypatch,
    )  # fmt: skip


CUTS = (0, 1, 100, 777, 1_500, 2_500)
"""Bytes of rows after which a COPY loses its connection."""


@pytest.mark.postgres
def test_connections_cut_inside_copies(
    log: tuple[str, Filled, Rows], broker: Broker, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first row, within one, between two, far inside."""
    monkeypatch.setattr(ingest.worker.consumer, "PARTITION_FETCH_BYTES", 8_192)
    topic, filled, want = log
    direct = open_store(stream_settings(broker, topic, fresh_postgres), migrate=True)
    cutter = Cutter(make_url(fresh_postgres).port or 5432)
    url = make_url(fresh_postgres).set(port=cutter.port).render_as_string(hide_password=False)
    settings = stream_settings(broker, topic, url)
    import_lease(direct, settings)
    store = Store(url)
    before = waits()
    with worker(settings, store, KeywordScorer(0.01)) as running, monitoring(settings, store):
        for copied in CUTS:
            wait_for(lambda: running.state == "running")
            cutter.cut_after(copied)
            wait_for(lambda: not cutter.waiting, 20, f"a COPY of more than {copied} bytes")
        wait_for(lambda: is_done(direct, filled), 60)
    assert cutter.cuts == len(CUTS)
    assert waits() - before >= len(CUTS)
    assert differences(read_rows(direct), want) == []
    with direct.read() as c:
        assert c.execute(select(t.Log.replaced_reason)).scalars().all() == [None]
    cutter.close()
    store.close()
    direct.close()
