"""Membership in the consumer group of a real Kafka: a worker never stays outside, and says so while it is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from inspect import getmodule
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from sqlalchemy import select

from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.migrate import open_store
from barometer.store.tables import Alert, Offset
from ingest.local_broker.apache_kafka import ApacheKafka
from ingest.worker import membership
from ingest.worker.heartbeat import Heartbeat
from ingest.worker.main import Worker
from ingest.worker.reader import Reader
from monitor.alarms.checks import Alarms
from testing.keyword_scorer import KeywordScorer
from tests.integration.monitor.test_sealing import lead
from tests.support.stream import Topic, WorkerProcess, message, rows, topic_of, totals, wait_for, worker

MakeSettings = Callable[..., Settings]


@pytest.fixture
def kept(settings_for: MakeSettings) -> Iterator[Store]:
    """Where the test is about the broker, one database will do."""
    opened = open_store(settings_for(), migrate=True)
    yield opened
    opened.close()


def raise_partitions(kafka: ApacheKafka, settings: Settings, count: int) -> None:
    admin = kafka.admin()
    admin.create_partitions({settings.topic_documents: count})
    admin.close()


def send_to_each(topic: Topic, partitions: int, n: int) -> None:
    """``n`` texts into each of so many partitions."""
    for p in range(partitions):
        for i in range(n):
            topic.send(message(f"text {p} {i} {topic.sent} 楼市平稳"), partition=p)
    topic.flush()


def test_partitions_raised_under_a_busy_worker_are_read(
    kafka: ApacheKafka, settings_for: MakeSettings, kept: Store
) -> None:
    """A batch is held for most of the time, so the loop polls with 0, which is what loses joins."""
    settings = settings_for(kafka, topic_partitions=2, worker_batch=20, session_timeout_ms=6_000)
    with topic_of(settings) as topic, worker(settings, kept, KeywordScorer(0.05)) as running:
        topic.documents(400)
        topic.flush()
        wait_for(lambda: totals(kept)["documents"] > 20)
        for count in (4, 6):
            raise_partitions(kafka, settings, count)
            wait_for(lambda count=count: len(topic.producer.partitions_for(settings.topic_documents)) == count)
            send_to_each(topic, count, 10)
        wait_for(lambda: totals(kept)["documents"] == topic.sent, 40, "all partitions read")
        assert "not reading" not in running.states
    with kept.read() as c:
        assert c.execute(select(Offset.partition)).scalars().all() == [0, 1, 2, 3, 4, 5]


def test_five_first_starts_on_fresh_topics(kafka: ApacheKafka, settings_for: MakeSettings, kept: Store) -> None:
    for n in range(5):
        settings = settings_for(
            kafka, topic_documents=f"fresh-{id(kept)}-{n}", topic_partitions=4, consumer_group=f"fresh-{id(kept)}-{n}"
        )
        with worker(settings, kept, KeywordScorer()) as running:
            wait_for(lambda running=running: running.state == "running", 20, "joined")
            with topic_of(settings) as topic:
                topic.documents(20)
                topic.flush()
                wait_for(lambda n=n: len(rows(kept)) == 20 * (n + 1), 20, "read")


def test_without_the_cure_the_watchdog_brings_the_worker_back(
    kafka: ApacheKafka, settings_for: MakeSettings, kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cure is for one version of the client. Whatever loses a join in another, the worker says that it does not
    read, there is an alarm, and a new consumer joins."""
    monkeypatch.setattr(membership, "CURED", ())
    monkeypatch.setattr(membership, "MARGIN_SECONDS", 0.5)
    monkeypatch.setattr(getmodule(Reader), "POLL_MS", 0)
    settings = settings_for(kafka, topic_partitions=2, session_timeout_ms=6_000)
    with topic_of(settings) as topic, worker(settings, kept, KeywordScorer()) as running:
        topic.documents(10)
        topic.flush()
        wait_for(lambda: len(rows(kept)) == 10)
        raise_partitions(kafka, settings, 4)
        # If this never comes, the client no longer loses joins, and the cure can go.
        wait_for(lambda: running.state == "not reading", 25)
        wait_for(lambda: "not reading" in {p["state"] for p in status(kept, settings)["processes"]}, 5)
        alarms = Alarms(kept, settings, hold_seconds=0, patience_seconds=0)
        alarms.check(lead(kept))
        with kept.read() as c:
            assert "system:not_reading" in c.execute(select(Alert.fingerprint)).scalars().all()
        assert "not_reading" in {x["code"] for x in status(kept, settings)["problems"]}
        send_to_each(topic, 4, 5)
        wait_for(lambda: len(rows(kept)) == topic.sent, 60, "a new consumer reads")
        assert running.states[-1] == "running"


