"""Rights (ACLs) on a local Apache Kafka."""

from __future__ import annotations

from collections.abc import Iterable

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from barometer.errors import BarometerError


def add_rights(client: KafkaAdminClient, user: str, operations: Iterable[str], resource: ResourcePattern) -> None:
    """Give a user rights on a resource.

    Raises:
        BarometerError: the broker refuses.
    """
    acls = [ACL(f"User:{user}", "*", _operation(o), ACLPermissionType.ALLOW, resource) for o in operations]
    failed = client.create_acls(acls)["failed"]
    if failed:
        raise BarometerError(f"the broker gave no rights: {failed}")


def remove_rights(client: KafkaAdminClient, user: str, operations: Iterable[str], resource: ResourcePattern) -> None:
    """Take away rights that :func:`add_rights` gave."""
    client.delete_acls(
        [ACLFilter(f"User:{user}", "*", _operation(o), ACLPermissionType.ALLOW, resource) for o in operations]
    )


def resource_of(topic: str, group: str, cluster: bool) -> ResourcePattern:
    """The cluster, a topic, or a consumer group."""
    if cluster:
        return ResourcePattern(ResourceType.CLUSTER, "kafka-cluster")
    return ResourcePattern(ResourceType.TOPIC, topic) if topic else ResourcePattern(ResourceType.GROUP, group)


def _operation(name: str) -> ACLOperation:
    """``DescribeConfigs`` as kafka-python names it."""
    snake = "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(name))
    return ACLOperation[snake.upper()]
