"""Brokers of Apache Kafka as the tests and ``make kafka`` start them: up, dead, frozen, back, gone with their owner."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaTimeoutError

from barometer.errors import BarometerError
from ingest.local_broker.apache_kafka import ApacheKafka, NoKafka
from ingest.local_broker.kafka_home import find_java, find_kafka
from tests.conftest import ROOT

MakeKafka = Callable[..., ApacheKafka]


def send(kafka: ApacheKafka, topic: str, value: bytes, **options: object) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap.split(","), **options)
    try:
        producer.send(topic, value).get(30)
    finally:
        producer.close(5)


def make_topic(kafka: ApacheKafka, topic: str) -> None:
    admin = kafka.admin()
    try:
        admin.create_topics([NewTopic(topic, 1, len(kafka.nodes))])
    finally:
        admin.close()


def values(kafka: ApacheKafka, topic: str, count: int) -> list[bytes]:
    """The first records of a topic; fewer than ``count`` where they do not come within half a minute."""
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap.split(","), auto_offset_reset="earliest", consumer_timeout_ms=30_000
    )
    try:
        found = []
        for record in consumer:
            found.append(record.value)
            if len(found) == count:
                break
        return found
    finally:
        consumer.close()


def alive(pid: int) -> bool:
    """Not ended, nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_broker_comes_back_with_its_log(own_kafka: MakeKafka) -> None:
    kafka = own_kafka()
    make_topic(kafka, "kept")
    send(kafka, "kept", b"before")
    kafka.kill()
    assert kafka.pid() is None
    with pytest.raises(BarometerError, match="does not run"):
        kafka.kill()
    kafka.restart()
    send(kafka, "kept", b"after")
    assert values(kafka, "kept", 2) == [b"before", b"after"]


@pytest.mark.slow
def test_two_of_three_go_on_and_a_wiped_one_catches_up(own_kafka: MakeKafka) -> None:
    kafka = own_kafka(brokers=3)
    make_topic(kafka, "copied")
    kafka.kill(2)
    send(kafka, "copied", b"while one is dead", acks="all")
    kafka.wipe(2)
    kafka.restart(2)
    kafka.terminate(3)
    assert values(kafka, "copied", 1) == [b"while one is dead"]


def test_a_frozen_broker_answers_after_it_thaws(own_kafka: MakeKafka) -> None:
    kafka = own_kafka()
    make_topic(kafka, "slow")
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    try:
        producer.send("slow", b"before").get(30)
        kafka.freeze()
        held = producer.send("slow", b"held back")
        with pytest.raises(KafkaTimeoutError):
            held.get(1)
        kafka.thaw()
        assert held.get(30).offset == 1
    finally:
        producer.close(5)


def test_the_secure_listeners_know_their_users_and_rights(secure_kafka: ApacheKafka) -> None:
    make_topic(secure_kafka, "locked")
    secure_kafka.allow("worker", "Read", "Describe", topic="locked")
    secure_kafka.allow("CN=worker", "Read", topic="locked")
    send(secure_kafka, "locked", b"secret")
    tls = {"ssl_cafile": str(secure_kafka.tls / "ca.pem")}
    password = {
        "bootstrap_servers": secure_kafka.secure_bootstrap,
        "security_protocol": "SASL_SSL",
        "sasl_plain_username": "worker",
        "sasl_plain_password": secure_kafka.users["worker"],
    }
    certificate = {
        "bootstrap_servers": secure_kafka.mtls_bootstrap,
        "security_protocol": "SSL",
        "ssl_certfile": str(secure_kafka.tls / "client.crt"),
        "ssl_keyfile": str(secure_kafka.tls / "client.key"),
    }
    logins = [password | {"sasl_mechanism": m} for m in ("SCRAM-SHA-512", "PLAIN")] + [certificate]
    for options in logins:
        with_all = options | tls | {"auto_offset_reset": "earliest", "consumer_timeout_ms": 30_000}
        consumer = KafkaConsumer("locked", **with_all)
        try:
            assert next(iter(consumer)).value == b"secret"
        finally:
            consumer.close()
    secure_kafka.withdraw("worker", "Read", "Describe", topic="locked")
    assert "User:worker," not in secure_kafka.tool("acls", "--list", "--topic", "locked")


def test_the_broker_ends_with_its_killed_owner(kafka: ApacheKafka) -> None:
    code = (
        "import time; from ingest.local_broker.apache_kafka import ApacheKafka\n"
        "k = ApacheKafka().start(); print('pid', k.pid(), k.folder, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    try:
        assert owner.stdout is not None
        pid = next(int(line.split()[1]) for line in owner.stdout if line.startswith("pid "))
        assert alive(pid)
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_the_command_says_where_it_is_and_ends_on_ctrl_c(kafka: ApacheKafka, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "broker", "--kafka", "--port", "0", "--folder", str(tmp_path / "log")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert running.stdout is not None
        address = next(m[1] for line in running.stdout if (m := re.search(r"BAROMETER_KAFKA_BOOTSTRAP=(\S+)", line)))
        client = KafkaAdminClient(bootstrap_servers=address)
        client.close()
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    finally:
        running.kill()
        running.wait()
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", int(address.split(":")[1]))) != 0, "nobody listens any more"
    assert "its log stays in" in running.stdout.read()


def test_a_kept_folder_keeps_its_cluster_and_log(kafka: ApacheKafka, tmp_path: Path) -> None:
    with ApacheKafka(folder=tmp_path / "kept") as first:
        make_topic(first, "kept")
        send(first, "kept", b"one")
        cluster = first.cluster_id
    with ApacheKafka(folder=tmp_path / "kept") as second:
        assert second.cluster_id == cluster
        assert values(second, "kept", 1) == [b"one"]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BAROMETER_KAFKA_HOME", str(tmp_path))
    with pytest.raises(BarometerError, match=r"BAROMETER_KAFKA_HOME=.* is no Apache Kafka") as caught:
        find_kafka()
    assert not isinstance(caught.value, NoKafka)  # a mistake, which no test may answer by being skipped
    monkeypatch.delenv("BAROMETER_KAFKA_HOME")
    monkeypatch.setenv("BAROMETER_SHARED", str(tmp_path))
    with pytest.raises(NoKafka, match=r"kafka\.apache\.org/downloads.*BAROMETER_KAFKA_HOME"):
        find_kafka()


def test_an_old_java_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for version, name in (("1.8.0_292", "old"), ("21.0.2", "new")):
        java = tmp_path / name / "bin" / "java"
        java.parent.mkdir(parents=True)
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
    find_java.cache_clear()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'new' / 'bin'}:{os.environ['PATH']}")
    assert find_java() == str(tmp_path / "new" / "bin" / "java")
    find_java.cache_clear()
