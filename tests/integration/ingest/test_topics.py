"""Topics that Barometer makes on Apache Kafka: as they must be, with the copies that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from barometer.errors import BarometerError, SettingsError
from barometer.settings import Settings
from ingest.local_broker.apache_kafka import ApacheKafka
from ingest.topic.topics import LONGEST, ensure_topics


def configs(kafka: ApacheKafka, topic: str) -> dict[str, str]:
    admin = kafka.admin()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = admin.describe_configs([resource], config_filter="all")["topic"][topic]
    finally:
        admin.close()
    return {name: entry["value"] for name, entry in found.items()}


def copies(kafka: ApacheKafka, topic: str) -> set[int]:
    admin = kafka.admin()
    try:
        [described] = admin.describe_topics([topic])
    finally:
        admin.close()
    return {len(p["replica_nodes"]) for p in described["partitions"]}


def test_a_topic_takes_archives_whatever_the_brokers_defaults_are(
    own_kafka: Callable[..., ApacheKafka], settings_for: Callable[..., Settings]
) -> None:
    defaults = {
        "log.retention.ms": 3_600_000,
        "log.retention.bytes": 1_000_000,
        "log.cleanup.policy": "compact",
        "log.message.timestamp.type": "LogAppendTime",
        "log.message.timestamp.before.max.ms": 3_600_000,
        "log.message.timestamp.after.max.ms": 3_600_000,
    }
    kafka = own_kafka(properties=defaults)
    settings = settings_for(kafka)
    ensure_topics(settings)
    for topic in (settings.topic_documents, settings.topic_dlq):
        found = configs(kafka, topic)
        assert found["message.timestamp.type"] == "CreateTime"
        assert (found["retention.ms"], found["retention.bytes"], found["cleanup.policy"]) == ("-1", "-1", "delete")
        assert found["message.timestamp.before.max.ms"] == found["message.timestamp.after.max.ms"] == LONGEST
    with pytest.raises(BarometerError, match=r"fewer brokers.*BAROMETER_TOPIC_REPLICATION"):
        ensure_topics(settings.model_copy(update={"topic_documents": "documents-3", "topic_replication": 3}))


def test_copies_as_the_settings_say(
    own_kafka: Callable[..., ApacheKafka], settings_for: Callable[..., Settings]
) -> None:
    kafka = own_kafka(brokers=3)
    settings = settings_for(kafka, topic_replication=2, topic_min_insync=1)
    ensure_topics(settings)
    for topic in (settings.topic_documents, settings.topic_dlq):
        assert copies(kafka, topic) == {2}
        assert configs(kafka, topic)["min.insync.replicas"] == "1"
    by_default = settings.model_copy(
        update={"topic_replication": 0, "topic_min_insync": 0, "topic_documents": "d2", "topic_dlq": "d2.dlq"}
    )
    ensure_topics(by_default)
    assert copies(kafka, "d2") == {3}
    assert configs(kafka, "d2")["min.insync.replicas"] == "2"


def test_more_in_sync_than_there_are_copies_is_refused(settings_for: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match="topic_min_insync must not be more than topic_replication"):
        settings_for(topic_replication=2, topic_min_insync=3)
