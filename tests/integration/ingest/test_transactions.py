"""Texts of Kafka's transactions: read when they are committed, in the log's order, never when they are aborted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaProducer

from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from ingest.local_broker.apache_kafka import ApacheKafka
from testing.keyword_scorer import KeywordScorer
from tests.support.stream import message, rows, topic_of, totals, wait_for, worker

MakeSettings = Callable[..., Settings]


@pytest.fixture
def settings(kafka: ApacheKafka, settings_for: MakeSettings) -> Settings:
    return settings_for(kafka, topic_partitions=2)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings, migrate=True)
    yield opened
    opened.close()


@contextmanager
def transactional(settings: Settings, **options: object) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(**settings.kafka(), transactional_id=settings.consumer_group, **options)
    producer.init_transactions()
    try:
        yield producer
    finally:
        producer.close(timeout=2)


def in_both(producer: KafkaProducer, settings: Settings, word: str) -> None:
    """Begin a transaction with a text in each partition."""
    producer.begin_transaction()
    for p in range(2):
        producer.send(settings.topic_documents, message(f"{word} {p}"), partition=p)
    producer.flush()


def texts(store: Store) -> set[str]:
    return {row[2] for row in rows(store)}


def test_an_open_transaction_holds_up_its_partitions_until_it_ends(settings: Settings, store: Store) -> None:
    with topic_of(settings) as topic, transactional(settings) as producer, worker(settings, store, KeywordScorer()):
        topic.send(message("before"), partition=0, at=None)
        topic.flush()
        wait_for(lambda: texts(store) == {"before"})
        in_both(producer, settings, "committed")
        topic.send(message("behind it"), partition=0, at=None)
        topic.flush()
        time.sleep(1.0)
        assert texts(store) == {"before"}, "what is undecided is not read, nor what stands behind it"
        producer.commit_transaction()
        wait_for(lambda: totals(store)["records"] == 4)
        in_both(producer, settings, "aborted")
        topic.send(message("the last"), partition=1, at=None)
        topic.flush()
        producer.abort_transaction()
        wait_for(lambda: totals(store)["records"] == 5)
    assert texts(store) == {"before", "committed 0", "committed 1", "behind it", "the last"}


def test_a_transaction_whose_producer_is_gone_is_given_up_by_the_broker(
    settings: Settings, store: Store, own_kafka: Callable[..., ApacheKafka]
) -> None:
    """The broker looks for such transactions every ten seconds; here twice a second."""
    kafka = own_kafka(properties={"transaction.abort.timed.out.transaction.cleanup.interval.ms": 500})
    settings = settings.model_copy(update={"kafka_bootstrap": kafka.bootstrap})
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()):
        with transactional(settings, transaction_timeout_ms=1_000) as producer:
            in_both(producer, settings, "orphaned")
        topic.send(message("goes on"), partition=0, at=None)
        topic.flush()
        wait_for(lambda: texts(store) == {"goes on"})
