from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaConsumer

from barometer.errors import BarometerError
from barometer.settings import Settings
from ingest.local_broker.embedded_broker import EmbeddedBroker
from ingest.topic.topics import cluster_id, ensure_topics, partition_count


def test_every_start_is_another_log(settings_for: Callable[..., Settings]) -> None:
    broker = EmbeddedBroker()
    seen = set()
    for _ in range(2):
        with broker:
            assert cluster_id(settings_for(broker)) == broker.cluster_id
            seen.add(broker.cluster_id)
    assert len(seen) == 2
    assert broker.pid is None


def test_it_ends_with_a_client_connected_and_leaves_nothing(settings_for: Callable[..., Settings]) -> None:
    broker = EmbeddedBroker().start()
    log_file, pid = broker.log_file, broker.pid
    consumer = KafkaConsumer(**settings_for(broker).kafka())
    begin = time.monotonic()
    broker.stop()
    assert time.monotonic() - begin < 5
    consumer.close()
    assert log_file is not None
    assert not log_file.exists()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_taken_port_is_named() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        with pytest.raises(BarometerError, match=f"port {port} .* is taken"):
            EmbeddedBroker(port=port).start()


def test_it_dies_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from ingest.local_broker.embedded_broker import EmbeddedBroker\n"
        "b = EmbeddedBroker(log_file=Path(sys.argv[1])).start(); print('pid', b.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "broker.log")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert parent.stdout is not None
    pid = next(int(line.split()[1]) for line in parent.stdout if line.startswith("pid"))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 5
    while _lives(pid):
        assert time.monotonic() < deadline, "the broker outlived its parent"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    """A zombie that nobody has buried yet is dead."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_topics_are_made_once(broker: EmbeddedBroker, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(broker, topic_partitions=5)
    ensure_topics(settings)
    ensure_topics(settings.model_copy(update={"topic_partitions": 7}))
    assert partition_count(settings, settings.topic_documents) == 5
    assert partition_count(settings, settings.topic_dlq) == 1
    assert partition_count(settings, "no-such-topic") == 0


def test_no_broker_is_said_clearly(settings_for: Callable[..., Settings]) -> None:
    with EmbeddedBroker() as gone:
        pass
    with pytest.raises(BarometerError, match=r"no broker answers at 127\.0\.0\.1"):
        cluster_id(settings_for(gone))
