"""The demo as a person runs it: it ends by itself, and says truly whether it alerted rightly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from app.demo.scenario import LIVE_MS, PAST_MS
from app.demo.story import Story
from app.demo.verdict import accompanying, judge
from barometer.store.alerts.surges import SurgeAlert

pytestmark = pytest.mark.timeout(240)


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "demo", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "COLUMNS": "140"},
    )


@pytest.mark.slow
def test_the_demo_alerts_rightly() -> None:
    done = run_demo("--seconds", "90")
    assert done.returncode == 0, done.stdout
    assert "topic:real_estate alerted, and nothing wrongly" in done.stdout
    assert "http://127.0.0.1:" in done.stdout
    assert "password" in done.stdout
    # People were told, as the product tells them: by mail and by the card of a group's robot.
    assert "mail and cards, as they arrive:  http://127.0.0.1:" in done.stdout
    assert "told  mail to risk-desk@demo.example: " in done.stdout
    assert "told  card to risk-desk: " in done.stdout
    assert "by mail and by card" in done.stdout


@pytest.mark.slow
def test_without_the_bad_turn_the_demo_says_that_the_alert_is_missing() -> None:
    done = run_demo("--seconds", "80", "--calm")
    assert done.returncode == 1, done.stdout
    assert "the right alert is missing" in done.stdout
    assert "wrong alert" not in done.stdout


@pytest.mark.slow
def test_ctrl_c_ends_the_demo_cleanly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        lines.extend(process.stdout)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    deadline = time.monotonic() + 60
    while not any("password" in line for line in lines):
        assert time.monotonic() < deadline, lines
        time.sleep(0.1)
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    assert process.wait(40) == 0
    reader.join(5)
    assert "Traceback" not in "".join(lines)
    # The roles are gone with it: nobody but this test's process has the run's folder name in its environment.
    assert any("stopping" in line for line in lines)


def test_too_short_a_demo_is_refused() -> None:
    done = run_demo("--seconds", "5")
    assert done.returncode == 1
    assert "at least 60 seconds" in done.stdout


def seen(series: str, severity: str = "warning", detected_at: int = 2) -> SurgeAlert:
    return SurgeAlert(1, series, severity, "firing", 1, detected_at, 9, 10, 1.0)


@pytest.mark.parametrize(
    ("alerts", "verdict"),
    [
        ([], (False, 0)),
        ([seen("topic:real_estate")], (True, 0)),
        ([seen("topic:real_estate", "info")], (False, 0)),
        ([seen("topic:real_estate", detected_at=1)], (False, 1)),
        ([seen("topic:real_estate"), seen("topic:financial_sector")], (True, 1)),
        ([seen("topic:real_estate"), seen("topic:credit_bonds")], (True, 0)),
        ([seen("topic:credit_bonds")], (False, 1)),
        ([seen("topic:real_estate"), seen("topic:macro")], (True, 1)),
        ([seen("topic:real_estate"), seen("topic:macro", "info")], (True, 0)),
    ],
)
def test_the_verdict(alerts: list[SurgeAlert], verdict: tuple[bool, int]) -> None:
    right, wrong = judge(alerts, turn_at=1)
    assert (right, len(wrong)) == verdict


def test_the_loud_topic_is_never_excused() -> None:
    assert "topic:financial_sector" not in accompanying()


def test_the_story_ends_at_the_present() -> None:
    story = Story(live_seconds=3.0)
    story.worked_off.set()
    begin = time.time()
    rows = list(story.rows(spare_seconds=0.5))
    end = time.time()
    times = [at for at, _ in rows]
    assert times == sorted(times)
    assert times[-1] - times[0] > PAST_MS
    assert story.live_end - LIVE_MS == story.live_start
    assert abs(story.live_end / 1000 - end) < 3.0  # the machine may be busy
    assert 3.0 < end - begin < 8.0
