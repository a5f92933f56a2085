"""A backup taken in the middle of the stream, put in the place of what came after it: all ends with the same rows."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from typer.testing import CliRunner

import ingest.worker.consumer
from app.commands.operate import app
from barometer.errors import StaleWrite, StoreError
from barometer.settings import Settings, load_settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.backup import archive, postgres, postgres_tools
from barometer.store.backup.archive import make_backup, read_manifest, restore_backup
from barometer.store.engine import Store
from barometer.store.health.processes import heartbeat
from barometer.store.migrate import current, head, open_store, upgrade, upgrade_in
from bench.kills.rows import Rows, differences, read_rows
from bench.kills.texts import Filled, Shape, fill
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker
from tests.integration.monitor.test_monitor import monitoring
from tests.support.stream import totals, wait_for, worker

MakeSettings = Callable[..., Settings]
SHAPE = Shape(buckets=24, a_bucket=40, surges=(("楼市", 14, 16), ("股市", 19, 21)))


def quiet(_stage: str, _done: int, _total: int | None) -> None:
    pass


def url_of(store: Store) -> str:
    return store.url.render_as_string(hide_password=False)


# --- in the middle of a stream ---------------------------------------------------------------------------------------


def stream_settings(broker: Broker, topic: str, url: str) -> Settings:
    return load_settings(
        database_url=url, kafka_bootstrap=broker.bootstrap, topic_documents=topic, topic_dlq=f"{topic}.dlq",
        topic_partitions=SHAPE.partitions, consumer_group=f"g-{uuid.uuid4().hex[:8]}", session_timeout_ms=1_500,
        worker_batch=24, worker_linger_ms=20, bucket_seconds=3_600, lease_seconds=3, tick_seconds=0.15,
        metrics_port_worker=0, metrics_port_monitor=0, lag_alarm_records=10**9, author_salt="the same in each store",
    )  # fmt: skip


def is_done(store: Store, filled: Filled) -> bool:
    with store.read() as c:
        have = {r.partition: r.next_offset for r in c.execute(select(t.Offset.partition, t.Offset.next_offset))}
        return have == filled.ends and c.execute(select(t.SealingState.sealed_until)).scalar() == filled.sealed_until


def import_lease(store: Store, settings: Settings) -> None:
    """The log holds its importer's progress: the leader, which would add the present, must wait for it."""
    assert leases.acquire(store, leases.progress_lease(settings.topic_documents), "produce@test", 86_400)


@pytest.fixture(scope="module")
def log(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Filled, Rows]]:
    """A filled topic, and what an undisturbed run leaves of it (the same on both databases)."""
    topic = f"documents-{uuid.uuid4().hex[:8]}"
    settings = stream_settings(broker, topic, f"sqlite:///{tmp_path_factory.mktemp('calm') / 'store.db'}")
    filled = fill(settings, SHAPE, 7)
    store = open_store(settings, migrate=True)
    import_lease(store, settings)
    with worker(settings, store, KeywordScorer()), monitoring(settings, store):
        wait_for(lambda: is_done(store, filled), 60)
    rows = read_rows(store)
    store.close()
    assert all(rows[name] for name in ("documents", "dead_letters", "sealed_buckets", "alerts", "rollups"))
    yield topic, filled, rows


