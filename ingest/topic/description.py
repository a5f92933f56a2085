"""What the broker says of a topic: its partitions, replicas and settings (DescribeConfigs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError

from barometer.settings import Settings
from ingest.topic.topics import admin


@dataclass(frozen=True, slots=True)
class Topic:
    """What the broker says of a topic."""

    name: str
    bootstrap: str
    partitions: int
    replicas: int
    """Copies of the partition that has fewest."""
    in_sync: int
    """Of these in sync, where they are fewest."""
    brokers: int
    configs: Mapping[str, str] = field(default_factory=dict)
    """Its settings, the broker's defaults among them; empty: not told."""
    may_ask: bool = True
    """False: the broker says that we lack the right DescribeConfigs."""

    def number(self, name: str) -> int | None:
        """A setting as a number; None: not told, or no number."""
        try:
            return int(self.configs[name])
        except (KeyError, ValueError, TypeError):
            return None

    @property
    def unchecked(self) -> str | None:
        """Why its settings could not be looked at, in one line; None: they could."""
        if self.configs:
            return None
        if not self.may_ask:
            return (
                f"topic {self.name}: its settings could not be checked: the right DescribeConfigs is missing. "
                f"kafka-acls.sh --bootstrap-server {self.bootstrap} --add --allow-principal User:NAME "
                f"--operation DescribeConfigs --topic {self.name}"
            )
        return f"topic {self.name}: its settings could not be checked: the broker does not tell them"

    @property
    def stamps(self) -> bool:
        """The broker puts its own time in place of the records'."""
        return self.configs.get("message.timestamp.type") == "LogAppendTime"


def look(settings: Settings, *names: str, timeout_ms: int = 15_000) -> list[Topic]:
    """Ask the broker about topics; those that are not there, or that we may not see, are left out.

    Raises:
        BarometerError: no broker answers.
    """
    with admin(settings, request_timeout_ms=timeout_ms, bootstrap_timeout_ms=min(5_000, timeout_ms)) as client:
        described = [t for t in client.describe_topics(list(names)) if t["error_code"] == 0 and t["partitions"]]
        brokers = len(client.describe_cluster().get("brokers") or ())
        told = _configs(client, [t["name"] for t in described])
    return [
        Topic(
            name=t["name"],
            bootstrap=settings.kafka_bootstrap,
            partitions=len(t["partitions"]),
            replicas=min(len(p["replica_nodes"]) for p in t["partitions"]),
            in_sync=min(len(p["isr_nodes"]) for p in t["partitions"]),
            brokers=brokers,
            configs=told.get(t["name"], {}),
            may_ask="DESCRIBE_CONFIGS" in (t.get("authorized_operations") or ["DESCRIBE_CONFIGS"]),
        )
        for t in described
    ]


def _configs(client: KafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Settings by topic; none where the broker does not tell them."""
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    try:
        found = client.describe_configs(resources, config_filter="all").get("topic", {})
    except KafkaError:  # an old broker, or one that is not Kafka
        return {}
    return {
        topic: {name: str(entry["value"]) for name, entry in entries.items() if entry.get("value") is not None}
        for topic, entries in found.items()
        if entries
    }


def first_offsets(settings: Settings, topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """Where the log begins now, by partition.

    Raises:
        BarometerError: no broker answers, or it refuses.
    """
    with admin(settings) as client:
        found = client.list_partition_offsets({TopicPartition(topic, p): OffsetSpec.EARLIEST for p in partitions})
    return {place.partition: int(at.offset) for place, at in found.items()}
