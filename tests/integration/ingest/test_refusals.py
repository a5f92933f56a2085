"""Records that Apache Kafka refuses, batches that it makes us split, brokers that go away: what arrives is counted to
the row, in order, and nothing arrives twice."""

from __future__ import annotations

import json
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from barometer.settings import Settings
from ingest.local_broker.apache_kafka import ApacheKafka
from ingest.local_broker.embedded_broker import EmbeddedBroker
from ingest.producing import refusals
from ingest.producing.produce import Record, produce_records
from ingest.producing.sender import DeliveryError, Refused, Sender
from ingest.topic.description import look
from ingest.topic.preconditions import check
from tests.integration.ingest.test_produce_command import Command
from tests.support.stream import wait_for

HOUR = 3_600_000
IMPATIENT = {"delivery_timeout_ms": 3_000, "request_timeout_ms": 1_000}


@pytest.fixture
def settings(settings_for: Callable[..., Settings], kafka: ApacheKafka) -> Settings:
    return settings_for(kafka)


def make_topic(
    kafka: ApacheKafka | EmbeddedBroker, topic: str, partitions: int = 2, replicas: int = 1, **configs: str
) -> None:
    """A topic as the broker makes it; ``max_message_bytes=...`` is max.message.bytes."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap.split(","))
    try:
        options = {
            "num_partitions": partitions,
            "replication_factor": replicas,
            "configs": {k.replace("_", "."): v for k, v in configs.items()},
        }
        admin.create_topics({topic: options}, wait_for_metadata=True)
    finally:
        admin.close()


def log_of(kafka: ApacheKafka, topic: str, partitions: int = 2) -> dict[int, list[Any]]:
    """Every partition's records, in order."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap.split(","), enable_auto_commit=False)
    try:
        places = [TopicPartition(topic, p) for p in range(partitions)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        out: dict[int, list[Any]] = {p: [] for p in range(partitions)}
        deadline = time.monotonic() + 60
        while any(consumer.position(tp) < ends[tp] for tp in places):
            assert time.monotonic() < deadline
            for tp, records in consumer.poll(timeout_ms=200).items():
                out[tp.partition] += records
        return out
    finally:
        consumer.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def forty(bad: tuple[int, ...] = (3, 9, 10, 20, 39)) -> list[Record]:
    """40 rows, five of them 28 hours ahead, where Kafka allows one."""
    now = now_ms()
    return [
        Record(now + (28 * HOUR if i in bad else i), f"key {i % 7}".encode(), str(i).encode(), f"f.csv:{i}")
        for i in range(40)
    ]


def arrived(kafka: ApacheKafka, topic: str, partitions: int = 2) -> list[int]:
    return sorted(int(r.value) for records in log_of(kafka, topic, partitions).values() for r in records)


def test_refused_rows_are_named_and_take_no_other_with_them(settings: Settings, kafka: ApacheKafka) -> None:
    topic = settings.topic_documents
    make_topic(kafka, topic)
    told: list[Refused] = []
    sent = produce_records(settings, None, forty(), progress=False, on_bad=told.append)
    assert (sent.records, sent.skipped, sent.unknown) == (35, 5, 0)
    assert [e.where for e in told] == ["f.csv:3", "f.csv:9", "f.csv:10", "f.csv:20", "f.csv:39"]
    assert "out of range" in str(told[0])
    assert arrived(kafka, topic) == [i for i in range(40) if i not in (3, 9, 10, 20, 39)]
    for records in log_of(kafka, topic).values():
        values = [int(r.value) for r in records]
        assert values == sorted(values)


def test_without_leave_to_skip_the_first_is_named_and_the_rest_has_arrived(
    settings: Settings, kafka: ApacheKafka
) -> None:
    make_topic(kafka, settings.topic_documents)
    sender = Sender(settings, settings.topic_documents)
    with sender, pytest.raises(DeliveryError, match=r"f\.csv:3: refused by the broker: .*out of range"):
        for r in forty():
            sender.send(r.time_ms, r.key, r.value, where=r.where)
        sender.flush()
    assert (sender.given, sender.arrived, sender.refused, sender.unknown) == (40, 35, 5, 0)
    assert len(arrived(kafka, settings.topic_documents)) == 35


def test_order_and_counts_hold_whatever_is_refused(settings: Settings, kafka: ApacheKafka) -> None:
    """Many small batches to three partitions, a record in 200 refused."""
    topic, chance = settings.topic_documents, random.Random(5)
    make_topic(kafka, topic, partitions=3)
    impatient = settings.model_copy(update={"kafka_options": {"batch_size": 2_000, "linger_ms": 0}})
    bad = {i for i in range(6_000) if chance.random() < 0.005}
    told: list[Refused] = []
    with Sender(impatient, topic, told.append) as sender:
        now = now_ms()
        for i in range(6_000):
            at = now + (28 * HOUR if i in bad else 0)
            sender.send(at, f"key {i % 50}".encode(), str(i).encode() * 5, where=str(i))
        sender.flush()
    assert sender.arrived == 6_000 - len(bad)
    assert {int(e.where) for e in told} == bad
    found = [[int(r.value[: len(r.value) // 5]) for r in records] for records in log_of(kafka, topic, 3).values()]
    assert all(values == sorted(values) for values in found)
    assert sorted(n for values in found for n in values) == [i for i in range(6_000) if i not in bad]


def test_who_is_at_fault_is_found_where_the_broker_does_not_say(
    settings: Settings, kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Kafka 2.4 the answer names no record."""
    from kafka.producer.sender import Sender as ClientThread

    make_topic(kafka, settings.topic_documents)
    monkeypatch.setattr(ClientThread, "_record_exceptions_fn", lambda _self, error, _records, _text: lambda _i: error)
    told: list[Refused] = []
    sent = produce_records(settings, None, forty(), progress=False, on_bad=told.append)
    assert (sent.records, sent.skipped, sent.unknown) == (35, 5, 0)
    assert [e.where for e in told] == ["f.csv:3", "f.csv:9", "f.csv:10", "f.csv:20", "f.csv:39"]
    for records in log_of(kafka, settings.topic_documents).values():
        values = [int(r.value) for r in records]
        assert values == sorted(values)


def test_with_an_unknown_client_library_nothing_is_sent_twice(
    settings: Settings, kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "KNOWN", ())
    make_topic(kafka, settings.topic_documents)
    told: list[Refused] = []
    sender = Sender(settings, settings.topic_documents, told.append)
    with sender, pytest.raises(DeliveryError, match=r"f\.csv:\d+: not delivered"):
        for r in forty():
            sender.send(r.time_ms, r.key, r.value, where=r.where)
        sender.flush()
    there = arrived(kafka, settings.topic_documents)
    assert len(there) == len(set(there))
    assert sender.arrived <= len(there) <= sender.arrived + sender.unknown
    # A sender of its own goes on.
    with Sender(settings, settings.topic_documents) as another:
        another.send(None, b"k", b"40", where="f.csv:40")
        another.flush()
    assert arrived(kafka, settings.topic_documents)[-1] == 40


def test_batches_that_must_be_split_arrive_and_are_counted(settings: Settings, kafka: ApacheKafka) -> None:
    topic = settings.topic_documents
    make_topic(kafka, topic, max_message_bytes="20000")
    records = [
        Record(now_ms(), f"key {i % 7}".encode(), str(i).encode() + b" " * (30_000 if i == 170 else 900), f"f.csv:{i}")
        for i in range(400)
    ]
    told: list[Refused] = []
    sent = produce_records(settings, None, records, progress=False, on_bad=told.append)
    assert (sent.records, sent.skipped, sent.unknown) == (399, 1, 0)
    assert [str(e) for e in told] == [
        "f.csv:170: refused by the broker: larger than the topic takes (max.message.bytes)"
    ]
    assert arrived(kafka, topic) == [i for i in range(400) if i != 170]


def test_a_broker_that_goes_away_ends_the_sending_with_exact_counts(
    own_kafka: Callable[..., ApacheKafka], settings_for: Callable[..., Settings]
) -> None:
    kafka = own_kafka()
    settings = settings_for(kafka, kafka_options=IMPATIENT)
    topic = settings.topic_documents
    make_topic(kafka, topic)

    def rows() -> Iterator[Record]:
        yield from forty(bad=())
        kafka.kill()
        yield from (Record(now_ms(), b"k", str(i).encode(), f"f.csv:{i}") for i in range(40, 2_000))
        time.sleep(5)
        yield Record(now_ms(), b"k", b"2000", "f.csv:2000")

    counted: list[Any] = []
    began = time.monotonic()
    with pytest.raises(DeliveryError, match=r"^f\.csv:\d+: not delivered: KafkaTimeoutError.*$"):
        produce_records(settings, None, rows(), progress=False, on_sent=counted.append)
    assert time.monotonic() - began < 30
    sent = counted[-1]
    kafka.restart()
    there = arrived(kafka, topic)
    assert there == list(range(len(there)))  # nothing overtook, nothing twice
    assert sent.records <= len(there) <= sent.records + sent.unknown
    assert sent.records + sent.unknown <= 2_000
    with pytest.raises(DeliveryError), Sender(settings, topic) as sender:
        sender.send(None, b"k", b"3000", where="f.csv:3000")
        kafka.kill()
        sender.send(None, b"k", b"3001", where="f.csv:3001")
        sender.flush()
    assert not [t for t in threading.enumerate() if t.name.startswith("barometer-produce") and t.is_alive()]


def test_too_few_replicas_are_said(
    own_kafka: Callable[..., ApacheKafka], settings_for: Callable[..., Settings]
) -> None:
    kafka = own_kafka(brokers=3, properties={"broker.session.timeout.ms": 3_000})
    settings = settings_for(kafka, kafka_options=IMPATIENT)
    make_topic(kafka, settings.topic_documents, partitions=1, replicas=2, min_insync_replicas="2")
    [topic] = look(settings, settings.topic_documents)
    assert (topic.replicas, topic.in_sync, topic.brokers) == (2, 2, 3)
    with Sender(settings, settings.topic_documents) as sender:
        sender.send(None, b"k", b"v", where="f.csv:1")
        sender.flush()
        admin = kafka.admin()
        [partition] = admin.describe_topics([settings.topic_documents])[0]["partitions"]
        admin.close()
        kafka.kill(next(n for n in partition["replica_nodes"] if n != partition["leader_id"]))
        sender.send(None, b"k", b"v", where="f.csv:2")
        with pytest.raises(DeliveryError, match=r"f\.csv:2: not delivered"):
            sender.flush()
    assert (sender.arrived, sender.unknown) == (1, 1)
    wait_for(lambda: look(settings, settings.topic_documents)[0].in_sync == 1, 40)
    found = check(settings, look(settings, settings.topic_documents))
    [finding] = [f for f in found if f.level == "problem"]
    assert (finding.name, finding.found, finding.needed, finding.level) == ("in-sync replicas", "1", "2", "problem")


def test_refused_rows_and_a_broker_that_dies_leave_order_and_counts_right(
    own_kafka: Callable[..., ApacheKafka], settings_for: Callable[..., Settings]
) -> None:
    """Six partitions on three brokers, so that others' batches are under way when one is refused."""
    kafka = own_kafka(brokers=3, properties={"broker.session.timeout.ms": 3_000})
    settings = settings_for(kafka, kafka_options={"batch_size": 4_000, "linger_ms": 0})
    make_topic(kafka, settings.topic_documents, partitions=6, replicas=3)
    chance, now = random.Random(7), now_ms()
    bad = {i for i in range(3_000) if chance.random() < 0.01}
    told: list[Refused] = []
    with Sender(settings, settings.topic_documents, told.append) as sender:
        for i in range(6_000):
            if i == 3_000:
                sender.flush()
            if i == 4_000:
                kafka.kill(2)
            at = now + (28 * HOUR if i in bad else 0)
            sender.send(at, f"key {i % 50}".encode(), str(i).encode() * 5, where=str(i))
        sender.flush()
    assert {int(e.where) for e in told} == bad
    assert (sender.arrived, sender.refused, sender.unknown) == (6_000 - len(bad), len(bad), 0)
    found = [
        [int(r.value[: len(r.value) // 5]) for r in x] for x in log_of(kafka, settings.topic_documents, 6).values()
    ]
    assert all(values == sorted(values) for values in found)
    assert sorted(n for values in found for n in values) == [i for i in range(6_000) if i not in bad]


def test_the_command_says_what_arrived_when_the_broker_has_gone(
    own_kafka: Callable[..., ApacheKafka], settings_for: Callable[..., Settings]
) -> None:
    kafka = own_kafka()
    settings = settings_for(kafka)
    make_topic(kafka, settings.topic_documents)
    command = Command(settings)
    command.env["BAROMETER_KAFKA_OPTIONS"] = json.dumps(IMPATIENT)
    process = command.start("produce", "-", "--set", "kind=news", stdin=subprocess.PIPE)
    assert process.stdin is not None
    try:
        # Rows are read by the block.
        for i in range(3_000):
            process.stdin.write(json.dumps({"text": f"t{i}"}) + "\n")
        process.stdin.flush()
        wait_for(lambda: sum(map(len, log_of(kafka, settings.topic_documents).values())) > 1_000)
        kafka.kill()
        for i in range(3_000, 6_000):
            process.stdin.write(json.dumps({"text": f"t{i}"}) + "\n")
        _, err = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 1, err
    assert "Traceback" not in err
    found = re.search(r"stopped: ([\d,]+) records in the log, ([\d,]+) more may be \(the broker did not answer\)", err)
    assert found is not None, err
    in_log, unknown = (int(x.replace(",", "")) for x in found.groups())
    assert re.search(r"stdin:\d+: not delivered: KafkaTimeoutError: .*127\.0\.0\.1", err), err
    kafka.restart()
    there = sum(map(len, log_of(kafka, settings.topic_documents).values()))
    assert in_log <= there <= in_log + unknown