def test_a_stream_goes_on_from_a_restored_backup(
    log: tuple[str, Filled, Rows], broker: Broker, database_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(ingest.worker.consumer, "PARTITION_FETCH_BYTES", 8_192)  # all partitions side by side
    topic, filled, want = log
    settings = stream_settings(broker, topic, database_url)
    store = open_store(settings, migrate=True)
    import_lease(store, settings)
    file = tmp_path / "middle.backup"
    with worker(settings, store, KeywordScorer(0.02)), monitoring(settings, store) as monitor:
        wait_for(lambda: (monitor.lease() is not None) and totals(store)["records"] > filled.records // 3)
        before = totals(store)["records"]
        manifest = make_backup(store, file, quiet)
        assert totals(store)["records"] < filled.records, "the stream must not be over yet"
        wait_for(lambda: is_done(store, filled), 60)
        old = monitor.lease()
        assert old is not None
    assert differences(read_rows(store), want) == []

    restore_backup(store, settings, file, "operator", quiet, replace=True)

    at = totals(store)
    assert before <= at["records"] < filled.records
    assert at["documents"] == manifest.counts["documents"]
    with store.read() as c:
        (entry,) = c.execute(select(t.AuditEntry.actor, t.AuditEntry.object, t.AuditEntry.data)).all()
        assert (entry.actor, entry.object, entry.data["made_at"]) == ("operator", file.name, manifest.made_at)
        assert c.execute(select(func.count()).select_from(t.Process)).scalar() == 0
    with pytest.raises(StaleWrite), store.write() as c:
        leases.check(store, c, old)  # a leader that was frozen over the restore
    import_lease(store, settings)
    with worker(settings, store, KeywordScorer()), monitoring(settings, store) as monitor:
        wait_for(lambda: is_done(store, filled), 60)
        new = monitor.lease()
        assert new is not None
        assert new.term > old.term
    assert differences(read_rows(store), want) == []
    store.close()


# --- into another place, forward, and what is refused ----------------------------------------------------------------


@pytest.fixture
def filled_store(store: Store) -> Store:
    """A store with a few rows of several tables."""
    with store.write() as c:
        c.execute(insert(t.Source).values(name="晨报 \\ \t '\"", created_at=1, muted=False))
        c.execute(insert(t.Silence).values(starts_at=1, ends_at=2, created_by="王", created_at=1, comment="a\nb\\."))
        c.execute(
            insert(t.DeadLetter).values(
                row_id=1, record_timestamp=1, reason="json", detail="\\N", headers=[["a", "b"]], key=None,
                value=b"\x00\xff\\.\n", value_length=4, value_sha256=b"\x01" * 32, stored_at=1, replays=0,
            )
        )  # fmt: skip
    assert leases.acquire(store, leases.LEADER, "monitor-gone", 0.0)
    return store


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    left_out = ("leases", "processes", "jobs", "audit_log")
    with store.read() as c:
        return {
            table.name: sorted((tuple(r) for r in c.execute(select(table))), key=repr)
            for table in t.Base.metadata.sorted_tables
            if table.name not in left_out
        }


def test_a_backup_comes_back_whole_and_ids_count_on(
    filled_store: Store, settings_for: MakeSettings, tmp_path: Path
) -> None:
    store, file = filled_store, tmp_path / "b"
    want = everything(store)
    make_backup(store, file, quiet)
    assert file.stat().st_mode & 0o077 == 0
    assert list(tmp_path.glob(".*part")) == []
    with store.write() as c:
        c.execute(insert(t.Source).values(name="later", created_at=1, muted=False))
    restore_backup(store, settings_for(database_url=url_of(store)), file, "me", quiet, replace=True)
    assert everything(store) == want
    with store.write() as c:
        c.execute(insert(t.Source).values(name="next", created_at=1, muted=False))
        assert c.execute(select(t.Source.id).where(t.Source.name == "next")).scalar() == 2
    assert current(store) == head()


def test_an_empty_place_is_filled_and_its_terms_are_beyond_all_that_may_have_been(
    filled_store: Store, settings_for: MakeSettings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    want = everything(filled_store)
    make_backup(filled_store, tmp_path / "b", quiet)
    if filled_store.is_sqlite:
        url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    else:
        with filled_store.write() as c:
            tables = ", ".join(f'"{x.name}"' for x in t.Base.metadata.sorted_tables)
            c.execute(text(f"DROP TABLE {tables}, alembic_version CASCADE"))
        url = url_of(filled_store)
        filled_store.engine.dispose()
    other = Store(url)
    restore_backup(other, settings_for(database_url=url), tmp_path / "b", "me", quiet)
    assert everything(other) == want
    lease = leases.acquire(other, leases.LEADER, "monitor-new", 10)
    assert lease is not None
    assert lease.term > 1_000
    other.close()


def test_an_older_backup_is_brought_up_to_date(empty_store: Store, settings_for: MakeSettings, tmp_path: Path) -> None:
    store = empty_store
    with store.write() as c:
        upgrade_in(c, "0001")
        c.execute(text("INSERT INTO sources (name, created_at, muted) VALUES ('old', 1, false)"))
    manifest = make_backup(store, tmp_path / "old", quiet)
    assert manifest.revision == "0001"
    restore_backup(store, settings_for(database_url=url_of(store)), tmp_path / "old", "me", quiet, replace=True)
    assert current(store) == head()
    with store.read() as c:
        assert c.execute(select(t.Source.name)).scalars().all() == ["old"]


def test_what_is_in_use_or_not_empty_is_not_replaced(
    filled_store: Store, settings_for: MakeSettings, tmp_path: Path
) -> None:
    store, file = filled_store, tmp_path / "b"
    settings = settings_for(database_url=url_of(store))
    make_backup(store, file, quiet)
    with pytest.raises(StoreError, match="there already"):
        make_backup(store, file, quiet)
    want = everything(store)
    with pytest.raises(StoreError, match="not empty"):
        restore_backup(store, settings, file, "me", quiet)
    heartbeat(store, "w", "worker", "running", {})
    with pytest.raises(StoreError, match="still in use: worker"):
        restore_backup(store, settings, file, "me", quiet, replace=True)
    heartbeat(store, "w", "worker", "stopped", {})
    if not store.is_sqlite:  # frozen: no heartbeat, and its connection is still there
        frozen = Store(url_of(store))
        with frozen.read() as c:
            c.execute(text("SELECT 1"))
        with pytest.raises(StoreError, match="still connected"):
            restore_backup(store, settings, file, "me", quiet, replace=True)
        frozen.close()
    assert everything(store) == want
    restore_backup(store, settings, file, "me", quiet, replace=True)


def test_a_damaged_backup_leaves_the_store_as_it_was(
    filled_store: Store, settings_for: MakeSettings, tmp_path: Path
) -> None:
    store, file = filled_store, tmp_path / "b"
    settings = settings_for(database_url=url_of(store))
    make_backup(store, file, quiet)
    whole, want = file.read_bytes(), everything(store)
    middle = len(whole) // 2
    damaged = {
        "cut": whole[:-100],
        "half": whole[:middle],
        "changed": whole[: middle - 2_000] + bytes(4_000) + whole[middle + 2_000 :],
        "empty": b"",
        "text": b"something else",
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StoreError):
            restore_backup(store, settings, tmp_path / name, "me", quiet, replace=True)
        assert everything(store) == want, name
    with pytest.raises(StoreError, match="cannot be read"):
        restore_backup(store, settings, tmp_path / "none", "me", quiet, replace=True)


def test_rows_that_are_missing_are_noticed_before_anybody_sees_it(
    filled_store: Store, settings_for: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last check of a restore fails: everything is as it was."""
    store, file = filled_store, tmp_path / "b"
    make_backup(store, file, quiet)
    with store.write() as c:
        c.execute(insert(t.Source).values(name="later", created_at=1, muted=False))
    want = everything(store)
    manifest = read_manifest(file)
    manifest.counts["sources"] += 1
    _, length, digest = archive._read_footer(file)
    monkeypatch.setattr(archive, "_read_footer", lambda _file: (manifest, length, digest))
    with pytest.raises(StoreError, match="1 rows in sources, there should be 2"):
        restore_backup(store, settings_for(database_url=url_of(store)), file, "me", quiet, replace=True)
    assert everything(store) == want


def test_backups_of_later_programs_other_widths_and_other_databases_are_refused(
    filled_store: Store, settings_for: MakeSettings, tmp_path: Path
) -> None:
    store, file = filled_store, tmp_path / "b"
    settings = settings_for(database_url=url_of(store))
    with store.write() as c:
        c.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    make_backup(store, file, quiet)
    with store.write() as c:
        c.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": head()})
    with pytest.raises(StoreError, match=r"revision 9999, which this program .* does not know"):
        restore_backup(store, settings, file, "me", quiet, replace=True)
    make_backup(store, tmp_path / "now", quiet)
    wider = settings.model_copy(update={"bucket_seconds": 3_600})
    with pytest.raises(StoreError, match="BAROMETER_BUCKET_SECONDS"):
        restore_backup(store, wider, tmp_path / "now", "me", quiet, replace=True)
    other = Store(f"sqlite:///{tmp_path / 'x.db'}" if not store.is_sqlite else "postgresql://nobody@127.0.0.1:1/x")
    with pytest.raises(StoreError, match="do not mix"):
        restore_backup(other, settings, tmp_path / "now", "me", quiet)


def test_a_plain_copy_of_the_database_is_no_backup(tmp_path: Path, settings_for: MakeSettings) -> None:
    store = open_store(settings_for(), migrate=True)
    assert store.path is not None
    with sqlite3.connect(tmp_path / "copy") as copy, sqlite3.connect(store.path) as c:
        c.backup(copy)
    with pytest.raises(StoreError, match="was not made by"):
        read_manifest(tmp_path / "copy")
    store.close()


def test_a_reader_of_sqlite_sees_all_of_it_or_nothing(tmp_path: Path, settings_for: MakeSettings) -> None:
    """The living file is written in one transaction: who has it open sees what was, and then what is."""
    settings = settings_for()
    store = open_store(settings, migrate=True)
    make_backup(store, tmp_path / "b", quiet)
    with store.write() as c:
        c.execute(insert(t.Source), [{"name": f"s{i}", "created_at": 1, "muted": False} for i in range(20_000)])
    other = Store(settings.database_url)
    count = select(func.count()).select_from(t.Source)
    with other.read() as c:
        assert c.execute(count).scalar() == 20_000
        restore_backup(store, settings, tmp_path / "b", "me", quiet, replace=True)
        assert c.execute(count).scalar() == 20_000
    with other.read() as c:
        assert c.execute(count).scalar() == 0
    with other.write() as c:
        c.execute(insert(t.Source).values(name="goes on", created_at=1, muted=False))
    for s in (other, store):
        s.close()


# --- tools and command -----------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_missing_and_old_tools_are_named(
    fresh_postgres: str, settings_for: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(settings_for(database_url=fresh_postgres), migrate=True)
    with pytest.raises(StoreError, match=r"is of version \d+, the server is of version 99: .*postgresql-client-99"):
        postgres_tools.find_tool("pg_dump", 99)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    with pytest.raises(StoreError, match="pg_dump is not there: install"):
        make_backup(store, tmp_path / "b", quiet)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    store.close()


@pytest.mark.postgres
def test_a_password_goes_by_the_environment(
    fresh_postgres: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = fresh_postgres.replace("barometer@", "barometer:s3cr3t@")
    store = Store(url)
    upgrade(store)
    seen: list[tuple[list[str], dict[str, str]]] = []
    real = postgres.subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        if "env" in options:  # not the question for its version
            seen.append((command, options["env"]))  # type: ignore[arg-type]
        return real(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(postgres.subprocess, "Popen", popen)
    make_backup(store, tmp_path / "b", quiet)
    ((command, env),) = seen
    assert "s3cr3t" not in " ".join(command)
    assert env["PGPASSWORD"] == "s3cr3t"
    store.close()


def test_the_commands(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAROMETER_DATABASE_URL", url_of(store))
    from barometer import settings as module

    module.settings.cache_clear()
    with ExitStack() as stack:
        stack.callback(module.settings.cache_clear)
        run = CliRunner()
        file = str(tmp_path / "b")
        done = run.invoke(app, ["db", "backup", file])
        assert done.exit_code == 0, done.output
        assert f"revision {head()}" in done.output
        store.engine.dispose()
        assert run.invoke(app, ["db", "restore", file, "--replace"], input="n\n").exit_code == 1
        done = run.invoke(app, ["db", "restore", file, "--replace", "--yes"])
        assert done.exit_code == 0, done.output
        assert "restored" in done.output
    with store.read() as c:
        assert c.execute(select(t.AuditEntry.action)).scalars().all() == ["store.restore"]
