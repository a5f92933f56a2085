"""The life cycle of alerts against a small model of it, over any order of findings and people's acts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, select

from barometer.store.alerts import life_cycle
from barometer.store.alerts.life_cycle import AlertError, Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.migrate import upgrade
from barometer.store.tables import Alert, AlertEvent
from barometer.vocabulary import SEVERITIES

BUCKET = 600_000
NAME = "topic:real_estate"


def finding(firing: bool, bucket: int, kind: int = 1, severity: Any = "warning", **more: Any) -> Finding:
    values = {"score": 4.0, "seen_negative": 20, "seen_total": 50, "expected_negative": 5.0, "window_seconds": 600}
    return Finding(
        "surge", NAME, None, kind, firing, severity, bucket * BUCKET, (bucket + 1) * BUCKET, **(values | more)
    )


class _Rollback(Exception):
    pass


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(f"sqlite:///{tmp_path_factory.mktemp('alerts') / 'store.db'}")
    upgrade(made)
    return made


@pytest.fixture
def c(store: Store) -> Any:
    """A transaction that leaves nothing behind."""
    with pytest.raises(_Rollback), store.write() as connection:
        yield connection
        raise _Rollback


def row(c: Connection, alert_id: int) -> Any:
    return c.execute(select(Alert.__table__).where(Alert.id == alert_id)).one()


def actions(c: Connection, alert_id: int) -> list[tuple[str, str]]:
    events = c.execute(select(AlertEvent.__table__).where(AlertEvent.alert_id == alert_id).order_by(AlertEvent.id))
    return [(e.actor, e.action) for e in events]


def opened(c: Connection, **more: Any) -> int:
    change = apply_finding(c, finding(True, 10, **more), 1)
    assert change is not None
    assert change.reason == "first"
    return change.alert_id


def test_news_and_comments_merge_and_the_alert_ends_with_the_last_of_them(c: Connection) -> None:
    a = opened(c)
    assert apply_finding(c, finding(True, 8, kind=2), 2) == life_cycle.AlertChange(a, NAME, None)
    alert = row(c, a)
    assert alert.kinds == [1, 2]
    assert (alert.started_at, alert.detected_at) == (8 * BUCKET, 11 * BUCKET)  # the earliest start is kept
    assert apply_finding(c, finding(False, 12, kind=1), 3) == life_cycle.AlertChange(a, NAME, None)
    assert row(c, a).state == "firing"
    assert apply_finding(c, finding(False, 13, kind=2), 4) == life_cycle.AlertChange(a, NAME, "resolved")
    alert = row(c, a)
    assert (alert.state, alert.ended_at, alert.resolved_by, alert.resolved_at) == (
        "resolved",
        14 * BUCKET,
        "detector",
        4,
    )
    assert actions(c, a) == [("detector", x) for x in ("opened", "updated", "updated", "ended", "resolved")]
    assert apply_finding(c, finding(False, 14), 5) is None


def test_severity_rises_and_never_falls_while_it_runs(c: Connection) -> None:
    a = opened(c)
    worse = apply_finding(c, finding(True, 11, severity="critical", score=6.0), 2)
    assert worse is not None
    assert worse.reason == "worse"
    calmer = apply_finding(c, finding(True, 12, severity="warning", score=3.7), 3)
    assert calmer is not None
    assert calmer.reason is None
    alert = row(c, a)
    assert (alert.severity, alert.score, alert.peak_at) == ("critical", 6.0, 12 * BUCKET)


def test_figures_and_evidence_are_those_of_the_peak_and_no_kind_loses_its_texts(c: Connection) -> None:
    news = [{"kind": 1, "text": f"n{i}"} for i in range(10)]
    comments = [{"kind": 2, "text": f"c{i}"} for i in range(10)]
    a = opened(c, evidence=news)
    apply_finding(c, finding(True, 11, kind=2, score=9.0, seen_negative=70, evidence=comments), 2)
    alert = row(c, a)
    assert alert.seen_negative == 70
    assert [e["kind"] for e in alert.evidence] == [2] * 6 + [1] * 6
    apply_finding(c, finding(True, 12, score=2.0, evidence=[{"kind": 1, "text": "weaker"}]), 3)
    assert row(c, a).evidence == alert.evidence


def test_an_acknowledged_alert_resolves_by_itself_and_a_new_firing_is_a_new_alert(c: Connection) -> None:
    a = opened(c)
    life_cycle.acknowledge(c, a, "li", "mine", 2)
    ended = apply_finding(c, finding(False, 11), 3)
    assert ended is not None
    assert ended.reason == "resolved"
    assert row(c, a).acknowledged_by == "li"
    again = apply_finding(c, finding(True, 12), 4)
    assert again is not None
    assert again.reason == "first"
    assert again.alert_id != a


def test_what_a_person_closed_stays_closed_until_it_is_more_than_they_knew(c: Connection) -> None:
    a = opened(c)
    assert life_cycle.resolve(c, a, "li", "false_alarm", None, 2).reason == "resolved"
    assert apply_finding(c, finding(True, 11), 3) == life_cycle.AlertChange(a, NAME, None)
    assert row(c, a).last_bucket_end == 12 * BUCKET
    worse = apply_finding(c, finding(True, 12, severity="critical"), 4)
    assert worse is not None
    assert worse.reason == "first"
    assert worse.alert_id != a
    assert row(c, a).ended_at == 13 * BUCKET
    apply_finding(c, finding(False, 13), 5)
    assert row(c, worse.alert_id).state == "resolved"


def test_a_closed_alert_that_the_detector_lets_go_says_when(c: Connection) -> None:
    a = opened(c)
    life_cycle.resolve(c, a, "li", "known", "planned", 2)
    assert apply_finding(c, finding(False, 12), 3) == life_cycle.AlertChange(a, NAME, None)
    alert = row(c, a)
    assert (alert.ended_at, alert.resolved_by, alert.resolution) == (13 * BUCKET, "li", "known")


def test_a_quiet_alert_that_becomes_audible_is_told_of(c: Connection) -> None:
    a = opened(c, severity="info", quiet=True)
    assert row(c, a).explanation["quiet"]
    heard = apply_finding(c, finding(True, 11, severity="warning", score=4.2), 2)
    assert heard is not None
    assert heard.reason == "worse"
    assert not row(c, a).explanation["quiet"]


def test_an_infinite_score_can_be_stored(c: Connection) -> None:
    assert row(c, opened(c, score=float("inf"))).score == life_cycle.MAX_SCORE


def test_wrong_moves_say_what_is_wrong_and_change_nothing(c: Connection) -> None:
    a = opened(c)
    life_cycle.acknowledge(c, a, "li", None, 2)
    with pytest.raises(AlertError, match="acknowledged already, by li"):
        life_cycle.acknowledge(c, a, "wang", None, 3)
    life_cycle.resolve(c, a, "wang", "real", None, 4)
    with pytest.raises(AlertError, match="resolved already, by wang"):
        life_cycle.resolve(c, a, "li", "real", None, 5)
    with pytest.raises(AlertError, match="nothing to acknowledge"):
        life_cycle.acknowledge(c, a, "li", None, 5)
    with pytest.raises(AlertError, match="cannot be assigned"):
        life_cycle.assign(c, a, "li", "zhao", 5)
    with pytest.raises(AlertError, match="level 'huge'"):
        life_cycle.set_level(c, a, "li", "huge", 5)
    with pytest.raises(AlertError, match="there is no alert 999999"):
        life_cycle.comment(c, 999_999, "li", "hello", 5)
    with pytest.raises(AlertError, match="severity 'loud'"):
        apply_finding(c, finding(True, 12, severity="loud"), 6)
    assert actions(c, a)[-1] == ("wang", "resolved")


def test_assigning_commenting_and_levels_leave_events(c: Connection) -> None:
    a = opened(c, level="major")
    life_cycle.assign(c, a, "li", "zhao", 2)
    life_cycle.comment(c, a, "zhao", "calling the branch", 3)
    life_cycle.set_level(c, a, "zhao", "grave", 4, "runs at three branches")
    apply_finding(c, finding(True, 11, level="ordinary"), 5)
    alert = row(c, a)
    assert (alert.assignee, alert.level) == ("zhao", "grave")
    done = [("detector", "level"), ("li", "assigned"), ("zhao", "commented"), ("zhao", "level")]
    assert actions(c, a)[1:] == done


def test_a_system_alert_shows_what_holds_now_without_an_event_each_time(c: Connection) -> None:
    for i in range(5):
        f = Finding("system", "system:lag", None, None, True, "warning", i, i, explanation={"records": i})
        change = apply_finding(c, f, i)
    assert change is not None
    assert row(c, change.alert_id).explanation["records"] == 4
    assert actions(c, change.alert_id) == [("detector", "opened")]


# --- any order -------------------------------------------------------------------------------------------------------

_store: list[Store] = []


def machine_store() -> Store:
    if not _store:
        _store.append(Store(f"sqlite:///{Path(tempfile.mkdtemp()) / 'store.db'}"))
        upgrade(_store[0])
    return _store[0]


class LifeCycle(RuleBasedStateMachine):
    """The model keeps which kinds fire, and the state and worst severity of the alert that follows them."""

    @initialize()
    def begin(self) -> None:
        self.connection = machine_store().engine.connect()
        self.transaction = self.connection.begin()
        self.bucket = 0
        self.current: int | None = None  # the alert that the detector still holds
        self.state = "none"
        self.severity = "info"
        self.kinds: set[int] = set()
        self.known: set[int] = set()  # kinds that fired when a person closed it
        self.start = 0

    @rule(kind=st.sampled_from([1, 2]), severity=st.sampled_from(SEVERITIES), score=st.floats(0, 10))
    def fire(self, kind: int, severity: Any, score: float) -> None:
        self.bucket += 1
        change = apply_finding(self.connection, finding(True, self.bucket, kind, severity, score=score), self.bucket)
        assert change is not None
        rank = SEVERITIES.index
        worse = rank(severity) > rank(self.severity)
        silent = self.state == "resolved" and kind in self.known and not worse
        if self.current is None or (self.state == "resolved" and not silent):
            assert change.reason == "first"
            assert change.alert_id != self.current
            inherited = self.known if self.current is not None else set()
            self.current, self.state, self.severity = change.alert_id, "firing", severity
            self.kinds, self.start = inherited | {kind}, self.bucket * BUCKET
        elif silent:
            assert (change.alert_id, change.reason) == (self.current, None)
        else:
            assert (change.alert_id, change.reason) == (self.current, "worse" if worse else None)
            self.kinds.add(kind)
            if worse:
                self.severity = severity

    @rule(kind=st.sampled_from([1, 2]))
    def let_go(self, kind: int) -> None:
        self.bucket += 1
        change = apply_finding(self.connection, finding(False, self.bucket, kind), self.bucket)
        if self.current is None or kind not in self.kinds:
            assert change is None
            return
        assert change is not None
        self.kinds.discard(kind)
        self.known.discard(kind)
        ended = not self.kinds
        assert change.reason == ("resolved" if ended and self.state != "resolved" else None)
        if ended:
            self.current, self.state = None, "none"

    @rule()
    def acknowledge(self) -> None:
        if self.current is None:
            return
        if self.state == "firing":
            life_cycle.acknowledge(self.connection, self.current, "li", None, self.bucket)
            self.state = "acknowledged"
        else:
            with pytest.raises(AlertError):
                life_cycle.acknowledge(self.connection, self.current, "wang", None, self.bucket)

    @rule()
    def resolve(self) -> None:
        if self.current is None:
            return
        if self.state == "resolved":
            with pytest.raises(AlertError):
                life_cycle.resolve(self.connection, self.current, "wang", "other", None, self.bucket)
        else:
            life_cycle.resolve(self.connection, self.current, "li", "other", None, self.bucket)
            self.state, self.known = "resolved", set(self.kinds)

    @invariant()
    def the_store_agrees(self) -> None:
        if not hasattr(self, "connection"):
            return
        rows = self.connection.execute(select(Alert.__table__).order_by(Alert.id)).all()
        held = [r for r in rows if r.ended_at is None]
        assert [r.id for r in held] == ([] if self.current is None else [self.current])
        assert all(r.state == "resolved" for r in rows if r.id != self.current)
        for r in held:
            assert (r.state, r.severity, r.started_at) == (self.state, self.severity, self.start)
            assert {p["kind"] for p in r.explanation["kinds"].values() if p["firing"]} == self.kinds
        for r in rows:
            assert r.started_at <= r.detected_at <= r.peak_at <= r.last_bucket_end
            done = [a for _, a in actions(self.connection, r.id)]
            assert done[0] == "opened"
            assert done.count("resolved") == (r.state == "resolved")
            assert done.count("acknowledged") <= 1
            assert done.count("ended") == (r.ended_at is not None)

    def teardown(self) -> None:
        if hasattr(self, "connection"):
            self.transaction.rollback()
            self.connection.close()


LifeCycle.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLifeCycle = LifeCycle.TestCase
