"""Processes are frozen (SIGSTOP) at the wrong moment and woken (SIGCONT) when others have taken over: what they held
back is refused, exactly one of two racing writes lands, and they go on by themselves. Real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from barometer.buckets import Buckets
from barometer.errors import StaleWrite
from barometer.records import Document as Text
from barometer.records import fingerprint, hash64, pack_row
from barometer.settings import Settings
from barometer.store import leases
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.migrate import open_store
from barometer.store.stream import log_epochs
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.store.stuck_sessions import end_frozen_sessions
from barometer.store.tables import Document, Offset, SealedBucket
from barometer.vocabulary import Kind
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker
from tests.support.stream import T0, WorkerProcess, assert_sums, rows, topic_of, totals, wait_for, worker

MakeSettings = Callable[..., Settings]


@pytest.fixture
def postgres_store(fresh_postgres: str, settings_for: MakeSettings) -> Iterator[Store]:
    opened = open_store(settings_for(database_url=fresh_postgres), migrate=True)
    yield opened
    opened.close()


def url_of(store: Store) -> str:
    return store.url.render_as_string(hide_password=False)


def test_of_two_racing_writes_exactly_one_lands(store: Store, settings_for: MakeSettings) -> None:
    """The same records in two hands, as after a worker's freeze: at once, again and again."""
    settings = settings_for(database_url=url_of(store))
    log_id = int(log_epochs.register_log(store, "c", settings.topic_documents, 1).id)
    writers = [Writer(store, Buckets(600, settings.zone)) for _ in range(2)]
    gate, outcomes = threading.Barrier(2), list[str]()

    def race(writer: Writer) -> None:
        for n in range(15):
            said = f"text {n}"
            row = pack_row(log_id, 0, n)
            document = Text(row, T0 + n, Kind.COMMENT, said, hash64("row", str(row)), hash64(said), fingerprint(said),
                            False, source="forum")  # fmt: skip
            batch = Batch(log_id, 1, [Move(0, n or None, n + 1, 1)], [document], [None], ["zh"], ["no_model"], [])
            gate.wait()
            try:
                writer.commit(batch)
                outcomes.append("landed")
            except (StaleWrite, DBAPIError) as e:
                outcomes.append(type(e).__name__)
            gate.wait()

    threads = [threading.Thread(target=race, args=(w,)) for w in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["StaleWrite"] * 15 + ["landed"] * 15
    assert totals(store)["documents"] == totals(store)["records"] == len(rows(store)) == 15


@pytest.mark.postgres
def test_a_worker_wakes_up_with_a_batch_in_hand(
    postgres_store: Store, broker: Broker, settings_for: MakeSettings, tmp_path: Path
) -> None:
    """Its batch is scored and about to be written; the new owner of its partitions has written past it."""
    store = postgres_store
    settings = settings_for(broker, url_of(store), worker_batch=20, session_timeout_ms=2_000)
    log = tmp_path / "frozen.log"
    with topic_of(settings) as topic:
        topic.documents(120)
        topic.flush()
        frozen = WorkerProcess(settings, log, seconds=0.8)
        other: WorkerProcess | None = None
        try:
            wait_for(lambda: totals(store)["records"] >= 20)
            time.sleep(0.2)  # the scorer is at the next batch, which goes to the database when it is done
            frozen.signal(signal.SIGSTOP)
            before = totals(store)["records"]
            other = WorkerProcess(settings, tmp_path / "other.log")
            wait_for(lambda: totals(store)["records"] == 120)
            assert before < 120
            expected = rows(store)
            frozen.signal(signal.SIGCONT)
            wait_for(lambda: "write refused" in log.read_text() or log.read_text().count("partitions dealt out") > 1)
            assert rows(store) == expected
            wait_for(lambda: log.read_text().count("partitions dealt out") > 1, what="it is in the group again")
            assert other.terminate() == 0
            topic.documents(30)
            topic.flush()
            wait_for(lambda: totals(store)["records"] == 150, what="it goes on by itself")
            assert frozen.terminate() == 0
        finally:
            frozen.kill()
            if other is not None:
                other.kill()
        assert_sums(store, 150)


@pytest.mark.postgres
def test_a_worker_frozen_in_the_middle_of_a_copy_holds_nobody_up(
    postgres_store: Store, broker: Broker, settings_for: MakeSettings, tmp_path: Path
) -> None:
    """The server waits for the rest of its COPY and calls that active: no timeout of PostgreSQL's ends it."""
    store = postgres_store
    settings = settings_for(broker, url_of(store), session_timeout_ms=2_000)
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
                   " AND query LIKE :what AND wait_event = :event")  # fmt: skip

    def sessions(what: str, event: str) -> int:
        with store.read() as c:
            return int(c.execute(waiting, {"what": what, "event": event}).scalar_one())

    with topic_of(settings) as topic:
        topic.documents(6)
        topic.flush()
        frozen = WorkerProcess(settings, tmp_path / "frozen.log")
        try:
            wait_for(lambda: totals(store)["records"] == 6)
            with store.write() as c:  # holds its COPY until it is frozen
                c.execute(text("LOCK TABLE documents IN SHARE MODE"))
                topic.documents(6)
                topic.flush()
                wait_for(lambda: sessions("COPY documents%", "relation"))
                frozen.signal(signal.SIGSTOP)
            wait_for(lambda: sessions("COPY documents%", "ClientRead"))
            with worker(settings, store, KeywordScorer()):
                wait_for(lambda: sessions("%offsets%", "transactionid"), what="the new owner is held up")
                assert end_frozen_sessions(store, 60.0) == 0, "in time"
                time.sleep(1.2)
                assert end_frozen_sessions(store, 1.0) == 1
                wait_for(lambda: totals(store)["records"] == 12)
                frozen.signal(signal.SIGCONT)
                topic.documents(6)
                topic.flush()
                wait_for(lambda: totals(store)["records"] == 18)
            assert frozen.terminate() == 0
        finally:
            frozen.kill()
        assert_sums(store, 18)


