"""The least rights of each part on a Kafka with ACLs, and what is said where one is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from barometer.broker.errors import NotAuthorized
from barometer.records import Row
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.migrate import open_store
from barometer.store.stream.dead_letters import find_letters
from barometer.store.tables import Job as JobRow
from ingest.dead_letters.relay import Relay
from ingest.dead_letters.replay import Replayer, fetch_value
from ingest.local_broker.apache_kafka import ApacheKafka
from ingest.producing.produce import produce_rows
from ingest.topic.topics import describe_topic, ensure_topics, identity
from monitor.alarms.checks import Alarms
from monitor.jobs import PeriodicJob, Runner
from monitor.sealing.progress import ProgressTicker
from testing.keyword_scorer import KeywordScorer
from tests.integration.monitor.test_monitor import monitoring
from tests.integration.monitor.test_sealing import lead
from tests.support.locked import as_user
from tests.support.stream import T0, Running, assert_sums, topic_of, totals, wait_for, worker

MakeSettings = Callable[..., Settings]
Allow = Callable[..., None]


@pytest.fixture
def plain(secure_kafka: ApacheKafka, settings_for: MakeSettings) -> Settings:
    """The super user's settings."""
    return settings_for(kafka_bootstrap=secure_kafka.bootstrap)


@pytest.fixture
def store(plain: Settings) -> Iterator[Store]:
    opened = open_store(plain, migrate=True)
    yield opened
    opened.close()


@pytest.fixture
def allow(secure_kafka: ApacheKafka) -> Iterator[Allow]:
    """``allow(user, *operations, topic=, group=)`` until the end of the test."""
    given: list[tuple[Any, Any]] = []

    def give(user: str, *operations: str, **where: str) -> None:
        secure_kafka.allow(user, *operations, **where)
        given.append(((user, *operations), where))

    yield give
    for what, where in given:
        secure_kafka.withdraw(*what, **where)


def topics_of(kafka: ApacheKafka) -> set[str]:
    client = kafka.admin()
    try:
        return set(client.list_topics())
    finally:
        client.close()


def jobs(store: Store) -> dict[str, str | None]:
    with store.read() as c:
        return {r.name: r.message for r in c.execute(select(JobRow.name, JobRow.message))}


def reasons(running: Running) -> list[str]:
    return [str(data.get("reason")) for name, data in running.events if name == "state" and "reason" in data]


@pytest.mark.timeout(120)
def test_a_worker_needs_read_on_topic_and_group_and_nothing_else(
    secure_kafka: ApacheKafka, plain: Settings, store: Store, allow: Allow
) -> None:
    settings = as_user(plain, secure_kafka, "worker")
    allow("worker", "Read", topic=settings.topic_documents)
    allow("worker", "Read", group=settings.consumer_group)
    with topic_of(plain) as topic:
        topic.documents(20)
        topic.flush()
        with worker(settings, store, KeywordScorer()) as running:
            wait_for(lambda: totals(store)["records"] == 20)
            wait_for(lambda: running.state == "running")
        assert not {"not authorised", "broker away"} & set(running.states)
    assert_sums(store, 20)


@pytest.mark.timeout(180)
def test_each_missing_right_is_named_and_reading_begins_when_it_is_given(
    secure_kafka: ApacheKafka, plain: Settings, store: Store, allow: Allow
) -> None:
    settings = as_user(plain, secure_kafka, "worker")
    documents, group = settings.topic_documents, settings.consumer_group
    with structlog.testing.capture_logs() as logged, worker(settings, store, KeywordScorer()) as running:
        wait_for(lambda: running.state == "not authorised")
        assert f"User:worker lacks the right Describe on topic {documents}" in reasons(running)[-1]
        wait_for(lambda: len([s for s in logged if s["event"] == "not authorised"]) == 1)
        assert documents not in topics_of(secure_kafka)

        allow("worker", "Describe", topic=documents)
        wait_for(lambda: f"User:worker lacks the right Create on topic {documents}" in reasons(running)[-1])
        assert documents not in topics_of(secure_kafka)

        with topic_of(plain) as topic:
            topic.documents(30)
            topic.flush()
            wait_for(lambda: f"User:worker lacks the right Read on group {group}" in reasons(running)[-1])
            allow("worker", "Read", group=group)
            wait_for(lambda: f"User:worker lacks the right Read on topic {documents}" in reasons(running)[-1])
            wait_for(lambda: running.state == "not authorised")
            allow("worker", "Read", topic=documents)
            wait_for(lambda: totals(store)["records"] == 30)
            wait_for(lambda: running.state == "running")
    said = [s["error"] for s in logged if s["event"] == "not authorised"]
    assert len(said) == len(set(said)), "a warning came more than once"
    assert not [s for s in logged if s["event"] == "broker away"]
    assert_sums(store, 30)


