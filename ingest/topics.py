"""The topics: made as they must be, checked, and the identity of the log that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from kafka import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from barometer.errors import BarometerError
from barometer.settings import Settings

log = structlog.get_logger(__name__)

CONNECT_MS = 5_000


@contextmanager
def _admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """Raises:
    BarometerError: no broker answers at ``kafka_bootstrap``.
    """
    options = {"bootstrap_timeout_ms": CONNECT_MS, "request_timeout_ms": 15_000, **settings.kafka()}
    try:
        client = KafkaAdminClient(**options)
    except KafkaError as e:
        raise BarometerError(
            f"no broker answers at {settings.kafka_bootstrap} (BAROMETER_KAFKA_BOOTSTRAP): {type(e).__name__}"
        ) from e
    try:
        yield client
    except KafkaError as e:
        raise BarometerError(f"the broker at {settings.kafka_bootstrap} refused: {e}") from e
    finally:
        client.close()


def ensure_topics(settings: Settings) -> None:
    """Make the document and dead letter topics where they are missing.

    Records carry their own time (CreateTime) and are kept for ever: Kafka's retention works on record timestamps and
    would drop an archive as soon as it was written.

    Raises:
        BarometerError: no broker answers, or it refuses.
    """
    common = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    wanted = {
        settings.topic_documents: {"num_partitions": settings.topic_partitions, "configs": common},
        settings.topic_dlq: {"num_partitions": 1, "configs": common},
    }
    with _admin(settings) as client:
        have = {t["name"] for t in client.describe_topics(list(wanted)) if t["error_code"] == 0}
        for name, options in wanted.items():
            if name in have:
                continue
            try:
                client.create_topics({name: options}, wait_for_metadata=True)
                log.info("topic made", topic=name, partitions=options["num_partitions"])
            except TopicAlreadyExistsError:
                pass


def cluster_id(settings: Settings) -> str:
    """The id of the cluster at ``kafka_bootstrap``: another id is another log.

    Raises:
        BarometerError: no broker answers.
    """
    with _admin(settings) as client:
        return str(client.describe_cluster()["cluster_id"])


def describe_topic(settings: Settings, topic: str) -> tuple[int, str | None]:
    """Number of partitions of a topic (0 if it does not exist), and its id where the broker gives one.

    Raises:
        BarometerError: no broker answers.
    """
    with _admin(settings) as client:
        return _described(client, topic)


def identity(settings: Settings, topic: str) -> tuple[str, str | None]:
    """(cluster id, topic id): which log is there now; the topic's id is None without the topic, or from old brokers.

    Raises:
        BarometerError: no broker answers.
    """
    with _admin(settings) as client:
        return str(client.describe_cluster()["cluster_id"]), _described(client, topic)[1]


def partition_count(settings: Settings, topic: str) -> int:
    """Number of partitions of a topic; 0 if it does not exist.

    Raises:
        BarometerError: no broker answers.
    """
    return describe_topic(settings, topic)[0]


def _described(client: KafkaAdminClient, topic: str) -> tuple[int, str | None]:
    found = client.describe_topics([topic])
    if not found or found[0]["error_code"] != 0:
        return 0, None
    topic_id = found[0].get("topic_id")
    return len(found[0]["partitions"]), None if topic_id is None else str(topic_id)