class MonitorProcess:
    """``barometer monitor`` in a process of its own."""

    def __init__(self, settings: Settings, log: Path) -> None:
        names = (
            "database_url", "kafka_bootstrap", "topic_documents", "topic_dlq", "topic_partitions", "consumer_group",
            "lease_seconds", "progress_interval_seconds", "tick_seconds", "metrics_port_monitor", "bucket_seconds",
            "lateness_seconds",
        )  # fmt: skip
        values = {f"BAROMETER_{n.upper()}": str(getattr(settings, n)) for n in names}
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "monitor"],
            stdout=self._log, stderr=subprocess.STDOUT, cwd=Path(__file__).parents[3], env={**os.environ, **values},
        )  # fmt: skip

    def end(self) -> int:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._log.close()


@pytest.mark.postgres
def test_a_leader_wakes_up_beyond_its_lease(
    fresh_postgres: str, broker: Broker, settings_for: MakeSettings, tmp_path: Path
) -> None:
    settings = settings_for(
        broker, fresh_postgres, lease_seconds=2.0, progress_interval_seconds=0.3, tick_seconds=0.2, bucket_seconds=10,
        lateness_seconds=1, topic_partitions=2,
    )  # fmt: skip
    store = open_store(settings, migrate=True)
    texts = [tmp_path / "a.log", tmp_path / "b.log"]

    def leader() -> leases.Lease | None:
        return leases.holder_of(store, leases.LEADER)

    def sealed() -> int:
        return int(status(store, settings)["sealed_until"] or 0)

    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()):
        topic.documents(20, at=time.time_ns() // 1_000_000 - 12_000)
        topic.flush()
        a = MonitorProcess(settings, texts[0])
        b: MonitorProcess | None = None
        try:
            wait_for(sealed)
            first = leader()
            assert first is not None
            b = MonitorProcess(settings, texts[1])
            wait_for(lambda: "monitor starts" in texts[1].read_text())
            os.kill(a.process.pid, signal.SIGSTOP)
            second = wait_for(lambda: (x := leader()) and x.term > first.term and x)
            os.kill(a.process.pid, signal.SIGCONT)
            wait_for(lambda: "somebody else leads now" in texts[0].read_text())
            assert leader().term == second.term  # type: ignore[union-attr]
            assert b.end() == 0
            third = wait_for(lambda: (x := leader()) and x.term > second.term and x)
            assert third.holder == first.holder, "the one that was frozen leads again"
            assert a.end() == 0
        finally:
            a.kill()
            if b is not None:
                b.kill()
        with store.read() as c:
            terms = c.execute(select(SealedBucket.term).order_by(SealedBucket.series_id, SealedBucket.start)).scalars()
            assert first.term in set(terms)
            late = c.execute(select(Document.late)).scalars().all()
            stands = c.execute(select(Offset.progress_term)).scalars().all()
        assert late.count(True) == 0
        assert len(stands) == 2
    store.close()
