"""The worker's Kafka consumer, and figures of it that kafka-python has no public name for."""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer

from barometer.broker import clients
from barometer.broker.errors import BrokerUnreachable
from barometer.errors import SettingsError
from barometer.settings import Settings
from ingest.messages.broken_batches import accept_broken_batches
from ingest.messages.header_names import accept_any_header_names

FETCH_BYTES = 32 * 2**20
"""A response may hold this much; a single larger record still comes, alone."""
PARTITION_FETCH_BYTES = 4 * 2**20
CLOSE_MS = 3_000
METADATA_MS = 1_000
"""New partitions, another cluster id and another topic of our topic's name are noticed within this time."""


def make_consumer(settings: Settings) -> KafkaConsumer:
    """A consumer of raw bytes that commits nothing by itself and takes no default position.

    Raises:
        BrokerError: no broker answers, or none lets us in.
    """
    accept_broken_batches()
    accept_any_header_names()
    options = {
        "group_id": settings.consumer_group,
        "client_id": "barometer-worker",
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "session_timeout_ms": settings.session_timeout_ms,
        "heartbeat_interval_ms": min(3_000, settings.session_timeout_ms // 3),
        "max_poll_interval_ms": settings.worker_poll_interval_seconds * 1000,
        "fetch_max_wait_ms": 250,
        "fetch_max_bytes": FETCH_BYTES,
        "max_partition_fetch_bytes": PARTITION_FETCH_BYTES,
        # Larger than any message a broker is likely to take, whatever the fetch sizes are.
        "receive_message_max_bytes": 256 * 2**20,
        "metadata_max_age_ms": METADATA_MS,
        "reconnect_backoff_max_ms": 2_000,
        # Joins have a limit of their own in the client, and silent connections are closed long before this
        # (ingest/worker/connections.py): it only bounds an answer that trickles in.
        "request_timeout_ms": 30_000,
        "connections_max_idle_ms": max(540_000, settings.worker_poll_interval_seconds * 1000 + 60_000),
    }
    return _made(settings, options)


def make_reader(settings: Settings) -> KafkaConsumer:
    """A consumer outside the group, for a look at single records.

    Raises:
        BrokerError: no broker answers, or none lets us in.
    """
    accept_any_header_names()
    options = {
        "client_id": "barometer-reader",
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "allow_auto_create_topics": False,
        "max_partition_fetch_bytes": 1,  # a batch of records comes however little is asked for
        "receive_message_max_bytes": 256 * 2**20,
    }
    return _made(settings, options)


def _made(settings: Settings, options: dict[str, Any]) -> KafkaConsumer:
    try:
        return clients.consumer(settings, **options)
    except SettingsError as e:  # it was right at the start: a file is being replaced, and is waited for
        raise BrokerUnreachable(str(e)) from e


def cluster_of(consumer: KafkaConsumer) -> str | None:
    """The cluster id of the last metadata, or None before the first."""
    found = consumer._cluster.cluster_id
    return None if found is None else str(found)


def topic_id_of(consumer: KafkaConsumer, topic: str) -> str | None:
    """The topic's id by the last metadata; None from a broker without them (before Kafka 2.8), or without the topic."""
    found = consumer._cluster.topic_id(topic)
    return None if found is None else str(found)


def partitions_of(consumer: KafkaConsumer, topic: str) -> int:
    """Number of partitions by the last metadata; the public call may wait for the broker for ever."""
    return len(consumer._cluster.partitions_for_topic(topic) or ())
