"""A channel that does not deliver: tried no more than helps, shown, alarmed about, and over when it works again."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import yaml
from sqlalchemy import select

from barometer.settings import load_settings
from barometer.store.engine import Store
from barometer.store.tables import Alert
from monitor.alarms.channel_health import notify_conditions
from monitor.alarms.checks import Alarms, Condition
from monitor.leader import Monitor
from monitor.notify.outbox.sending import send_due
from monitor.notify.reload import LOOK_SECONDS, WatchedNotifyFile
from testing.post_box import PostBox
from tests.integration.monitor.test_outbox import T0, box, fire, lead, rows, store

__all__ = ["box", "store"]
YES = b'{"errcode":0,"errmsg":"ok"}'
NO = b'{"errcode":93000,"errmsg":"invalid webhook url"}'


@pytest.fixture
def watched(box: PostBox, tmp_path: Path) -> WatchedNotifyFile:
    file = {"receivers": [{"name": "desk", "channels": [{"type": "wecom", "url": f"{box.url}/t0ken-a1b2c3d4"}]}]}
    (tmp_path / "notify.yaml").write_text(yaml.safe_dump(file), "utf-8")
    return WatchedNotifyFile(load_settings(notify_file=tmp_path / "notify.yaml"), look_seconds=0.0)


def wrong(store: Store, watched: WatchedNotifyFile, now: int = T0) -> list[Condition]:
    with store.read() as c:
        return list(notify_conditions(c, watched, now))


def test_a_bad_token_fails_at_once_and_raises_an_alarm(store: Store, watched: WatchedNotifyFile, box: PostBox) -> None:
    lease, box.said = lead(store), NO
    fire(store, watched.current())
    assert send_due(store, lease, watched.current(), T0) == 0
    (row,) = rows(store)
    assert (row.state, row.attempts, len(box.received)) == ("failed", 1, 1)
    assert "93000: invalid webhook url (the robot is gone or the key is wrong: check url)" in row.last_error
    (found,) = wrong(store, watched)
    assert (found.name, found.severity) == ("channel:desk/0", "warning")
    assert "93000" in found.figures["message"]
    # The next message arrives: it is over.
    box.said = YES
    fire(store, watched.current(), "topic:macro", T0 + 1000)
    assert send_due(store, lease, watched.current(), T0 + 1000) == 1
    assert wrong(store, watched) == []


def test_an_alarm_about_a_channel_ends_with_a_new_file_or_a_day(
    store: Store, watched: WatchedNotifyFile, box: PostBox, tmp_path: Path
) -> None:
    lease, box.said = lead(store), NO
    fire(store, watched.current())
    send_due(store, lease, watched.current(), T0)
    assert len(wrong(store, watched)) == 1
    assert wrong(store, watched, T0 + 25 * 3_600_000) == []
    path = tmp_path / "notify.yaml"
    good = path.read_text("utf-8")
    path.write_text("receivers: [", "utf-8")
    # The old one is still in force.
    assert [x.name for x in wrong(store, watched)] == ["notify_file", "channel:desk/0"]
    path.write_text(good.replace("a1b2c3d4", "e5f6a7b8"), "utf-8")
    watched.current()
    assert wrong(store, watched) == []


def test_the_alarm_is_told_like_any_other(store: Store, watched: WatchedNotifyFile, box: PostBox) -> None:
    lease, box.said = lead(store), NO
    fire(store, watched.current())
    send_due(store, lease, watched.current(), T0)

    def more(*_: object) -> list[Condition]:
        return wrong(store, watched)

    changes = Alarms(store, watched.current().settings, more=more, hold_seconds=0.0).check(lease)
    assert len(changes) == 1
    assert Alarms(store, watched.current().settings, hold_seconds=0.0).check(lease)[0].reason == "resolved"


def test_what_a_service_does_not_take_yet_costs_no_attempt(
    store: Store, watched: WatchedNotifyFile, box: PostBox
) -> None:
    lease, box.said = lead(store), YES
    for i in range(23):
        fire(store, watched.current(), f"topic:t{i}")
    assert send_due(store, lease, watched.current(), T0) == 20
    waiting = [r for r in rows(store) if r.state == "pending"]
    assert [(r.attempts, "held back" in r.last_error) for r in waiting] == [(0, True)] * 3
    assert all(55_000 < r.not_before - T0 < 75_000 for r in waiting)
    assert len(box.received) == 20


def test_the_monitor_goes_by_the_last_good_file_and_says_so(store: Store, box: PostBox, tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    channel = {"type": "wecom", "url": f"{box.url}/t0ken-a1b2c3d4"}
    good = yaml.safe_dump({"receivers": [{"name": "desk", "channels": [channel]}]})
    file.write_text(good, "utf-8")
    monitor = Monitor(load_settings(notify_file=file), store, threading.Event())
    box.said = YES
    file.write_text(good.replace("wecom", "wecon"), "utf-8")
    time.sleep(LOOK_SECONDS)
    # As the scheduler calls them.
    monitor._renew()
    lease = monitor.lease()
    assert lease is not None
    monitor._alarms.check(lease)
    monitor._send(lease)
    monitor._release()
    with store.read() as c:
        fingerprints = c.execute(select(Alert.fingerprint).where(Alert.state == "firing")).scalars().all()
    assert "system:notify_file" in fingerprints
    told = [b["markdown"]["content"] for b in box.bodies()]
    assert any("通知配置文件有误" in text and "wecon" in text for text in told)
