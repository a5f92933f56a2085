"""Who is told what and when, over the life of alerts; the clock is the test's. Reads from top to bottom like a log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from barometer.store import leases
from barometer.store.alerts import life_cycle
from barometer.store.engine import Store
from barometer.store.tables import AlertEvent, Notification, Silence
from monitor.notify.config import NotifyConfig
from monitor.notify.outbox.reminders import repeat_due
from monitor.notify.outbox.sending import send_due
from testing.post_box import PostBox
from tests.integration.monitor.test_outbox import T0, box, configured, fire, lead, receiver, store

__all__ = ["box", "store"]
MINUTE = 60_000


class Timeline:
    """Minutes since ``T0``; every minute the leader looks for what is due and sends it."""

    def __init__(self, store: Store, config: NotifyConfig, box: PostBox) -> None:
        self.store, self.config, self.box = store, config, box
        self.lease = lead(store)
        self.minute = -1
        self.seen = 0
        self.log: list[tuple[int, str, str, str]] = []

    def until(self, minute: int) -> None:
        while self.minute < minute:
            self.minute += 1
            self.leader()

    def leader(self) -> None:
        now = T0 + self.minute * MINUTE
        repeat_due(self.store, self.lease, self.config, now)
        send_due(self.store, self.lease, self.config, now)
        new = [
            (self.minute, b["receiver"], b["groupLabels"]["series"].partition(":")[2], b["commonAnnotations"]["reason"])
            for b in self.box.bodies()[self.seen :]
        ]
        self.seen += len(new)
        self.log += sorted(new)

    def at(self, minute: int) -> int:
        """Go there, after what the leader does that minute; the time in milliseconds."""
        self.until(minute)
        return T0 + minute * MINUTE

    def fire(self, minute: int, name: str = "topic:a", **more: Any) -> int:
        return fire(self.store, self.config, name, self.at(minute), **more)

    def silence(self, minute: int, minutes: int, **more: Any) -> None:
        now = self.at(minute)
        values = {"series": None, "severity": None, "starts_at": now, "ends_at": now + minutes * MINUTE,
                  "created_by": "li", "created_at": now, "comment": "planned"}  # fmt: skip
        with self.store.write() as c:
            c.execute(insert(Silence).values(**(values | more)))

    def events(self, action: str) -> list[Any]:
        with self.store.read() as c:
            return list(c.execute(select(AlertEvent.__table__).where(AlertEvent.action == action)))


@pytest.fixture
def timeline(store: Store, box: PostBox, tmp_path: Path) -> Iterator[Timeline]:
    file = {
        "receivers": [receiver("oncall", box), receiver("boss", box)],
        "routes": [
            {
                "series": "topic:*", "receivers": "oncall",
                "escalate": {"after_minutes": 30, "receivers": "boss"},
            },
            {"type": "system", "receivers": "oncall"},
        ],
    }  # fmt: skip
    # Just under an hour: sending takes some milliseconds of the test's own time.
    yield Timeline(store, configured(tmp_path, file, repeat_interval_minutes=59.9), box)


def test_told_reminded_escalated_and_told_that_it_is_over(timeline: Timeline) -> None:
    t = timeline
    t.fire(0)
    t.fire(100, severity="critical", score=8.0)
    t.fire(170, firing=False)
    t.until(400)
    assert t.log == [
        (1, "oncall", "a", "first"),
        (30, "boss", "a", "escalated"),
        (61, "oncall", "a", "repeated"),
        (90, "boss", "a", "repeated"),
        (101, "boss", "a", "worse"),
        (101, "oncall", "a", "worse"),
        (161, "boss", "a", "repeated"),
        (161, "oncall", "a", "repeated"),
        (171, "boss", "a", "resolved"),
        (171, "oncall", "a", "resolved"),
    ]
    assert [e.data["receivers"] for e in t.events("escalated")] == [["boss"]]


def test_who_acknowledges_is_left_in_peace_until_it_gets_worse_or_ends(timeline: Timeline) -> None:
    t = timeline
    a = t.fire(0)
    now = t.at(20)
    with t.store.write() as c:
        life_cycle.acknowledge(c, a, "li", None, now)
    t.fire(200, severity="critical", score=8.0)
    t.fire(300, firing=False)
    t.until(400)
    assert t.log == [
        (1, "oncall", "a", "first"), (201, "oncall", "a", "worse"), (301, "oncall", "a", "resolved"),
    ]  # fmt: skip


def test_a_resolution_on_the_dashboard_is_told_once(timeline: Timeline) -> None:
    t = timeline
    a = t.fire(0)
    now = t.at(10)
    with t.store.write() as c:
        life_cycle.resolve(c, a, "li", "false_alarm", None, now)  # as the dashboard does: nothing is enqueued
    t.fire(20)  # the detector still holds it; a person has judged
    t.fire(30, firing=False)
    t.until(200)
    assert t.log == [(1, "oncall", "a", "first"), (11, "oncall", "a", "resolved")]


def test_a_silence_is_kept_and_what_still_fires_after_it_is_told(timeline: Timeline) -> None:
    t = timeline
    t.silence(0, 60, series="topic:a*", severity="warning")
    t.fire(5)
    t.fire(5, "topic:b")
    t.fire(10, "topic:a2")
    t.fire(20, "topic:a2", firing=False)
    t.until(59)
    assert t.log == [(6, "oncall", "b", "first"), (35, "boss", "b", "escalated")]
    silenced = t.events("silenced")
    assert [(e.actor, e.comment, e.data["reason"]) for e in silenced] == [("li", "planned", "first")] * 2
    t.until(64)
    assert t.log[2:] == [(60, "oncall", "a", "first")]


def test_what_gets_worse_than_its_silence_is_told(timeline: Timeline) -> None:
    t = timeline
    t.silence(0, 600, severity="warning")
    t.fire(5)
    t.fire(10, severity="critical", score=8.0)
    t.until(15)
    assert t.log == [(11, "oncall", "a", "first")]


def test_a_silence_stops_what_waits_already(timeline: Timeline) -> None:
    t = timeline
    t.box.answers = [(500, {})]
    t.fire(0)
    t.until(1)
    t.box.answers = [(200, {})]
    t.seen = len(t.box.received)
    t.silence(1, 60)
    t.until(50)
    assert t.log[1:] == []
    with t.store.read() as c:
        assert c.execute(select(Notification.state)).scalars().all() == ["silenced"]
    t.until(65)
    assert t.log[1:] == [(61, "oncall", "a", "first")]


def test_a_reminder_that_waits_while_somebody_acknowledges_is_dropped(timeline: Timeline) -> None:
    t = timeline
    a = t.fire(0)
    t.until(60)
    t.box.answers = [(503, {"Retry-After": "300"})]
    now = t.at(61)
    assert t.log[-1] == (61, "oncall", "a", "repeated")  # tried, and refused
    t.box.answers = [(200, {})]
    with t.store.write() as c:
        life_cycle.acknowledge(c, a, "li", None, now)
    t.until(90)
    assert len(t.log) == 3
    with t.store.read() as c:
        states = c.execute(select(Notification.reason, Notification.state).order_by(Notification.id)).all()
    assert [tuple(s) for s in states] == [("first", "sent"), ("escalated", "sent"), ("repeated", "cancelled")]


def test_a_standby_that_takes_over_repeats_nothing(timeline: Timeline) -> None:
    t = timeline
    t.fire(0)
    t.until(30)
    leases.release(t.store, t.lease)
    t.lease = lead(t.store, "standby")
    t.until(59)
    assert [x[3] for x in t.log] == ["first", "escalated"]
