"""``barometer produce`` and ``barometer dlq`` as a person runs them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from barometer.records import Document, Progress
from barometer.settings import Settings
from barometer.store.migrate import open_store
from barometer.store.stream.log_epochs import register_log
from barometer.store.tables import Offset
from ingest.topic.topics import cluster_id, ensure_topics, partition_count
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker
from tests.integration.ingest.test_produce import read
from tests.support.stream import topic_of, totals, wait_for, worker

pytestmark = pytest.mark.both_brokers

DAY = 86_400_000
ARCHIVE = """time,content,code,user
2024-05-07 10:00,第三条,000001,甲
2024-05-06,第一条,600000|000001,乙
2024-05-06T10:00:00+08:00,第二条,,丙
"""
MAPPING = ("--map", "text=content", "--map", "symbols=code", "--set", "kind=comment", "--time-column", "time")


@pytest.fixture
def settings(settings_for: Callable[..., Settings], broker: Broker) -> Settings:
    return settings_for(broker)


def _as_in_a_terminal() -> None:
    """A shell's background job inherits that SIGINT is ignored, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Command:
    """Runs ``barometer`` with the settings of a test."""

    def __init__(self, settings: Settings) -> None:
        names = ("database_url", "kafka_bootstrap", "topic_documents", "topic_dlq", "topic_partitions")
        self.env = {**os.environ, **{f"BAROMETER_{n.upper()}": str(getattr(settings, n)) for n in names}}

    def start(self, *arguments: str, **kw: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_as_in_a_terminal, **kw,
        )  # fmt: skip

    def __call__(self, *arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
        process = self.start(*arguments, stdin=subprocess.PIPE)
        out, err = process.communicate(stdin, timeout=60)
        return process.returncode, out, err


def lines(n: int) -> str:
    """JSONL: one row a second."""
    return "".join(json.dumps({"text": f"t{i}", "kind": "news", "at": 1_714_959_000 + i}) + "\n" for i in range(n))


def documents(settings: Settings, topic: str | None = None) -> list[Document]:
    found = [e for entries in read(settings, topic).values() for _, e in entries if isinstance(e, Document)]
    return sorted(found, key=lambda d: d.observed_at)


def test_an_archive(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(ARCHIVE)
    code, _, err = Command(settings)("produce", str(path), *MAPPING)
    assert code == 0, err
    assert f"3 records into {settings.topic_documents}" in err
    found = documents(settings)
    assert [d.text for d in found] == ["第一条", "第二条", "第三条"]
    assert [d.observed_at - found[0].observed_at for d in found] == [0, DAY * 10 // 24, DAY * 34 // 24]
    assert found[0].symbols == ["600000", "000001"]
    assert found[0].extra == {"time": "2024-05-06", "user": "乙"}
    progress = [e for entries in read(settings).values() for _, e in entries if isinstance(e, Progress)]
    assert len(progress) == 3 * settings.topic_partitions


def test_rows_that_cannot_be_sent(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(ARCHIVE + "gestern,第四条,,\n,第五条,,\n2024-05-08,,,\n")
    run = Command(settings)
    code, _, err = run("produce", str(path), *MAPPING)
    assert code == 1
    assert f"{path}:5: time is no time: 'gestern'" in err
    assert partition_count(settings, settings.topic_documents) == 0  # found while reading: no topic was made
    code, _, err = run("produce", str(path), *MAPPING, "--skip-bad")
    assert code == 0, err
    assert "2 rows left out" in err
    assert f"{path}:5: " in err
    assert f"{path}:6: " in err
    assert "4 records into" in err  # the one without text is the worker's to refuse


@pytest.mark.parametrize("options", [(), ("--time-column", "time")], ids=["as it comes", "in time order"])
def test_files_that_are_something_else_leave_no_topic_behind(
    settings: Settings, tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,price\n2024-05-06,1.2\n")
    run = Command(settings)
    code, _, err = run("produce", str(path), *options)
    assert code == 1
    assert "the row has no text" in err
    path.write_text("time,text\n")
    assert run("produce", str(path), "--set", "kind=news", *options)[0] == 1
    assert partition_count(settings, settings.topic_documents) == 0
    path.write_text("time,text\n2024-05-06,楼市平稳\n")
    code, _, err = run("produce", str(path), "--set", "kind=news", *options)
    assert code == 0, err
    assert [d.text for d in documents(settings)] == ["楼市平稳"]


def test_standard_input_and_another_topic(settings: Settings) -> None:
    topic = settings.topic_documents + ".other"
    run = Command(settings)
    code, _, err = run(
        "produce", "-", "--topic", topic, "--no-store", "--time-column", "at", "--limit", "3", stdin=lines(5)
    )
    assert code == 0, err
    assert [d.text for d in documents(settings, topic)] == ["t0", "t1", "t2"]
    assert not any(isinstance(e, Progress) for entries in read(settings, topic).values() for _, e in entries)
    before = time.time_ns() // 1_000_000
    code, _, err = run("produce", "-", "--topic", topic, stdin=lines(5))
    assert code == 0, err
    assert all(d.observed_at >= before for d in documents(settings, topic)[3:])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["-", "--speed", "60x"], "need --time-column"),
        (["-", "--time-column", "t", "--shift-to-now"], "needs --speed"),
        (["-", "--time-column", "t", "--speed", "fast"], "expected a number like 60x"),
        (["-", "--tz", "Mars/Olympus"], "unknown time zone 'Mars/Olympus'"),
        (["-", "--map", "text"], "expected FIELD=VALUE"),
    ],
)
def test_wrong_options(settings: Settings, arguments: list[str], error: str) -> None:
    code, _, err = Command(settings)("produce", *arguments, stdin="")
    assert code == 1
    assert error in err
    assert "Traceback" not in err


def test_the_store_is_needed_for_progress(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(ARCHIVE)
    run = Command(settings)
    run.env["BAROMETER_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    code, _, err = run("produce", str(path), *MAPPING)
    assert code == 1
    assert "use --no-store to send without progress" in err
    code, _, err = run("produce", str(path), *MAPPING, "--no-store")
    assert code == 0, err


def test_late_archives_are_announced(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(ARCHIVE)
    run = Command(settings)
    run("produce", "-", stdin="text,kind\na,news\n")
    store = open_store(settings, migrate=True)
    log = register_log(store, cluster_id(settings), settings.topic_documents, 3)
    counters = {k.name: 0 for k in Offset.__table__.columns if k.default is not None}
    with store.write() as c:
        t = 1_715_000_000_000 + settings.lateness_ms  # 2024-05-06 20:53:20
        row = {"log_id": log.id, "partition": 0, "next_offset": 0, "progress_t": t, "updated_at": 0}
        c.execute(insert(Offset).values(**counters, **row))
    store.close()
    code, _, err = run("produce", str(path), *MAPPING)
    assert code == 0, err
    assert "the topic has passed 2024-05-06 20:50:00+08:00; 2 of 3 rows are before that" in err
    assert "counted as late" in err


def test_replay_in_time_and_interrupt(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines(600))
    ensure_topics(settings)
    before = time.time_ns() // 1_000_000
    process = Command(settings).start("produce", str(path), "--time-column", "at", "--speed", "4x", "--shift-to-now")
    try:
        wait_for(lambda: len(documents(settings)) >= 4)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130, err
    found = documents(settings)
    assert (
        f"stopped: {len(found)} records of 600 in the log; the last that was given to the broker is {path}:{len(found)}"
        in err
    )
    times = [d.observed_at for d in found]
    assert times[0] >= before
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert 200 <= sum(gaps) / len(gaps) <= 400  # 1 s of the file in a quarter


def test_dead_letters(settings: Settings) -> None:
    store = open_store(settings, migrate=True)
    run = Command(settings)
    with topic_of(settings) as topic:
        topic.send(b'{"text": "\x1b[31mred\x1b[0m",', headers=[("trace", b"\x07")])
        topic.send(b"\xff\xfe")
        topic.send(b'{"text": "a", "kind": "news"}', at=1_000)
        topic.flush()
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == 3)
        code, out, err = run("dlq", "list", "--json")
        assert code == 0, err
        letters = {x["reason"]: x for x in map(json.loads, out.splitlines())}
        assert sorted(letters) == ["broken_json", "invalid_utf8", "time_out_of_range"]
        _, out, _ = run("dlq", "list", "--reason", "invalid_utf8", "--since", "1h")
        assert str(letters["invalid_utf8"]["row"]) in out
        assert str(letters["broken_json"]["row"]) not in out
        assert run("dlq", "list", "--since", "2999-01-01")[1].strip() == "no dead letters"
        assert run("dlq", "list", "--reason", "x")[0] == 1

        broken = letters["broken_json"]
        _, out, _ = run("dlq", "show", f"{broken['log']}/{broken['partition']}/{broken['offset']}")
        assert "\\x1b[31mred" in out
        assert "\x1b" not in out
        assert "trace = \\x07" in out
        shown = json.loads(run("dlq", "show", str(broken["row"]), "--json")[1])
        assert shown["value"] == '{"text": "\x1b[31mred\x1b[0m",'
        assert run("dlq", "show", str(broken["row"]), "--raw")[1] == shown["value"]

        code, out, _ = run("dlq", "replay", "--all", "--dry-run")
        assert code == 1
        assert "2 would be sent, 1 refused" in out
        code, out, _ = run("dlq", "replay", str(broken["row"]))
        assert (code, out.strip()) == (0, "1 sent, 0 refused")
        code, out, _ = run("dlq", "replay", "--all")
        assert "1 sent, 1 refused" in out
        assert run("dlq", "replay")[0] == 1
        assert run("dlq", "replay", "--all", "5")[0] == 1
    store.close()
