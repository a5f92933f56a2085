"""Settings for the listeners of a locked Kafka: who logs in, and as what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from barometer.settings import Settings
from ingest.local_broker.apache_kafka import ApacheKafka

MakeSettings = Callable[..., Settings]


def options_of(kafka: ApacheKafka, user: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, Any]:
    """``kafka_options`` of a user of the secure listener."""
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": user,
        "ssl_cafile": str(kafka.tls / "ca.pem"),
    }


def as_user(settings: Settings, kafka: ApacheKafka, user: str, **others: Any) -> Settings:
    """The same settings, for a user of the secure listener with the right password."""
    values = settings.model_dump(exclude_unset=True)
    values |= {
        "kafka_bootstrap": kafka.secure_bootstrap,
        "kafka_options": options_of(kafka, user),
        "kafka_password": kafka.users[user],
    }
    return Settings(**(values | others))
