"""What is judged of a topic's settings, and which records a topic is known to refuse."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from barometer.settings import Settings
from ingest.producing import archive
from ingest.topic import record_limits, wording
from ingest.topic.description import Topic
from ingest.topic.preconditions import check, check_archive
from ingest.topic.record_limits import Limits, limits
from ingest.topic.topics import LONGEST

GOOD = {
    "message.timestamp.type": "CreateTime",
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.before.max.ms": LONGEST,
    "message.timestamp.after.max.ms": "3600000",
    "max.message.bytes": "1048588",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
}
SETTINGS = Settings(topic_documents="d", topic_dlq="d.dlq")


def topic(name: str = "d", replicas: int = 3, in_sync: int = 3, brokers: int = 3, **configs: str) -> Topic:
    changed = {k.replace("_", "."): v for k, v in configs.items()}
    return Topic(name, "kafka:9092", 4, replicas, in_sync, brokers, GOOD | changed)


@pytest.mark.parametrize("module", [archive, record_limits, wording])
def test_examples(module: ModuleType) -> None:
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)


def test_a_topic_as_it_must_be() -> None:
    assert check(SETTINGS, [topic(), topic("d.dlq")]) == []


@pytest.mark.parametrize(
    ("found", "name", "needed", "level"),
    [
        (topic(message_timestamp_type="LogAppendTime"), "message.timestamp.type", "CreateTime", "problem"),
        (topic(cleanup_policy="compact,delete"), "cleanup.policy", "delete", "problem"),
        (topic(in_sync=1), "in-sync replicas", "2", "problem"),
        (topic(min_insync_replicas="4"), "min.insync.replicas", "at most 3", "note"),
        (topic(min_insync_replicas="1"), "min.insync.replicas", "2", "note"),
        (topic(replicas=1, in_sync=1, min_insync_replicas="1"), "replication factor", "3", "note"),
        (topic(retention_ms="604800000"), "retention.ms", "-1", "note"),
        (topic(retention_bytes="1000"), "retention.bytes", "-1", "note"),
        (topic(message_timestamp_before_max_ms="86400000"), "message.timestamp.before.max.ms", LONGEST, "note"),
        (topic(message_timestamp_after_max_ms="60000"), "message.timestamp.after.max.ms", "3600000", "note"),
        (topic(max_message_bytes="1000"), "max.message.bytes", "1048588", "note"),
        (topic("d.dlq", max_message_bytes="1000"), "max.message.bytes", "131072", "note"),
        (topic(unclean_leader_election_enable="true"), "unclean.leader.election.enable", "false", "note"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(found: Topic, name: str, needed: str, level: str) -> None:
    [finding] = check(SETTINGS, [found])
    assert (finding.topic, finding.name, finding.needed, finding.level) == (found.name, name, needed, level)
    assert f"topic {found.name}: {name} is " in finding.text
    assert "\n" not in finding.text
    assert "kafka-" in finding.remedy or "brokers" in finding.remedy


def test_the_copies_of_dead_letters_may_be_deleted_in_time() -> None:
    assert check(SETTINGS, [topic("d.dlq", retention_ms="1000", message_timestamp_before_max_ms="1000")]) == []


def test_nonsense_from_a_stand_in_is_not_judged() -> None:
    odd = topic(retention_ms="week", max_message_bytes="", min_insync_replicas="none")
    assert check(SETTINGS, [odd]) == []
    assert limits(odd, SETTINGS).largest is None
    silent = Topic("d", "kafka:9092", 4, 1, 1, 1)
    assert check(SETTINGS, [silent]) == []
    assert check_archive(silent, 0, 1 << 40, 1 << 41) == []
    assert "the broker does not tell them" in str(silent.unchecked)


def test_an_archive_against_the_retention() -> None:
    day = 86_400_000
    week = topic(retention_ms=str(7 * day))
    assert check_archive(week, 93 * day + 1, 10, 100 * day) == []
    [finding] = check_archive(week, 92 * day, 10, 100 * day)
    assert (finding.name, finding.found) == ("retention.ms", "604800000 (7 d)")
    assert check_archive(topic(cleanup_policy="compact", retention_ms="1"), 0, 10, day) == []
    [finding] = check_archive(topic(retention_bytes="1000"), None, 4_001, day)
    assert finding.name == "retention.bytes"
    assert check_archive(topic(retention_bytes="1000"), None, 4_000, day) == []


def test_limits() -> None:
    assert limits(topic(message_timestamp_type="LogAppendTime"), SETTINGS) == Limits(largest=1_048_588)
    packed = SETTINGS.model_copy(update={"kafka_options": {"compression_type": "zstd"}})
    assert limits(topic(), packed).largest is None
    found = limits(topic(), SETTINGS)
    assert found.refuses(0, 1_048_588, 10**12) is None
    assert found.refuses(10**12 + 3_600_000, 10, 10**12) is None
    assert "ahead" in str(found.refuses(10**12 + 3_600_001, 10, 10**12))
    assert "1,048,589 bytes" in str(found.refuses(None, 1_048_589, 10**12))
