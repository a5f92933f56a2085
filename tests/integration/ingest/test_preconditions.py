"""Settings of topics on Apache Kafka that would lose, refuse or re-date texts: found before anything is sent, said with
the command that mends them, in ``produce``, in ``status``, by an alarm."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from rich.console import Console

from app.commands.monitoring import look_at_topics
from app.commands.status_view import print_status
from barometer.errors import BarometerError
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.leases import LEADER, acquire
from barometer.store.migrate import open_store
from barometer.store.stream.log_epochs import register_log
from ingest.local_broker.apache_kafka import ApacheKafka
from ingest.local_broker.embedded_broker import EmbeddedBroker
from ingest.producing.files import Columns
from ingest.producing.import_job import Plan
from ingest.producing.importing import produce_files
from ingest.producing.produce import Record, produce_records
from ingest.topic.description import look
from ingest.topic.preconditions import check
from ingest.topic.topics import cluster_id
from monitor.alarms.checks import Alarms
from monitor.sealing.progress import ProgressTicker
from tests.integration.ingest.test_produce_command import Command
from tests.integration.ingest.test_refusals import HOUR, arrived, log_of, make_topic, now_ms
from tests.support.stream import wait_for

Y2020 = 1_577_836_800
WEEK = "604800000"
"""Kafka's default of retention.ms."""


@pytest.fixture
def settings(settings_for: Callable[..., Settings], kafka: ApacheKafka) -> Settings:
    return settings_for(kafka)


@pytest.fixture
def opened(settings: Settings) -> Iterator[Store]:
    store = open_store(settings, migrate=True)
    yield store
    store.close()


def archive(path: Path, times: list[int]) -> str:
    path.write_text(
        "".join(json.dumps({"text": f"t{i}", "kind": "news", "at": at}) + "\n" for i, at in enumerate(times))
    )
    return str(path)


def plan(settings: Settings, file: str, **more: object) -> Plan:
    columns = Columns({}, {}, "at", settings.zone)
    return Plan(files=[file], columns=columns, topic=settings.topic_documents, use_store=False, **more)  # type: ignore[arg-type]


def run(settings: Settings, plan: Plan) -> str:
    """What is said; of an error, that too."""
    out = io.StringIO()
    try:
        produce_files(settings, plan, Console(file=out, width=300))
    except BarometerError as e:
        return f"{out.getvalue()}ERROR {e}"
    return out.getvalue()


def count(kafka: ApacheKafka, topic: str, partitions: int = 2) -> int:
    return sum(map(len, log_of(kafka, topic, partitions).values()))


def set_config(kafka: ApacheKafka, command: str) -> None:
    """Do what a remedy says, through the tools of this Kafka."""
    words = command.split()
    assert words[:3] == ["kafka-configs.sh", "--bootstrap-server", kafka.bootstrap]
    kafka.tool("configs", *words[3:])


def test_an_archive_that_the_topic_would_delete_is_refused(
    settings: Settings, kafka: ApacheKafka, tmp_path: Path
) -> None:
    topic = settings.topic_documents
    make_topic(kafka, topic, retention_ms=WEEK)
    file = archive(tmp_path / "a.jsonl", [Y2020 + i for i in range(40)])
    code, _, err = Command(settings)("produce", file, "--time-column", "at", "--no-store")
    assert code == 1
    assert "retention.ms is 604800000 (7 d), needed -1" in err
    assert "40 of 40 rows" in err
    assert f"--entity-name {topic} --add-config retention.ms=-1" in err.replace("\n", "")
    assert "--despite-retention" in err
    assert count(kafka, topic) == 0
    # The command does what it says.
    [finding] = [f for f in check(settings, look(settings, topic)) if f.name == "retention.ms"]
    set_config(kafka, finding.remedy)
    said = run(settings, plan(settings, file))
    assert "40 records into" in said
    assert "retention" not in said
    assert count(kafka, topic) == 40


def test_a_topic_that_keeps_less_than_the_archive_is_large(
    settings: Settings, kafka: ApacheKafka, tmp_path: Path
) -> None:
    make_topic(kafka, settings.topic_documents, retention_bytes="1000")
    now = now_ms() // 1000
    said = run(settings, plan(settings, archive(tmp_path / "a.jsonl", [now - 100 + i for i in range(100)])))
    assert "ERROR" in said
    assert "retention.bytes is 1000, needed -1" in said


