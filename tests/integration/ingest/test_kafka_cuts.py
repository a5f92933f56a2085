"""A real Kafka loses acknowledged records in an unclean election, with no worker there to see it."""

from __future__ import annotations

import time
from collections.abc import Callable

from kafka import KafkaProducer
from kafka.errors import KafkaError
from sqlalchemy import select

from barometer.settings import Settings
from barometer.store.migrate import open_store
from barometer.store.stream import log_epochs
from barometer.store.tables import Offset
from ingest.local_broker.apache_kafka import ApacheKafka
from ingest.topic.topics import identity
from testing.keyword_scorer import KeywordScorer
from tests.support.stream import message, rows, wait_for, worker

MakeSettings = Callable[..., Settings]
FENCED = {"broker.session.timeout.ms": 2_000, "broker.heartbeat.interval.ms": 500, "replica.lag.time.max.ms": 2_000}
"""A dead broker is given up after two seconds."""


def make_topic(kafka: ApacheKafka, settings: Settings) -> None:
    """One partition on brokers 1 and 2; the third only votes."""
    admin = kafka.admin()
    config = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true", "retention.ms": "-1"}
    admin.create_topics(
        {settings.topic_documents: {"assignments": {0: [1, 2]}, "configs": config}, settings.topic_dlq: {}},
    )
    admin.close()


def send(kafka: ApacheKafka, settings: Settings, n: int, word: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            producer = KafkaProducer(
                bootstrap_servers=kafka.bootstrap.split(","), acks="all", bootstrap_timeout_ms=10_000,
                request_timeout_ms=5_000, delivery_timeout_ms=20_000, max_block_ms=20_000,
            )  # fmt: skip
            sent = [producer.send(settings.topic_documents, message(f"{word} {i}"), partition=0) for i in range(n)]
            for future in sent:
                future.get(20)
            producer.close()
            return
        except KafkaError:
            assert time.monotonic() < deadline
            time.sleep(1)


def leader(kafka: ApacheKafka, settings: Settings) -> tuple[int, list[int]]:
    """(the partition's leader, -1 for none; its replicas in sync)."""
    admin = kafka.admin(bootstrap_timeout_ms=10_000)
    try:
        (topic,) = admin.describe_topics([settings.topic_documents])
        (partition,) = topic["partitions"]
        return int(partition["leader_id"]), sorted(partition["isr_nodes"])
    except KafkaError:
        return -1, []
    finally:
        admin.close()


def test_a_cut_that_nobody_saw_is_told_by_epochs(
    own_kafka: Callable[..., ApacheKafka], settings_for: MakeSettings
) -> None:
    """Sixty records that were read are gone, and a hundred others stand in their place when the worker starts."""
    kafka = own_kafka(brokers=3, properties=FENCED)
    settings = settings_for(kafka, topic_partitions=1)
    make_topic(kafka, settings)
    store = open_store(settings, migrate=True)
    send(kafka, settings, 100, "both have it")
    kafka.kill(2)
    wait_for(lambda: leader(kafka, settings) == (1, [1]), 40, "the first broker is alone in sync")
    send(kafka, settings, 60, "one has it")
    with worker(settings, store, KeywordScorer()):
        wait_for(lambda: len(rows(store)) == 160, 40)
    with store.read() as c:
        assert c.execute(select(Offset.leader_epoch)).scalar_one() is not None
    kafka.kill(1)
    kafka.restart(2)
    wait_for(lambda: leader(kafka, settings)[0] == 2, 60, "an unclean election")
    send(kafka, settings, 100, "in their place")
    with worker(settings, store, KeywordScorer()) as running:
        wait_for(lambda: running.state == "log replaced", 40)
        reason = next(d["reason"] for n, d in reversed(running.events) if n == "state" and "reason" in d)
        assert reason.endswith(f"{log_epochs.CUT}: partition 0: 160 -> 100")
        log_epochs.accept_replacement(store, settings, "operator", *identity(settings, settings.topic_documents))
        wait_for(lambda: len(rows(store)) == 260, 30, "what took their place is read")
    store.close()
