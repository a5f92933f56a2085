"""What goes wrong around the worker: others join and leave, broker and database go away, the log is replaced."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from barometer.errors import StoreError
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.stream import log_epochs
from barometer.store.tables import AuditEntry, Log, Offset
from ingest.topic.topics import identity
from testing.keyword_scorer import KeywordScorer
from testing.postgres import PostgresServer
from tests.conftest import Broker, MakeBroker
from tests.support.proxy import Proxy
from tests.support.stream import Running, WorkerProcess, assert_sums, rows, topic_of, totals, wait_for, worker

pytestmark = pytest.mark.both_brokers

MakeSettings = Callable[..., Settings]


def url_of(store: Store) -> str:
    return store.url.render_as_string(hide_password=False)


@pytest.fixture
def postgres_store(fresh_postgres: str, settings_for: MakeSettings) -> Iterator[Store]:
    opened = open_store(settings_for(database_url=fresh_postgres), migrate=True)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(settings_for: MakeSettings) -> Iterator[Store]:
    """Where the test is about the broker, one database will do."""
    opened = open_store(settings_for(), migrate=True)
    yield opened
    opened.close()


# --- several workers -------------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_workers_join_and_leave_while_records_come(
    postgres_store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    store = postgres_store
    settings = settings_for(broker, url_of(store), topic_partitions=6, worker_batch=20)
    halt = threading.Event()
    with topic_of(settings) as topic:

        def produce() -> None:
            while not halt.is_set():
                topic.documents(10)
                topic.flush()
                time.sleep(0.05)

        producing = threading.Thread(target=produce)
        producing.start()
        try:
            with worker(settings, store, KeywordScorer(0.01)) as first:
                wait_for(lambda: totals(store)["records"] > 100)
                with worker(settings, store, KeywordScorer(0.01)) as second:
                    wait_for(lambda: any(name == "batch" for name, _ in second.events))
                    n = totals(store)["records"]
                    wait_for(lambda: totals(store)["records"] > n + 100)
                assert any(name == "batch" for name, _ in first.events)
                n = totals(store)["records"]
                wait_for(lambda: totals(store)["records"] > n + 100, what="the first takes over again")
                halt.set()
                producing.join()
                wait_for(lambda: totals(store)["records"] >= topic.sent)
        finally:
            halt.set()
            producing.join()
        assert_sums(store, topic.sent)


@pytest.mark.postgres
def test_a_frozen_worker_writes_nothing_when_it_wakes(
    postgres_store: Store, broker: Broker, settings_for: MakeSettings, tmp_path: Path
) -> None:
    store = postgres_store
    settings = settings_for(broker, url_of(store), worker_batch=20, session_timeout_ms=2_000)
    with topic_of(settings) as topic:
        topic.documents(400)
        topic.flush()
        frozen = WorkerProcess(settings, tmp_path / "frozen.log", seconds=0.2)
        try:
            wait_for(lambda: totals(store)["records"] >= 60)
            frozen.signal(signal.SIGSTOP)
            before = totals(store)["records"]
            with worker(settings, store, KeywordScorer()):
                wait_for(lambda: totals(store)["records"] == 400)
                assert before < 400
                expected = rows(store)
                frozen.signal(signal.SIGCONT)
                time.sleep(4)  # time to write what it had in hand, were it let to
                assert rows(store) == expected
                topic.documents(50)
                topic.flush()
                wait_for(lambda: totals(store)["records"] == 450)
            assert frozen.terminate() == 0
        finally:
            frozen.kill()
        assert_sums(store, 450)


# --- broker and database away ----------------------------------------------------------------------------------------


def test_the_broker_goes_away_and_comes_back(store: Store, settings_for: MakeSettings, own_broker: MakeBroker) -> None:
    proxy = Proxy()
    with own_broker(advertised_port=proxy.port) as broker:
        proxy.target = broker.port
        proxy.start()
        settings = settings_for(
            broker, url_of(store), kafka_bootstrap=f"127.0.0.1:{proxy.port}", session_timeout_ms=2_000
        )
        with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
            topic.documents(30)
            topic.flush()
            wait_for(lambda: totals(store)["records"] == 30)
            proxy.cut()
            wait_for(lambda: running.state == "broker away")
            time.sleep(2.5)  # the group forgets the worker
            proxy.mend()
            topic.documents(30)
            topic.flush()
            wait_for(lambda: totals(store)["records"] == 60)
            wait_for(lambda: running.state == "running")
        assert_sums(store, 60)
        assert "log replaced" not in running.states


def test_a_worker_waits_for_a_broker_that_is_not_there_yet(
    sqlite_store: Store, settings_for: MakeSettings, own_broker: MakeBroker
) -> None:
    store = sqlite_store
    with own_broker() as first:
        port = first.port
    settings = settings_for(None, url_of(store), kafka_bootstrap=f"127.0.0.1:{port}")
    with worker(settings, store, KeywordScorer()) as running:
        wait_for(lambda: running.state == "broker away")
        with own_broker(port=port), topic_of(settings) as topic:
            topic.documents(9)
            topic.flush()
            wait_for(lambda: totals(store)["records"] == 9)
            running.end()


@pytest.mark.postgres
def test_the_database_goes_away_and_comes_back(
    own_postgres: PostgresServer, broker: Broker, settings_for: MakeSettings
) -> None:
    settings = settings_for(broker, own_postgres.url, worker_batch=10)
    store = open_store(settings, migrate=True)
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
        topic.documents(30)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 30)
        own_postgres.stop("immediate")
        topic.documents(100)
        topic.flush()
        wait_for(lambda: running.state == "database away")
        time.sleep(1)
        own_postgres.start()
        wait_for(lambda: totals(store)["records"] == 130)
        wait_for(lambda: running.state == "running")
        assert_sums(store, 130)
    store.close()


@pytest.mark.postgres
def test_a_connection_that_breaks_within_a_batch_is_no_end(
    postgres_store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    """An administrator ends every session again and again, so that some die inside a COPY."""
    store = postgres_store
    settings = settings_for(broker, url_of(store), worker_batch=20)
    end_all = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                   " AND datname = current_database()")  # fmt: skip
    with topic_of(settings) as topic:
        topic.documents(1_000)
        topic.flush()
        other = Store(url_of(store))
        with worker(settings, store, KeywordScorer()):
            while totals(other)["records"] < 1_000:
                with contextlib.suppress(DBAPIError), other.write() as c:
                    c.execute(end_all)
                time.sleep(0.1)
        assert_sums(store, 1_000)
        other.close()


@pytest.mark.postgres
def test_a_database_that_refuses_for_good_stops_the_worker(
    postgres_store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    store = postgres_store
    settings = settings_for(broker, url_of(store))
    with topic_of(settings) as topic:
        with store.write() as c:
            c.execute(text("ALTER TABLE documents ADD CONSTRAINT never CHECK (text = '')"))
        topic.documents(3)
        topic.flush()
        with pytest.raises(IntegrityError), worker(settings, store, KeywordScorer()) as running:
            running.thread.join(20)
        assert not running.thread.is_alive()
        assert running.state == "stopped"
        assert totals(store)["records"] == 0


# --- another log -----------------------------------------------------------------------------------------------------


def replaced(running: Running) -> str:
    wait_for(lambda: running.state == "log replaced")
    return str(next(d["reason"] for n, d in reversed(running.events) if n == "state" and "reason" in d))


def test_another_cluster_is_never_read_without_leave(
    store: Store, settings_for: MakeSettings, own_broker: MakeBroker
) -> None:
    with own_broker() as old, contextlib.ExitStack() as rest:
        settings = settings_for(old, url_of(store))
        with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
            topic.documents(20)
            topic.flush()
            wait_for(lambda: totals(store)["records"] == 20)
            old.kill()
            new = rest.enter_context(own_broker(port=old.port))
            again = rest.enter_context(topic_of(settings))
            again.documents(50, word="new")
            again.flush()
            assert new.cluster_id in replaced(running)
            assert totals(store)["records"] == 20
            with store.read() as c:
                row = log_epochs.current_log(c, settings.topic_documents)
            assert row is not None
            assert "another cluster" in row.replaced_reason
            running.end()
        log_epochs.accept_replacement(store, settings, "operator", new.cluster_id)
        # In another group: the new broker may hold joins of the old one for ever, where a member came over to it.
        anew = settings.model_copy(update={"consumer_group": f"{settings.consumer_group}-anew"})
        with worker(anew, store, KeywordScorer()) as running:
            wait_for(lambda: totals(store)["records"] == 50)
            running.end()
        assert len(rows(store)) == 70
        with store.read() as c:
            seen = log_epochs.list_logs(c)
            audit = c.execute(select(AuditEntry.actor, AuditEntry.action)).one()
        assert [(r.cluster_id, r.current) for r in seen] == [(old_id(seen), False), (new.cluster_id, True)]
        assert tuple(audit) == ("operator", "log.accept")


def old_id(seen: object) -> str:
    return str(seen[0].cluster_id)  # type: ignore[index]


def test_a_broker_without_a_memory_is_another_log(
    sqlite_store: Store, settings_for: MakeSettings, own_broker: MakeBroker
) -> None:
    """The same cluster id, the same name of the topic, and nothing in it."""
    store = sqlite_store
    with own_broker(cluster_id="same") as old:
        settings = settings_for(old, url_of(store))
        with topic_of(settings) as topic:
            topic.documents(20)
            topic.flush()
            with worker(settings, store, KeywordScorer()):
                wait_for(lambda: totals(store)["records"] == 20)
    with own_broker(port=old.port, cluster_id="same"), worker(settings, store, KeywordScorer()) as running:
        assert log_epochs.MADE_ANEW in replaced(running)
        assert totals(store)["records"] == 20
        log_epochs.accept_replacement(store, settings, "operator", *identity(settings, settings.topic_documents))
        with topic_of(settings) as topic:
            topic.documents(5)
            topic.flush()
            wait_for(lambda: totals(store)["records"] == 5)
        running.end()
        assert len(rows(store)) == 25


def test_the_right_broker_comes_back(
    store: Store, broker: Broker, settings_for: MakeSettings, own_broker: MakeBroker
) -> None:
    settings = settings_for(broker, url_of(store))
    with topic_of(settings) as topic:
        topic.documents(12)
        topic.flush()
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == 12)
        with own_broker() as wrong:
            astray = settings.model_copy(update={"kafka_bootstrap": wrong.bootstrap})
            with worker(astray, store, KeywordScorer()) as running:
                replaced(running)
        topic.documents(3)
        topic.flush()
        with worker(settings, store, KeywordScorer()) as running:
            assert "another cluster" in replaced(running)
            log_id = log_epochs.accept_replacement(store, settings, "operator", broker.cluster_id)
            wait_for(lambda: totals(store)["records"] == 15)
        assert_sums(store, 15)
        with store.read() as c:
            assert [r.id for r in log_epochs.list_logs(c)] == [log_id]


def test_accepting_a_gap_goes_on_behind_it(store: Store, settings_for: MakeSettings) -> None:
    settings = settings_for(None, url_of(store))
    log_id = int(log_epochs.register_log(store, "c", settings.topic_documents, 2).id)
    with store.write() as c:
        for p, n in ((0, 10), (1, 20)):
            c.execute(Offset.__table__.insert().values(log_id=log_id, partition=p, next_offset=n, updated_at=0))
    with pytest.raises(StoreError, match="nothing to accept"):
        log_epochs.accept_replacement(store, settings, "me", "c")
    log_epochs.mark_replaced(store, log_id, log_epochs.trimmed({0: (10, 25)}))
    log_epochs.mark_replaced(store, log_id, "a later reason does not replace the first")
    assert log_epochs.accept_replacement(store, settings, "me", "c") == log_id
    with store.read() as c:
        assert dict(c.execute(select(Offset.partition, Offset.next_offset)).tuples().all()) == {0: 25, 1: 20}
        assert c.execute(select(Log.replaced_reason)).scalar() is None
        data = c.execute(select(AuditEntry.data)).scalar()
    assert data is not None
    assert "partition 0: 10 -> 25" in data["reason"]


def test_a_position_before_the_beginning_is_a_gap_to_be_accepted(
    store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    """The embedded broker cannot delete records, so the position is put before its beginning instead."""
    settings = settings_for(broker, url_of(store))
    log_id = int(log_epochs.register_log(store, broker.cluster_id, settings.topic_documents, 3).id)
    with store.write() as c:
        c.execute(Offset.__table__.insert().values(log_id=log_id, partition=1, next_offset=-5, updated_at=0))
    with worker(settings, store, KeywordScorer()) as running:
        assert f"{log_epochs.TRIMMED}: partition 1: -5 -> 0" in replaced(running)


def test_a_refused_log_stops_a_worker_that_is_at_work(store: Store, broker: Broker, settings_for: MakeSettings) -> None:
    settings = settings_for(broker, url_of(store))
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
        topic.documents(6)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 6)
        with store.write() as c:
            c.execute(update(Log).values(replaced_reason="found by another worker"))
        topic.documents(6)
        topic.flush()
        assert "found by another worker" in replaced(running)
        assert totals(store)["records"] == 6


def test_a_log_that_is_closed_behind_a_worker_ends_its_session(
    store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    settings = settings_for(broker, url_of(store))
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
        topic.documents(6)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 6)
        with store.write() as c:
            c.execute(update(Log).values(replaced_reason="the operator knows why"))
        new = log_epochs.accept_replacement(store, settings, "operator", broker.cluster_id)
        topic.documents(6)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 12, what="the new log is read from its beginning")
        assert "log replaced" not in running.states
        with store.read() as c:
            log = log_epochs.current_log(c, settings.topic_documents)
        assert log is not None
        assert (log.id, log.partitions) == (new, 3)
