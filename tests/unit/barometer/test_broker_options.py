"""Every option that kafka-python's clients know is either the operator's or ours, and none is both."""

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from barometer.kafka_options import OPTIONS, REFUSED, wrong_options


def test_the_table_is_the_clients() -> None:
    known = set(KafkaConsumer.DEFAULT_CONFIG) | set(KafkaProducer.DEFAULT_CONFIG) | set(KafkaAdminClient.DEFAULT_CONFIG)
    assert set(OPTIONS) | set(REFUSED) == known
    assert not set(OPTIONS) & set(REFUSED)


def test_a_secret_of_a_wrong_type_is_not_shown() -> None:
    [said] = wrong_options({"sasl_plain_password": 271_828})
    assert said.startswith("sasl_plain_password: must be a text")
    assert "271" not in said


def test_what_is_not_given_is_not_wrong() -> None:
    assert wrong_options({"ssl_cafile": None, "security_protocol": None}) == []