def test_what_the_broker_deleted_meanwhile_is_no_success(
    own_kafka: Callable[..., ApacheKafka], settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    kafka = own_kafka(
        properties={
            "log.retention.check.interval.ms": 200,
            "log.initial.task.delay.ms": 100,
            "log.retention.ms": 60_000,
        }
    )
    settings = settings_for(kafka)
    make_topic(kafka, settings.topic_documents)
    file = archive(tmp_path / "a.jsonl", [Y2020 + i for i in range(41)])
    said = run(settings, plan(settings, file, despite_retention=True, speed=10.0))
    assert "ERROR the broker has deleted what was sent" in said
    assert "41 records of 41 in the log" in said


def test_a_topic_that_dates_texts_itself_is_refused(settings: Settings, kafka: ApacheKafka, tmp_path: Path) -> None:
    topic = settings.topic_documents
    make_topic(kafka, topic, message_timestamp_type="LogAppendTime")
    file = archive(tmp_path / "a.jsonl", [Y2020 + i for i in range(40)])
    said = run(settings, plan(settings, file))
    assert "ERROR" in said
    assert "message.timestamp.type is LogAppendTime, needed CreateTime" in said
    assert count(kafka, topic) == 0
    # A live stream has the present as its time anyhow.
    said = run(settings, plan(settings, file, speed=1_000.0, shift_to_now=True))
    assert "40 records into" in said
    assert "note: topic" in said


def test_without_the_right_to_ask_the_first_record_tells(
    secure_kafka: ApacheKafka, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    """With Write alone: what cannot be checked is said, and what can be seen from an answer is seen."""
    kafka = secure_kafka
    settings = settings_for(
        kafka_bootstrap=kafka.secure_bootstrap,
        kafka_password="produce-secret",
        kafka_options={
            "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "produce",
            "ssl_cafile": str(kafka.tls / "ca.pem"),
        },
    )  # fmt: skip
    topic = settings.topic_documents
    make_topic(kafka, topic, message_timestamp_type="LogAppendTime")
    kafka.allow("produce", "Write", topic=topic)
    try:
        file = archive(tmp_path / "a.jsonl", [Y2020 + i for i in range(40)])
        said = run(settings, plan(settings, file))
        assert "settings could not be checked: the right DescribeConfigs is missing" in said
        assert f"--operation DescribeConfigs --topic {topic}" in said
        assert "ERROR" in said
        assert "message.timestamp.type is LogAppendTime" in said
        assert count(kafka, topic) == 1
    finally:
        kafka.withdraw("produce", "Write", topic=topic)


def test_a_compacted_topic_takes_no_progress(
    settings: Settings, opened: Store, kafka: ApacheKafka, tmp_path: Path
) -> None:
    topic = settings.topic_documents
    make_topic(kafka, topic, cleanup_policy="compact")
    file = archive(tmp_path / "a.jsonl", [now_ms() // 1000 + i for i in range(5)])
    columns = Columns({}, {}, "at", settings.zone)
    said = run(settings, Plan(files=[file], columns=columns, topic=topic))
    assert "ERROR" in said
    assert "cleanup.policy is compact, needed delete" in said
    assert count(kafka, topic) == 0

    # Whoever has begun nevertheless: the rows are there, and the progress record is named as what it is.
    with pytest.raises(BarometerError, match=r"progress \d+: refused by the broker: .*without key"):
        produce_records(settings, opened, [Record(now_ms(), b"k", b"v", "f:1")])
    assert count(kafka, topic) == 1

    # The leader's progress: told with the remedy, and the next round goes on once the topic is right.
    register_log(opened, cluster_id(settings), topic, 2)
    ticker = ProgressTicker(settings, opened, "monitor-1")
    try:
        for _ in range(2):
            with pytest.raises(BarometerError, match=r"refuses progress records.*`barometer status` says"):
                ticker.tick()
        [finding] = [f for f in check(settings, look(settings, topic)) if f.name == "cleanup.policy"]
        set_config(kafka, finding.remedy)
        assert ticker.tick()
        assert count(kafka, topic) == 3
    finally:
        ticker.close()


def test_rows_that_the_topic_would_refuse_are_found_before_anything_is_sent(
    settings: Settings, kafka: ApacheKafka, tmp_path: Path
) -> None:
    topic = settings.topic_documents
    make_topic(kafka, topic, max_message_bytes="5000", message_timestamp_before_max_ms=str(24 * HOUR))
    now = now_ms() // 1000
    times = [now + i for i in range(40)]
    for i in (3, 9, 10, 20):
        times[i] = now + 28 * 3600
    times[39] = now - 25 * 3600
    file = archive(tmp_path / "a.jsonl", times)
    with Path(file).open("a") as f:
        f.write(json.dumps({"text": "x" * 6_000, "kind": "news", "at": now}) + "\n")
    said = run(settings, plan(settings, file))
    assert f"ERROR {file}:4: time " in said
    assert "27 h ahead, and the topic takes 1 h (message.timestamp.after.max.ms)" in said
    assert count(kafka, topic) == 0
    said = run(settings, plan(settings, file, skip_bad=True))
    assert "35 records into" in said
    assert "6 rows left out:" in said
    for line in (4, 10, 11, 21, 40, 41):
        assert f"{file}:{line}: " in said
    assert "25 h ago, and the topic takes 1 d (message.timestamp.before.max.ms)" in said
    assert "the topic takes 5,000 (max.message.bytes)" in said
    assert count(kafka, topic) == 35


def test_refused_rows_are_listed_by_the_command(settings: Settings, kafka: ApacheKafka, tmp_path: Path) -> None:
    """Where the limits are not known before: the topic's change after it was looked at."""
    topic = settings.topic_documents
    make_topic(kafka, topic, message_timestamp_after_max_ms=str(48 * HOUR))
    now = now_ms() // 1000
    # Sent last, 10 s after the others, by when the topic has another limit.
    file = archive(tmp_path / "a.jsonl", [now + 28 * 3600 + i for i in range(4)] + [now + i for i in range(2)])
    command = Command(settings)
    process = command.start("produce", file, "--time-column", "at", "--no-store", "--skip-bad", "--limit", "6",
                            "--speed", "10000x", stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        while count(kafka, topic) < 1:
            assert process.poll() is None
        change(kafka, topic, "message.timestamp.after.max.ms", str(HOUR))
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "2 records into" in err
    assert "4 rows left out:" in err
    assert f"{file}:2: refused by the broker: InvalidRecordError: Timestamp" in err


def change(kafka: ApacheKafka, topic: str, name: str, value: str) -> None:
    admin = kafka.admin()
    try:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={name: value})])
    finally:
        admin.close()


def test_status_and_alarm_say_what_endangers_texts(
    settings: Settings, opened: Store, kafka: ApacheKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = settings.topic_documents
    make_topic(kafka, topic, message_timestamp_type="LogAppendTime", max_message_bytes="100000", retention_ms=WEEK)
    register_log(opened, cluster_id(settings), topic, 2)
    look_at_topics(settings, opened)
    report = status(opened, settings)
    [problem] = [p for p in report["problems"] if p["code"] == "topic"]
    assert problem["name"] == "message.timestamp.type"
    assert "--add-config message.timestamp.type=CreateTime" in problem["text"]
    print_status(report, settings.zone)
    out = " ".join(capsys.readouterr().out.split())
    assert "max.message.bytes is 100000, needed 1048588" in out
    assert "retention.ms is 604800000 (7 d), needed -1" in out

    lease = acquire(opened, LEADER, "monitor-1", 60)
    assert lease is not None
    alarms = Alarms(opened, settings, hold_seconds=0, patience_seconds=0)
    alarms.check(lease)
    name = f"system:topic:{topic} message.timestamp.type"
    assert name in open_alarms(opened)
    change(kafka, topic, "message.timestamp.type", "CreateTime")
    look_at_topics(settings, opened)
    alarms.check(lease)
    assert name not in open_alarms(opened)

    code, out, err = Command(settings)("status", "--json")
    assert code == 1, err  # there is no worker
    found = json.loads(out)["topics"]
    assert {f["name"] for f in found["findings"]} == {"max.message.bytes", "retention.ms"}
    assert found["unchecked"] == []


def open_alarms(store: Store) -> set[str]:
    from sqlalchemy import select

    from barometer.store.tables import Alert

    with store.read() as c:
        return set(c.execute(select(Alert.fingerprint).where(Alert.ended_at.is_(None))).scalars())


@pytest.mark.embedded_only("Kafka tells a topic's settings")
def test_a_broker_that_does_not_tell_is_not_refused(
    broker: EmbeddedBroker, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = settings_for(broker)
    make_topic(broker, settings.topic_documents, partitions=3)
    file = archive(tmp_path / "a.jsonl", [Y2020 + i for i in range(40)])
    said = run(settings, plan(settings, file))
    assert "its settings could not be checked: the broker does not tell them" in said
    assert "40 records into" in said
    [topic] = look(settings, settings.topic_documents)
    assert check(settings, [topic]) == []


def test_copies(own_kafka: Callable[..., ApacheKafka], settings_for: Callable[..., Settings]) -> None:
    kafka = own_kafka(brokers=3)
    settings = settings_for(kafka)
    make_topic(kafka, settings.topic_documents, replicas=1, retention_ms="-1", min_insync_replicas="1")
    make_topic(kafka, settings.topic_dlq, replicas=3, min_insync_replicas="1", unclean_leader_election_enable="true")
    wait_for(lambda: len(look(settings, settings.topic_documents, settings.topic_dlq)) == 2)
    found = {
        (f.topic, f.name): f for f in check(settings, look(settings, settings.topic_documents, settings.topic_dlq))
    }
    assert set(found) == {
        (settings.topic_documents, "replication factor"),
        (settings.topic_dlq, "min.insync.replicas"),
        (settings.topic_dlq, "unclean.leader.election.enable"),
    }
    assert {f.level for f in found.values()} == {"note"}
    assert (
        found[settings.topic_documents, "replication factor"].found,
        found[settings.topic_dlq, "min.insync.replicas"].needed,
    ) == ("1", "2")
    assert arrived(kafka, settings.topic_documents) == []