@pytest.mark.timeout(180)
def test_rights_taken_away_and_given_back_lose_nothing(
    secure_kafka: ApacheKafka, plain: Settings, store: Store, allow: Allow
) -> None:
    settings = as_user(plain, secure_kafka, "worker")
    documents = settings.topic_documents
    allow("worker", "Read", group=settings.consumer_group)
    allow("worker", "Read", topic=documents)
    with topic_of(plain) as topic, worker(settings, store, KeywordScorer()) as running:
        topic.documents(30)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 30)
        secure_kafka.withdraw("worker", "Read", topic=documents)
        topic.documents(30)
        topic.flush()
        wait_for(lambda: running.state == "not authorised")
        wait_for(lambda: "rights" in {p["code"] for p in status(store, settings)["problems"]})  # its next beat
        changes = Alarms(store, settings, patience_seconds=0).check(lead(store))
        assert [c.fingerprint for c in changes if c.fingerprint == "system:rights"]
        [problem] = [p for p in status(store, settings)["problems"] if p["code"] == "rights"]
        assert f"User:worker lacks the right Describe on topic {documents}" in problem["text"] or (
            f"User:worker lacks the right Read on topic {documents}" in problem["text"]
        )
        secure_kafka.allow("worker", "Read", topic=documents)
        wait_for(lambda: totals(store)["records"] == 60)
    assert_sums(store, 60)
    assert "log replaced" not in running.states


@pytest.mark.timeout(120)
def test_the_monitor_needs_write_on_both_topics(
    secure_kafka: ApacheKafka, plain: Settings, store: Store, allow: Allow
) -> None:
    ensure_topics(plain)
    with topic_of(plain) as topic, worker(plain, store, KeywordScorer()):
        topic.send(b"no json")
        topic.flush()
        wait_for(lambda: totals(store)["dead_letters"] == 1)
    settings = as_user(plain, secure_kafka, "monitor")
    ticker, relay = ProgressTicker(settings, store, "monitor-x"), Relay(settings, store)
    runner = Runner(store, lambda: lead(store), lambda: None)
    job = PeriodicJob("progress", 1, lambda _lease: ticker.tick())
    with structlog.testing.capture_logs() as logged:
        runner(job)
        runner(job)
    assert [s["log_level"] for s in logged if s.get("job") == "progress"] == ["warning", "debug"]
    with store.read() as c:
        said = str(c.execute(select(JobRow.message).where(JobRow.name == "progress")).scalar_one())
    assert said.startswith("not authorised: ")
    assert f"User:monitor lacks the right Write on topic {settings.topic_documents}" in said
    changes = Alarms(store, settings, patience_seconds=0).check(lead(store))
    assert "system:rights" in [c.fingerprint for c in changes]
    assert not [c for c in changes if c.fingerprint in ("system:missing_ticks", "system:job:progress")]

    # Describe alone lets it connect, and is not enough.
    allow("monitor", "Describe", topic=settings.topic_documents)
    with pytest.raises(NotAuthorized, match="Write on topic"):
        ticker.tick()
    allow("monitor", "Write", topic=settings.topic_documents)
    wait_for(ticker.tick)
    with pytest.raises(NotAuthorized, match=rf"Write on topic {settings.topic_dlq}"):
        relay.run()
    allow("monitor", "Write", topic=settings.topic_dlq)
    assert wait_for(relay.run) == 1
    ticker.close()
    relay.close()


