"""The topics: made as they must be, checked, and the identity of the log that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    InvalidConfigurationError,
    InvalidReplicationFactorError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
)

from barometer.broker import clients
from barometer.errors import BarometerError
from barometer.settings import Settings

log = structlog.get_logger(__name__)


HIDDEN = int(TopicAuthorizationFailedError.errno)
"""The broker's code for a topic that we may not see, whether it is there or not."""


@contextmanager
def admin(settings: Settings, **options: Any) -> Iterator[KafkaAdminClient]:
    """Raises:
    BrokerError: no broker answers, or it does not do what is asked.
    """
    client = clients.admin(settings, **options)
    try:
        with clients.explained(settings, client):
            yield client
    finally:
        client.close()


LONGEST = str(2**63 - 1)
"""Kafka's way to say: without a limit."""
KEPT = {
    # Records carry their own time, and are kept for ever: Kafka's retention works on record timestamps and would delete
    # an archive as soon as it was written.
    "message.timestamp.type": "CreateTime",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    # Compaction would delete texts that share a key, and it refuses progress records, which have none.
    "cleanup.policy": "delete",
}
ANY_TIME = {
    # A refused record takes its whole batch with it, and most producers stop. Any time is taken, therefore; what the
    # worker cannot use becomes a dead letter, which people see. Kafka 3.6 and later have these; before there was no
    # limit unless somebody set one.
    "message.timestamp.before.max.ms": LONGEST,
    "message.timestamp.after.max.ms": LONGEST,
}


def ensure_topics(settings: Settings) -> None:
    """Make the document and dead letter topics where they are missing, as they must be; those that are there stay as
    they are (:mod:`ingest.topic.preconditions` looks at them).

    A topic that we may not see is there, for all we know, and is not made. The one for dead letters is no business of
    those who only read or write documents: they need no right on it.

    Raises:
        NotAuthorized: the documents' topic may not be seen, or is missing and may not be made.
        BrokerError: no broker answers, or it refuses.
    """
    documents, letters = settings.topic_documents, settings.topic_dlq
    with admin(settings) as client:
        found = {t["name"]: t["error_code"] for t in client.describe_topics([documents, letters])}
        if found.get(documents) == HIDDEN:
            raise clients.not_seen(settings, documents)
        if found.get(documents) != 0:
            try:
                _make(client, settings, documents, settings.topic_partitions)
            except AuthorizationError as e:
                raise clients.explain(
                    TopicAuthorizationFailedError({documents}),
                    settings,
                    client,
                    operation="Create",
                    remedy="it is not there: let an administrator make it, as docs/kafka.md says",
                ) from e
        if found.get(letters) not in (0, HIDDEN):
            try:
                _make(client, settings, letters, 1)
            except AuthorizationError:
                log.info("topic not made: the right to is missing", topic=letters)


def _make(client: KafkaAdminClient, settings: Settings, name: str, partitions: int) -> None:
    configs = KEPT | ANY_TIME
    if settings.topic_min_insync:
        configs["min.insync.replicas"] = str(settings.topic_min_insync)
    options = {"num_partitions": partitions, "replication_factor": settings.topic_replication or -1}
    try:
        try:
            client.create_topics({name: {**options, "configs": configs}}, wait_for_metadata=True)
        except InvalidConfigurationError:  # a broker that does not know the limits of times yet
            older = {k: v for k, v in configs.items() if k not in ANY_TIME}
            client.create_topics({name: {**options, "configs": older}}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return
    except InvalidReplicationFactorError as e:
        raise BarometerError(
            f"topic {name} cannot be made with {settings.topic_replication} replicas: there are fewer brokers. Lower "
            "topic_replication (BAROMETER_TOPIC_REPLICATION), or start more brokers"
        ) from e
    log.info("topic made", topic=name, partitions=partitions)


def cluster_id(settings: Settings) -> str:
    """The id of the cluster at ``kafka_bootstrap``: another id is another log.

    Raises:
        BrokerError: no broker answers.
    """
    with admin(settings) as client:
        return str(client.describe_cluster()["cluster_id"])


def describe_topic(settings: Settings, topic: str) -> tuple[int, str | None]:
    """Number of partitions of a topic (0 if it does not exist), and its id where the broker gives one.

    Raises:
        NotAuthorized: the topic may not be seen.
        BrokerError: no broker answers.
    """
    with admin(settings) as client:
        return _described(client, settings, topic)


def identity(settings: Settings, topic: str) -> tuple[str, str | None]:
    """(cluster id, topic id): which log is there now; the topic's id is None without the topic, or from old brokers.

    Raises:
        NotAuthorized: the topic may not be seen.
        BrokerError: no broker answers.
    """
    with admin(settings) as client:
        return str(client.describe_cluster()["cluster_id"]), _described(client, settings, topic)[1]


def partition_count(settings: Settings, topic: str) -> int:
    """Number of partitions of a topic; 0 if it does not exist.

    Raises:
        BrokerError: no broker answers.
    """
    return describe_topic(settings, topic)[0]


def _described(client: KafkaAdminClient, settings: Settings, topic: str) -> tuple[int, str | None]:
    found = client.describe_topics([topic])
    if found and found[0]["error_code"] == HIDDEN:
        raise clients.not_seen(settings, topic)
    if not found or found[0]["error_code"] != 0:
        return 0, None
    topic_id = found[0].get("topic_id")
    return len(found[0]["partitions"]), None if topic_id is None else str(topic_id)
