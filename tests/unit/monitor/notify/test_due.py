"""What is due follows from the state: told once it is told, whatever happened in whatever order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, select, update

from barometer.settings import load_settings
from barometer.store import leases
from barometer.store.alerts import handling, life_cycle, silences
from barometer.store.alerts.life_cycle import AlertError, Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.migrate import upgrade
from barometer.store.tables import Alert, Notification
from barometer.vocabulary import LEVELS, SEVERITIES
from monitor.notify.config import NotifyConfig, load_config
from monitor.notify.outbox.enqueue import enqueue
from monitor.notify.outbox.reminders import repeat_due

MINUTE = 60_000
T0 = 1_795_000_000_000
STORY = "某某银行城东支行门口今天早上排起了长队，储户担心存款取不出来"
MAIL = [{"type": "mail", "to": "a@b.c"}]
FILE = {
    "receivers": [{"name": n, "channels": MAIL, **({"quiet_hours": "night"} if n == "wang" else {})}
                  for n in ("li", "wang", "boss", "compliance")],
    "quiet_hours": {"night": {"windows": "all 14:00-18:00"}},
    "rosters": [{"name": "risk", "people": ["li", "wang"], "start": "2026-11-18 00:00", "turn": "day"}],
    "routes": [{"receivers": ["duty:risk", "wang"], "repeat_minutes": 30,
                "escalate": [{"after_minutes": 10, "receivers": "boss"}, {"after_minutes": 40, "receivers": "wang"}]}],
    "levels": [{"name": "big", "sets": "major", "min_severity": "critical"}],
    "overdue": "compliance",
}  # fmt: skip


class _Shared:
    store: Store | None = None
    config: NotifyConfig


def shared() -> tuple[Store, NotifyConfig]:
    if _Shared.store is None:
        folder = Path(tempfile.mkdtemp())
        (folder / "notify.yaml").write_text(yaml.safe_dump(FILE))
        _Shared.store = Store(f"sqlite:///{folder / 'store.db'}")
        upgrade(_Shared.store)
        _Shared.config = load_config(load_settings(notify_file=folder / "notify.yaml"))
    return _Shared.store, _Shared.config


class Told(RuleBasedStateMachine):
    """Alerts of three series (two of one story) under anybody's acts, while time passes and channels take or fail."""

    @initialize()
    def begin(self) -> None:
        self.store, self.config = shared()
        with self.store.write() as c:
            for table in ("notification_attempts", "notifications", "alert_events", "alert_steps", "alerts",
                          "incidents", "silences"):  # fmt: skip
                c.exec_driver_sql(f"DELETE FROM {table}")
        lease = leases.acquire(self.store, leases.LEADER, "test", 3600)
        assert lease is not None
        self.lease, self.now = lease, T0

    def act(self, what: Any) -> None:
        with self.store.write() as c:
            ids = list(c.execute(select(Alert.id).where(Alert.state != "resolved")).scalars())
            if ids:
                try:
                    what(c, ids[-1])
                except AlertError:
                    pass  # not in a state for it

    @rule(series=st.sampled_from("abc"), firing=st.booleans(), severity=st.sampled_from(SEVERITIES))
    def detect(self, series: str, firing: bool, severity: Any) -> None:
        evidence = [{"row_id": series, "text": STORY if series != "c" else "北湖物流园凌晨发生火灾，居民被疏散"}]
        f = Finding("surge", f"topic:{series}", None, 1, firing, severity, self.now, self.now, 4.0, evidence=evidence)
        with self.store.write() as c:
            enqueue(c, apply_finding(c, f, self.now), self.config, self.now)

    @rule()
    def acknowledge(self) -> None:
        self.act(lambda c, a: life_cycle.acknowledge(c, a, "li", None, self.now))

    @rule(outcome=st.sampled_from(["real", "false_alarm"]))
    def resolve(self, outcome: str) -> None:
        self.act(lambda c, a: life_cycle.resolve(c, a, "li", outcome, None, self.now))

    @rule(level=st.sampled_from([None, *LEVELS]))
    def say_level(self, level: str | None) -> None:
        self.act(lambda c, a: handling.set_level(c, a, "li", level, self.now, None, self.config.settings.level_steps))

    @rule(minutes=st.integers(1, 200))
    def snooze(self, minutes: int) -> None:
        self.act(lambda c, a: handling.snooze(c, a, "li", self.now + minutes * MINUTE, None, self.now))

    @rule(minutes=st.integers(1, 200))
    def silence(self, minutes: int) -> None:
        with self.store.write() as c:
            silences.add_silence(
                c, "li", "x", self.now, starts_at=self.now, ends_at=self.now + minutes * MINUTE, series="topic:a"
            )

    @rule(minutes=st.integers(1, 400), state=st.sampled_from(["sent", "failed", "pending"]))
    def pass_time(self, minutes: int, state: str) -> None:
        with self.store.write() as c:
            n = Notification
            c.execute(
                update(n).where(n.state == "pending").values(state=state, sent_at=self.now if state == "sent" else None)
            )
        self.now += minutes * MINUTE

    @invariant()
    def what_is_told_is_told(self) -> None:
        if not hasattr(self, "lease"):
            return
        repeat_due(self.store, self.lease, self.config, self.now)
        assert repeat_due(self.store, self.lease, self.config, self.now) == 0
        with self.store.read() as c:
            self.check(c)

    def check(self, c: Connection) -> None:
        rows = c.execute(select(Alert.__table__)).all()
        incident = {r.id: r.incident_id for r in rows}
        heard: dict[tuple[Any, str], list[str]] = {}
        lost: set[tuple[Any, str]] = set()
        for n in c.execute(select(Notification.__table__).order_by(Notification.id)):
            heard.setdefault((incident[n.alert_id], n.receiver), []).append(n.reason)
            if n.state == "failed":
                lost.add((incident[n.alert_id], n.receiver))
            assert n.payload["severity"] != "info"
            in_quiet = (n.created_at + 8 * 60 * MINUTE) // (60 * MINUTE) % 24 in (14, 15, 16, 17)
            if n.receiver == "wang" and in_quiet and n.payload["severity"] != "critical":
                assert n.not_before > n.created_at, n.reason  # only an ending may wait in the outbox
                assert n.reason == "resolved"
        for key, reasons in heard.items():
            for before, after in zip([None, *reasons], reasons, strict=False):
                if before in (None, "resolved"):
                    assert after in ("first", "escalated", "overdue"), reasons
                if after == "first" and key not in lost:  # who never heard of it is told for the first time, again
                    assert before in (None, "resolved", "first", "overdue"), reasons


Told.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestTold = Told.TestCase


def test_who_it_is_escalated_to_hears_of_the_worst_alert_of_the_incident() -> None:
    """And is not told a second time, that it is worse than the first time said."""
    story = Told()
    story.begin()
    for series, severity in (("b", "warning"), ("a", "info")):
        story.detect(series=series, firing=True, severity=severity)
        story.what_is_told_is_told()
    story.resolve(outcome="real")
    story.detect(series="a", firing=True, severity="critical")
    story.pass_time(minutes=43, state="sent")
    story.what_is_told_is_told()
    with story.store.read() as c:
        n = Notification
        boss = c.execute(select(n.reason, n.payload["severity"].as_string()).where(n.receiver == "boss")).all()
    assert [tuple(x) for x in boss] == [("escalated", "critical")]


@pytest.fixture(autouse=True, scope="module")
def closed() -> Iterator[None]:
    yield
    if _Shared.store is not None:
        _Shared.store.close()