@pytest.mark.timeout(120)
def test_a_monitor_that_takes_progress_from_timestamps_needs_write_on_the_dead_letters_alone(
    secure_kafka: ApacheKafka, plain: Settings, store: Store, allow: Allow
) -> None:
    with topic_of(plain) as topic, worker(plain, store, KeywordScorer()):
        topic.send(b"no json")
        topic.flush()
        wait_for(lambda: totals(store)["dead_letters"] == 1)
    settings = as_user(plain, secure_kafka, "monitor", progress_from="timestamps")
    allow("monitor", "Write", topic=settings.topic_dlq)
    relay = Relay(settings, store)
    try:
        with monitoring(settings, store):
            assert wait_for(relay.run) == 1
            wait_for(lambda: len(jobs(store)) >= 3)
            time.sleep(2)
    finally:
        relay.close()
    assert "progress" not in jobs(store)
    assert not [message for message in jobs(store).values() if message]


@pytest.mark.timeout(120)
def test_dead_letters_need_read_and_write_to_be_replayed(
    secure_kafka: ApacheKafka, plain: Settings, store: Store, allow: Allow
) -> None:
    with topic_of(plain) as topic, worker(plain, store, KeywordScorer()):
        topic.send(b"[" + b"1," * 100_000 + b"1]", partition=0)
        topic.flush()
        wait_for(lambda: totals(store)["dead_letters"] == 1)
    [letter] = find_letters(store)
    assert letter.cut
    settings = as_user(plain, secure_kafka, "dlq")
    documents = settings.topic_documents
    allow("dlq", "Write", topic=documents)
    with pytest.raises(NotAuthorized, match=rf"User:dlq lacks the right Read on topic {documents}"):
        fetch_value(settings, letter.row)
    with Replayer(settings, store, "tester") as replayer, pytest.raises(NotAuthorized, match="Read on topic"):
        replayer.replay([letter])
    allow("dlq", "Read", topic=documents)
    assert len(fetch_value(settings, letter.row) or b"") == letter.value_length
    assert fetch_value(settings, Row(letter.row.log_id, 0, 99)) is None
    with Replayer(settings, store, "tester") as replayer:
        assert [r.refused for r in replayer.replay([letter])] == [None]


@pytest.mark.timeout(60)
def test_a_topic_that_may_not_be_seen_is_neither_missing_nor_the_same(
    secure_kafka: ApacheKafka, plain: Settings
) -> None:
    """``log accept`` asks :func:`identity`: without an answer it must not go on with the old log."""
    settings = as_user(plain, secure_kafka, "nobody")
    documents = settings.topic_documents
    for ask in (lambda: ensure_topics(settings), lambda: describe_topic(settings, documents),
                lambda: identity(settings, documents)):  # fmt: skip
        with pytest.raises(NotAuthorized, match=rf"User:nobody lacks the right Describe on topic {documents}"):
            ask()
    assert documents not in topics_of(secure_kafka)
    ensure_topics(plain)
    with pytest.raises(NotAuthorized):
        identity(settings, documents)


@pytest.mark.timeout(120)
def test_whoever_produces_needs_write(secure_kafka: ApacheKafka, plain: Settings, allow: Allow) -> None:
    ensure_topics(plain)
    settings = as_user(plain, secure_kafka, "produce")
    documents = settings.topic_documents
    rows = [(T0, {"text": "楼市平稳", "kind": "comment", "source": "forum"})]
    with pytest.raises(NotAuthorized, match=rf"User:produce lacks the right Describe on topic {documents}"):
        produce_rows(settings, None, rows)
    allow("produce", "Describe", topic=documents)
    with pytest.raises(NotAuthorized, match=rf"User:produce lacks the right Write on topic {documents}"):
        produce_rows(settings, None, rows)
    allow("produce", "Write", topic=documents)
    assert produce_rows(settings, None, rows).records == 1