def test_what_waits_is_counted_while_nothing_is_fetched(
    kafka: ApacheKafka, settings_for: MakeSettings, kept: Store
) -> None:
    """Fetches tell of the end as it was then; while the model is busy there are none, and the broker is asked."""
    settings = settings_for(kafka, topic_partitions=2, worker_batch=10)
    with topic_of(settings) as topic, worker(settings, kept, KeywordScorer(3.0)):
        topic.documents(60)
        topic.flush()
        wait_for(lambda: totals(kept)["documents"] > 0, 30)
        topic.documents(500)
        topic.flush()
        wait_for(lambda: status(kept, settings)["lag"]["records"] > 500, 15, "all that waits is counted")


def test_a_partition_that_was_given_to_nobody_counts(
    kafka: ApacheKafka, settings_for: MakeSettings, kept: Store
) -> None:
    """Without the right to join there is no assignment at all; here another member holds one of the partitions."""
    settings = settings_for(kafka, topic_partitions=2)
    other = KafkaConsumer(
        **settings.kafka(), group_id=settings.consumer_group, enable_auto_commit=False, session_timeout_ms=6_000
    )
    other.subscribe([settings.topic_documents])
    with topic_of(settings) as topic, worker(settings, kept, KeywordScorer()):
        stop = threading.Event()
        holding = threading.Thread(target=lambda: [other.poll(100) for _ in iter(stop.is_set, True)])
        holding.start()
        try:
            wait_for(lambda: len(other.assignment()) == 1, 30, "the other member has a partition")
            send_to_each(topic, 2, 10)
            wait_for(lambda: totals(kept)["documents"] >= 10 and status(kept, settings)["lag"]["records"] == 10, 20)
        finally:
            stop.set()
            holding.join()
            other.close()


def test_the_marker_of_an_aborted_transaction_is_passed(
    kafka: ApacheKafka, settings_for: MakeSettings, kept: Store
) -> None:
    settings = settings_for(kafka, topic_partitions=1)
    with topic_of(settings) as topic, worker(settings, kept, KeywordScorer()):
        topic.documents(3)
        topic.flush()
        producer = KafkaProducer(**settings.kafka(), transactional_id=settings.consumer_group)
        producer.init_transactions()
        for word, end in (("committed", producer.commit_transaction), ("aborted", producer.abort_transaction)):
            producer.begin_transaction()
            producer.send(settings.topic_documents, message(word), partition=0)
            producer.flush()
            end()
        producer.close()
        # 3 texts, a text and its marker, a text and its marker
        wait_for(lambda: _at(kept) == [(7, 7)], 20, "the position is behind the last marker")
    assert [r[2] for r in rows(kept)][3:] == ["committed"]
    assert status(kept, settings)["lag"]["records"] == 0
    # Read on from there: nothing was lost, nothing comes twice.
    with topic_of(settings) as topic, worker(settings, kept, KeywordScorer()):
        topic.documents(2)
        topic.flush()
        wait_for(lambda: len(rows(kept)) == 6)


def _at(store: Store) -> list[tuple[int, int | None]]:
    with store.read() as c:
        return [tuple(r) for r in c.execute(select(Offset.next_offset, Offset.high_water).order_by(Offset.partition))]


def test_a_frozen_member_keeps_nobody_for_long(
    kafka: ApacheKafka, settings_for: MakeSettings, fresh_postgres: str, tmp_path: Any
) -> None:
    settings = settings_for(kafka, database_url=fresh_postgres, topic_partitions=4, session_timeout_ms=6_000)
    store = open_store(settings, migrate=True)
    with topic_of(settings) as topic:
        frozen = WorkerProcess(settings, tmp_path / "frozen.log")
        try:
            topic.documents(20)
            topic.flush()
            wait_for(lambda: len(rows(store)) == 20)
            with worker(settings, store, KeywordScorer()) as running:
                wait_for(lambda: running.state == "running", 20)
                frozen.signal(signal.SIGSTOP)
                send_to_each(topic, 4, 5)
                wait_for(lambda: len(rows(store)) == topic.sent, 25, "the other took over")
                frozen.signal(signal.SIGCONT)
                wait_for(lambda: len(status(store, settings)["processes"]) == 2)
                send_to_each(topic, 4, 5)
                wait_for(lambda: len(rows(store)) == topic.sent, 25, "both share again")
                assert "not reading" not in running.states
        finally:
            frozen.terminate()
    store.close()


def test_health_is_judged_by_what_is_read(settings_for: MakeSettings, kept: Store, monkeypatch: Any) -> None:
    """A loop that turns and reads nothing is no healthy worker; one that waits for a broker is."""
    monkeypatch.setattr(getmodule(Heartbeat), "STUCK_SECONDS", 0.2)
    made = Worker(settings_for(), kept, KeywordScorer, threading.Event())
    made._heartbeat.set_state("running")
    made._heartbeat.loop_turned()
    assert made.health()[0]
    threading.Event().wait(0.3)
    made._heartbeat.loop_turned()
    assert not made.health()[0]
    made._heartbeat.set_state("broker away")
    assert made.health()[0]
    made._heartbeat.set_state("running")
    made._heartbeat.reading()
    assert made.health()[0]
