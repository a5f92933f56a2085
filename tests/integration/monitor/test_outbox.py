"""The outbox on both databases, against a real HTTP server: nothing lost, at most one repeat, never a false 'sent'."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import insert, select, update

from barometer.errors import StaleWrite
from barometer.matters import Matter
from barometer.settings import load_settings
from barometer.store import leases
from barometer.store.alerts import life_cycle
from barometer.store.alerts.life_cycle import AlertError, Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.leases import Lease
from barometer.store.migrate import upgrade
from barometer.store.tables import Alert, AlertEvent, Notification, NotificationAttempt, Series
from barometer.store.tables import Lease as LeaseRow
from monitor.notify.config import NotifyConfig, load_config
from monitor.notify.outbox.enqueue import enqueue
from monitor.notify.outbox.reminders import repeat_due
from monitor.notify.outbox.sender_pool import A_CHANNEL, SenderPool
from monitor.notify.outbox.sending import FIRST_WAIT_MS, LONGEST_WAIT_MS, SENDING_TIMEOUT_MS, backoff_ms, send_due
from testing.post_box import PostBox, post_box

BUCKET = 600_000
T0 = 2_833_334 * BUCKET


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
    upgrade(made)
    yield made
    made.close()


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostBox]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with post_box() as running:
        yield running


@pytest.fixture
def config(box: PostBox, tmp_path: Path) -> NotifyConfig:
    return configured(tmp_path, {"receivers": [receiver("oncall", box)]})


def receiver(name: str, box: PostBox) -> dict[str, Any]:
    return {"name": name, "channels": [{"type": "webhook", "url": f"{box.url}/{name}", "timeout_seconds": 5}]}


def configured(tmp_path: Path, file: dict[str, Any], **more: Any) -> NotifyConfig:
    path = tmp_path / "notify.yaml"
    path.write_text(yaml.safe_dump(file), "utf-8")
    return load_config(load_settings(notify_file=path, **more))


def lead(store: Store, holder: str = "a", seconds: float = 3600) -> Lease:
    lease = leases.acquire(store, leases.LEADER, holder, seconds)
    assert lease is not None
    return lease


def take_over(store: Store) -> Lease:
    """Another process leads, as if our lease had run out."""
    with store.write() as c:
        c.execute(update(LeaseRow).values(expires_at=0))
    return lead(store, "b")


def fire(store: Store, config: NotifyConfig, name: str = "topic:real_estate", at: int = T0, **more: Any) -> int:
    """A finding and what it has people told, in one transaction."""
    values: dict[str, Any] = {
        "firing": True, "severity": "warning", "score": 4.0, "seen_negative": 20, "seen_total": 50,
        "expected_negative": 5.0, "window_seconds": 600, "series_id": None, "kind": 1,
    }  # fmt: skip
    f = Finding("surge", name, bucket_start=at - BUCKET, bucket_end=at, **(values | more))
    with store.write() as c:
        change = apply_finding(c, f, at)
        assert change is not None
        enqueue(c, change, config, at)
    return change.alert_id


def rows(store: Store, model: Any = Notification) -> list[Any]:
    with store.read() as c:
        return list(c.execute(select(model.__table__).order_by(model.id)))


def events(store: Store, action: str) -> list[Any]:
    return [e for e in rows(store, AlertEvent) if e.action == action]


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_message_has_the_runbook_and_contact_of_its_series(store: Store, box: PostBox, tmp_path: Path) -> None:
    guide = {"series": "topic:*", "runbook": "https://wiki.test/x", "contact": "8123"}
    fire(store, configured(tmp_path, {"receivers": [receiver("oncall", box)], "series": [guide]}))
    (written,) = rows(store)
    assert (written.payload["contact"], written.payload["runbook"]["en"]) == ("8123", "https://wiki.test/x")


def test_a_notification_stands_and_falls_with_the_change_it_tells_of(store: Store, config: NotifyConfig) -> None:
    with pytest.raises(AlertError), store.write() as c:
        change = apply_finding(c, Finding("surge", "topic:x", None, 1, True, "warning", T0, T0), T0)
        assert enqueue(c, change, config, T0) == 1
        life_cycle.acknowledge(c, 999_999, "li", None, T0)
    assert rows(store) == []
    assert rows(store, Alert) == []


def test_quiet_findings_severity_info_and_topics_on_trial_are_shown_only(store: Store, config: NotifyConfig) -> None:
    with store.write() as c:
        c.execute(insert(Series).values(id=5, name="topic:new", judged=True, trial=True))
    fire(store, config, "topic:a", quiet=True)
    fire(store, config, "topic:b", severity="info")
    fire(store, config, "topic:new", series_id=5)
    assert len(rows(store, Alert)) == 3
    assert rows(store) == []
    fire(
        store, config, "topic:b", severity="critical"
    )  # what gets worse is heard, and for the receiver it is the first
    assert [(n.reason, n.payload["severity"]) for n in rows(store)] == [("first", "critical")]


def test_the_resolution_is_told_to_those_who_were_told(store: Store, box: PostBox, tmp_path: Path) -> None:
    file = {
        "receivers": [
            receiver("oncall", box),
            receiver("boss", box),
            receiver("robot", box) | {"send_resolved": False},
        ],
        "routes": [
            {"min_severity": "critical", "receivers": ["boss"], "then": "continue"},
            {"receivers": ["oncall", "robot"]},
        ],
    }
    config = configured(tmp_path, file)
    fire(store, config)
    fire(store, config, firing=False, at=T0 + BUCKET)
    assert [(n.receiver, n.reason) for n in rows(store)] == [
        ("oncall", "first"), ("robot", "first"), ("oncall", "resolved"),
    ]  # fmt: skip


def test_another_matter_is_told_while_the_first_goes_on_and_a_wave_of_them_seldom(
    store: Store, config: NotifyConfig
) -> None:
    lease = lead(store)
    for i, name in enumerate(["甲例地产", "甲例地产", "乙例地产", "丙例地产"]):
        fire(store, config, at=T0 + i * 60_000, matter=Matter((name,)))
    assert [n.reason for n in rows(store)] == ["first", "matter"]
    assert repeat_due(store, lease, config, T0 + 6 * 60_000) == 0
    assert repeat_due(store, lease, config, T0 + 8 * 60_000) == 1
    assert [n.reason for n in rows(store)] == ["first", "matter", "matter"]
    assert repeat_due(store, lease, config, T0 + 20 * 60_000) == 0


# --- sending ---------------------------------------------------------------------------------------------------------


def test_a_message_is_sent_once_and_marked(store: Store, config: NotifyConfig, box: PostBox) -> None:
    lease = lead(store)
    alert_id = fire(store, config)
    states: list[Any] = []

    def look() -> None:  # while the channel has the message and has not answered
        states.extend((n.state, n.attempts) for n in rows(store))
        states.extend((a.finished_at, a.term) for a in rows(store, NotificationAttempt))

    box.on_post = look
    assert send_due(store, lease, config, T0) == 1
    assert states == [("sending", 1), (None, lease.term)]
    (n,), (attempt,) = rows(store), rows(store, NotificationAttempt)
    assert (n.state, n.attempts, n.last_error) == ("sent", 1, None)
    assert n.sent_at >= T0
    assert attempt.ok
    assert box.keys == [n.message_id]
    assert box.bodies()[0]["alerts"][0]["generatorURL"].endswith(f"/alerts/{alert_id}")
    assert [e.data["receiver"] for e in events(store, "notified")] == ["oncall"]
    assert send_due(store, lease, config, T0 + 10_000_000) == 0
    assert len(box.received) == 1


@pytest.mark.parametrize(
    ("answers", "tries", "state"),
    [
        ([(500, {}), (200, {})], 2, "sent"),
        ([(429, {"Retry-After": "600"}), (200, {})], 2, "sent"),
        ([(503, {}), (429, {}), (502, {}), (204, {})], 4, "sent"),
        ([(404, {}), (200, {})], 1, "failed"),
        ([(500, {}), (400, {}), (200, {})], 2, "failed"),
        ([(500, {})], 4, "failed"),
    ],
    ids=["500", "retry-after", "many", "404", "500 then 400", "always 500"],
)
def test_failures_are_tried_again_with_the_same_key(
    store: Store, box: PostBox, tmp_path: Path, answers: list[Any], tries: int, state: str
) -> None:
    config = configured(tmp_path, {"receivers": [receiver("oncall", box)]}, notify_attempts=4)
    lease, now = lead(store), T0
    fire(store, config)
    box.answers = list(answers)
    waits = []
    for _ in range(8):
        send_due(store, lease, config, now)
        (n,) = rows(store)
        if n.state != "pending":
            break
        assert n.sent_at is None
        assert send_due(store, lease, config, n.not_before - 1_000) == 0
        waits.append(n.not_before - now)
        now = n.not_before
    assert (n.state, n.attempts) == (state, tries)
    assert box.keys == [n.message_id] * tries
    assert [a.ok for a in rows(store, NotificationAttempt)] == [False] * (tries - 1) + [state == "sent"]
    if answers[0][1]:
        assert waits[0] >= 600_000
    assert len(events(store, "notification_failed")) == (state == "failed")
    assert len(events(store, "notified")) == (state == "sent")


def test_nobody_listening_is_tried_again(store: Store, box: PostBox, tmp_path: Path) -> None:
    file = {"receivers": [receiver("oncall", box)]}
    file["receivers"][0]["channels"][0]["url"] = "http://127.0.0.1:1/x"
    config = configured(tmp_path, file)
    fire(store, config)
    assert send_due(store, lead(store), config, T0) == 0
    (n,) = rows(store)
    assert (n.state, n.attempts) == ("pending", 1)
    assert n.last_error.startswith("127.0.0.1:1 refuses the connection: see that the service runs")


def test_a_receiver_that_left_the_file_fails_aloud(
    store: Store, config: NotifyConfig, box: PostBox, tmp_path: Path
) -> None:
    fire(store, config)
    assert send_due(store, lead(store), configured(tmp_path, {"receivers": [receiver("new", box)]}), T0) == 0
    assert rows(store)[0].state == "failed"
    assert "no longer has this receiver" in events(store, "notification_failed")[0].comment


def test_messages_of_one_alert_keep_their_order_and_others_do_not_wait(
    store: Store, config: NotifyConfig, box: PostBox
) -> None:
    lease = lead(store)
    fire(store, config)
    fire(store, config, severity="critical", score=9.0)
    box.answers = [(500, {})]
    send_due(store, lease, config, T0)
    assert [(n.reason, n.state, n.attempts) for n in rows(store)] == [("first", "pending", 1), ("worse", "pending", 0)]
    fire(store, config, "topic:macro")
    box.answers = [(200, {})]
    assert send_due(store, lease, config, T0 + 1) == 1
    assert send_due(store, lease, config, T0 + 60_000) == 2
    told = [b["commonAnnotations"]["reason"] for b in box.bodies()]
    assert told == ["first", "first", "first", "worse"]
    assert box.bodies()[1]["groupLabels"]["series"] == "topic:macro"


def test_a_slow_channel_does_not_hold_up_others(store: Store, box: PostBox, tmp_path: Path) -> None:
    config = configured(tmp_path, {"receivers": [receiver(f"r{i}", box) for i in range(6)]})
    fire(store, config)
    box.delay = 0.5
    begin = time.monotonic()
    assert send_due(store, lead(store), config, T0) == 6
    assert time.monotonic() - begin < 2.5


def test_waits_double_up_to_a_limit_with_jitter() -> None:
    chance = random.Random(1)
    for attempt in range(1, 40):
        middle = min(FIRST_WAIT_MS * 2 ** (attempt - 1), LONGEST_WAIT_MS)
        found = {backoff_ms(attempt, None, chance) for _ in range(20)}
        assert len(found) > 1
        assert all(0.8 * middle - 1 <= x <= 1.2 * middle for x in found)
    assert backoff_ms(1, 3600.0, chance) == 3_600_000


# --- terms and kills -------------------------------------------------------------------------------------------------


def test_who_no_longer_leads_sends_nothing(store: Store, config: NotifyConfig, box: PostBox) -> None:
    old = lead(store)
    fire(store, config)
    take_over(store)
    with pytest.raises(StaleWrite):
        send_due(store, old, config, T0)
    assert box.received == []
    assert rows(store)[0].attempts == 0


def test_a_lease_lost_while_sending_marks_nothing_and_costs_one_repeat(
    store: Store, config: NotifyConfig, box: PostBox
) -> None:
    old = lead(store)
    fire(store, config)
    new: list[Lease] = []

    def lose() -> None:
        if not new:
            new.append(take_over(store))

    box.on_post = lose
    with pytest.raises(StaleWrite):
        send_due(store, old, config, T0)
    assert rows(store)[0].state == "sending"
    assert send_due(store, new[0], config, T0 + 1) == 1
    (n,) = rows(store)
    assert (n.state, n.attempts) == ("sent", 2)
    assert box.keys == [n.message_id] * 2
    first, second = rows(store, NotificationAttempt)
    assert "ended before" in first.error
    assert second.ok


def test_a_sender_of_our_own_term_that_vanished_is_waited_for(store: Store, config: NotifyConfig, box: PostBox) -> None:
    lease = lead(store)
    fire(store, config)
    with store.write() as c:
        c.execute(
            update(Notification).values(
                state="sending", term=lease.term, attempts=1, not_before=T0 + SENDING_TIMEOUT_MS
            )
        )
    assert send_due(store, lease, config, T0 + SENDING_TIMEOUT_MS - 60_000) == 0
    assert send_due(store, lease, config, T0 + SENDING_TIMEOUT_MS) == 1
    assert len(box.received) == 1


SENDER = """
import sys
from barometer.settings import load_settings
from barometer.store import leases
from barometer.store.engine import Store
from monitor.notify.config import load_config
from monitor.notify.outbox.sending import send_due
store = Store(sys.argv[1])
lease = leases.acquire(store, leases.LEADER, "killed", 3600)
send_due(store, lease, load_config(load_settings(notify_file=sys.argv[2])), int(sys.argv[3]), budget_seconds=60)
"""


@pytest.mark.parametrize("kill_after", [1, 5, 11])
def test_a_sender_killed_at_any_point_loses_none_and_repeats_each_at_most_once(
    store: Store, database_url: str, config: NotifyConfig, box: PostBox, tmp_path: Path, kill_after: int
) -> None:
    for i in range(14):
        fire(store, config, f"topic:t{i}")
    enough = threading.Event()
    box.on_post = lambda: enough.set() if len(box.received) >= kill_after else None
    box.delay = 0.2  # the killed sender has handed these over, and has not heard that they were taken
    process = subprocess.Popen([sys.executable, "-c", SENDER, database_url, str(tmp_path / "notify.yaml"), str(T0)])
    try:
        assert enough.wait(60)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    by_then = Counter(box.keys)
    box.delay, box.on_post = 0.0, lambda: None
    send_due(store, take_over(store), config, T0)
    counts, found = Counter(box.keys), rows(store)
    assert {n.state for n in found} == {"sent"}
    assert set(counts) == {n.message_id for n in found}
    assert max(counts.values()) <= 2
    assert any(n > 1 for n in counts.values()), by_then  # the kill did fall between acceptance and mark


def test_two_people_cannot_both_acknowledge(store: Store, config: NotifyConfig) -> None:
    alert_id = fire(store, config)
    barrier, outcomes = threading.Barrier(4), []

    def try_it(name: str) -> None:
        barrier.wait()
        try:
            with store.write() as c:
                life_cycle.acknowledge(c, alert_id, name, None, T0)
            outcomes.append("taken")
        except AlertError as e:
            outcomes.append(str(e))

    threads = [threading.Thread(target=try_it, args=(name,)) for name in ("li", "wang", "zhao", "sun")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert outcomes.count("taken") == 1
    assert len(events(store, "acknowledged")) == 1
    assert sum("acknowledged already, by" in o for o in outcomes) == 3


def test_a_receiver_that_hangs_delays_nobody_else(store: Store, box: PostBox, tmp_path: Path) -> None:
    """More messages than a channel has places, to one that takes long to answer; the others have theirs at once."""
    with post_box() as slow:
        slow.delay = 3.0
        config = configured(tmp_path, {"receivers": [receiver("slow", slow), receiver("quick", box)]})
        lease, sending = lead(store), SenderPool()
        for n in range(8):
            fire(store, config, f"topic:t{n}")
        begin = time.monotonic()
        send_due(store, lease, config, T0 + 60_000, pool=sending)
        assert len(box.received) == 8
        assert len(slow.received) == A_CHANNEL
        assert sending, "what hangs is left to the next call"
        assert time.monotonic() - begin < slow.delay
        while sending:
            send_due(store, lease, config, T0 + 90_000, pool=sending)
        assert len(slow.received) == 8
        assert {n.state for n in rows(store)} == {"sent"}
        sending.close()
