"""Grouping, levels with steps, snooze, silences, alerts from rules: what the store keeps of them, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text

from barometer.settings import LEVEL_STEPS, load_settings
from barometer.store.alerts import handling, life_cycle, silences
from barometer.store.alerts.incidents import incident_alerts
from barometer.store.alerts.life_cycle import AlertError, Finding, apply_finding
from barometer.store.alerts.rule_alerts import RuleFinding, end_rules, open_from_rule
from barometer.store.alerts.silences import SilenceError
from barometer.store.engine import Store
from barometer.store.migrate import upgrade
from barometer.store.tables import Alert, AlertEvent, AlertStep, AuditEntry

HOUR = 3_600_000
T0 = 1_795_000_000_000
RUN = "某某银行城东支行门口今天早上排起了长队，储户担心存款取不出来"
STRIKE = "中原化工三号车间的工人因为拖欠工资停工，公司没有回应"
FIRE = "北湖物流园凌晨发生火灾，周边居民被疏散，起火原因还在调查"


def evidence(*texts: str, copies: int = 1, first_row: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [{"row_id": str(first_row + i), "kind": 1, "text": t, "copies": copies, **more} for i, t in enumerate(texts)]


def surge(c: Any, series: str, texts: list[dict[str, Any]], at: int = T0, firing: bool = True, **more: Any) -> int:
    values: dict[str, Any] = {"severity": "warning", "score": 4.0, "evidence": texts}
    f = Finding("surge", series, None, 1, firing, bucket_start=at, bucket_end=at, **(values | more))
    change = apply_finding(c, f, at)
    assert change is not None
    return change.alert_id


def incident(c: Any, alert_id: int) -> int | None:
    return c.execute(select(Alert.incident_id).where(Alert.id == alert_id)).scalar_one()


def actions(c: Any, alert_id: int) -> list[tuple[str, str]]:
    e = AlertEvent
    return [tuple(r) for r in c.execute(select(e.actor, e.action).where(e.alert_id == alert_id).order_by(e.id))]


# --- grouping --------------------------------------------------------------------------------------------------------


def test_the_same_documents_and_near_copies_are_one_cause(store: Store) -> None:
    with store.write() as c:
        a = surge(c, "topic:banks", evidence(RUN, STRIKE))
        same_rows = surge(c, "topic:market", evidence("取不出钱", "改写过的另一条", first_row=0))
        near = surge(c, "symbol:600519", evidence(f"转发：{RUN}！", first_row=50))
        other = surge(c, "watch:北湖", evidence(FIRE, first_row=90))
        system = surge(c, "system:lag", [], severity="warning")
        assert incident(c, a) == incident(c, same_rows) == incident(c, near) != incident(c, other)
        assert [x.fingerprint for x in incident_alerts(c, incident(c, a) or 0)] == [
            "topic:banks", "topic:market", "symbol:600519",
        ]  # fmt: skip
        assert ("detector", "grouped") in actions(c, near)
        assert system


def test_half_of_the_voices_of_either_must_be_common(store: Store) -> None:
    with store.write() as c:
        a = surge(c, "topic:a", evidence(RUN, copies=30) + evidence(STRIKE, first_row=5))
        minor = surge(c, "topic:b", evidence(STRIKE, first_row=20) + evidence(FIRE, copies=10, first_row=30))
        small = surge(c, "topic:c", evidence(RUN, first_row=40))
        assert incident(c, minor) != incident(c, a)
        assert incident(c, small) == incident(c, a)


def test_what_is_over_takes_no_more_alerts_and_later_texts_may_join(store: Store) -> None:
    with store.write() as c:
        a = surge(c, "topic:a", evidence(RUN))
        surge(c, "topic:a", [], T0 + HOUR, firing=False)
        b = surge(c, "topic:b", evidence(RUN, first_row=7), T0 + 2 * HOUR)
        assert incident(c, b) != incident(c, a)
        late = surge(c, "topic:c", evidence(FIRE, first_row=9), T0 + 2 * HOUR)
        assert incident(c, late) != incident(c, b)
        surge(c, "topic:c", evidence(RUN, first_row=11), T0 + 3 * HOUR, score=6.0)  # its peak tells the same story
        assert incident(c, late) == incident(c, b)


def test_acknowledging_takes_the_incident_in_hand(store: Store) -> None:
    with store.write() as c:
        a, b = surge(c, "topic:a", evidence(RUN)), surge(c, "topic:b", evidence(RUN))
        other = surge(c, "topic:d", evidence(FIRE, first_row=9))
        life_cycle.acknowledge(c, b, "li", "mine", T0)
        states = dict(c.execute(select(Alert.id, Alert.state)).tuples().all())
        assert states == {a: "acknowledged", b: "acknowledged", other: "firing"}
        assert actions(c, a)[-1] == ("li", "acknowledged")
        with pytest.raises(AlertError, match="by li"):
            life_cycle.acknowledge(c, a, "wang", None, T0)


# --- levels and steps ------------------------------------------------------------------------------------------------


def steps(c: Any, alert_id: int) -> dict[str, tuple[str, int]]:
    return {s.step: (s.state, (s.due_at - T0) // 60_000) for s in handling.steps_of(c, [alert_id])}


def test_a_graver_level_never_puts_a_deadline_off(store: Store) -> None:
    with store.write() as c:
        a = surge(c, "topic:a", [])
        assert handling.set_level(c, a, "rule:big", "major", T0, None, LEVEL_STEPS)
        assert steps(c, a) == {"assess": ("open", 60), "respond": ("open", 240), "report": ("open", 720),
                               "review": ("open", 10_080)}  # fmt: skip
        handling.do_step(c, a, "assess", "li", "real", T0)
        handling.set_level(c, a, "li", "grave", T0 + 100 * 60_000, None, LEVEL_STEPS)
        assert steps(c, a) == {"assess": ("done", 60), "respond": ("open", 160), "report": ("open", 220),
                               "review": ("open", 10_080)}  # fmt: skip
        assert not handling.set_level(c, a, "rule:other", "ordinary", T0, None, LEVEL_STEPS)  # a person has spoken
        handling.set_level(c, a, "li", "ordinary", T0, None, LEVEL_STEPS)
        assert steps(c, a)["review"][0] == "waived"
        due = handling.overdue(handling.steps_of(c, [a]), T0 + 161 * 60_000)
        assert [s.step for s in due] == ["respond"]


def test_steps_are_done_once_by_somebody_with_a_note(store: Store) -> None:
    with store.write() as c:
        a = surge(c, "topic:a", [])
        with pytest.raises(AlertError, match="it has no level yet"):
            handling.do_step(c, a, "assess", "li", None, T0)
        handling.set_level(c, a, "li", "ordinary", T0, None, LEVEL_STEPS)
        with pytest.raises(AlertError, match="ordinary, does not ask for it"):
            handling.do_step(c, a, "report", "li", None, T0)
        with pytest.raises(AlertError, match="use one of assess"):
            handling.do_step(c, a, "think", "li", None, T0)
        handling.do_step(c, a, "assess", "li", "an old story", T0 + 5 * HOUR)
        with pytest.raises(AlertError, match="done already, by li"):
            handling.do_step(c, a, "assess", "wang", None, T0)
        with pytest.raises(AlertError, match="say why"):
            handling.do_step(c, a, "respond", "li", " ", T0, waive=True)
        row = c.execute(select(AlertStep.__table__).where(AlertStep.step == "assess")).one()
        assert (row.state, row.done_by, row.note, row.done_at) == ("done", "li", "an old story", T0 + 5 * HOUR)
        life_cycle.resolve(c, a, "li", "false_alarm", None, T0 + 6 * HOUR)
        assert {s.state for s in handling.steps_of(c, [a])} == {"done", "waived"}
        assert actions(c, a)[-3:] == [("li", "step_done"), ("li", "resolved"), ("li", "step_waived")]


def test_a_snooze_ends_when_it_gets_worse(store: Store) -> None:
    with store.write() as c:
        a = surge(c, "topic:a", [])
        with pytest.raises(AlertError, match="a time to come"):
            handling.snooze(c, a, "li", T0, None, T0)
        handling.snooze(c, a, "li", T0 + HOUR, "lunch", T0)
        surge(c, "topic:a", [], T0 + 1, severity="critical", score=9.0)
        assert c.execute(select(Alert.snoozed_until)).scalar_one() is None
        life_cycle.resolve(c, a, "li", "real", None, T0 + 2)
        with pytest.raises(AlertError, match="nothing to snooze"):
            handling.snooze(c, a, "li", T0 + HOUR, None, T0)


# --- silences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "covered"),
    [
        ({"series": "topic:*"}, True), ({"series": "topic:b"}, False), ({"series": "*", "severity": "info"}, False),
        ({"source": "晨*"}, True), ({"source": "晚报"}, False), ({"word": "长队"}, True), ({"word": "停工"}, False),
        ({"series": "topic:*", "source": "晚报"}, False), ({"word": "长队", "severity": "warning"}, True),
        ({"series": "*", "windows": ["all 00:00-24:00"]}, True),
        ({"series": "*", "windows": ["mon 00:00-24:00"]}, False),
    ],
)  # fmt: skip
def test_all_that_a_silence_names_must_fit(store: Store, what: dict[str, Any], covered: bool) -> None:
    settings = load_settings()
    with store.write() as c:
        texts = evidence(RUN, copies=8, source="晨报") + evidence(STRIKE, first_row=3, copies=2, source="晚报")
        a = surge(c, "topic:a", texts)
        n = silences.add_silence(c, "li", "planned", T0, starts_at=T0, ends_at=T0 + HOUR, **what)
        found = silences.silenced_alerts(c, settings, T0 + 1)  # a Wednesday
        assert (a in found) == covered
        if covered:
            assert (found[a].by, found[a].why, found[a].until) == ("li", "planned", T0 + HOUR)
        assert silences.silenced_alerts(c, settings, T0 + HOUR) == {}
        silences.expire_silence(c, n, "wang", "done", T0 + 2)
        assert silences.silenced_alerts(c, settings, T0 + 3) == {}
        assert [(e.actor, e.action) for e in c.execute(select(AuditEntry.__table__).order_by(AuditEntry.id))] == [
            ("li", "silence.add"), ("wang", "silence.expire"),
        ]  # fmt: skip


def test_a_silence_needs_a_reason_an_object_and_a_time_to_come(store: Store) -> None:
    with store.write() as c:
        for why, more, says in (
            (" ", {"series": "*"}, "say why"), ("x", {}, "name a series"),
            ("x", {"series": "*", "severity": "loud"}, "loud"),
            ("x", {"series": "*", "ends_at": T0 - 1}, "ends after it starts"),
        ):  # fmt: skip
            values: dict[str, Any] = {"starts_at": T0 - 5, "ends_at": T0 + 5, **more}
            with pytest.raises(SilenceError, match=says):
                silences.add_silence(c, "li", why, T0, **values)
        with pytest.raises(SilenceError, match="there is no silence 7"):
            silences.expire_silence(c, 7, "li", None, T0)


# --- rules -----------------------------------------------------------------------------------------------------------


def hit(rule: str = "挤兑", row: int = 1, at: int = T0, **more: Any) -> RuleFinding:
    text_ = {"row_id": str(row), "kind": 1, "text": RUN, "source": "晨报"}
    return RuleFinding(rule, "watch:某某银行", None, 1, at, text_, words=(rule,), **more)


def test_a_rule_opens_an_alert_by_one_text_and_a_surge_joins_it(store: Store) -> None:
    with store.write() as c:
        opened = open_from_rule(c, hit(level="major", summary="挤兑：某某银行"), T0)
        assert opened is not None
        assert opened.reason == "first"
        again = open_from_rule(c, hit(row=2, at=T0 + 1), T0 + 1)
        assert (again and again.alert_id, again and again.reason) == (opened.alert_id, None)
        surge(c, "watch:某某银行", evidence(STRIKE, first_row=9), T0 + 2, score=5.0, severity="warning")
        row = c.execute(select(Alert.__table__)).one()
        assert (row.type, row.severity, row.level, row.level_by) == ("rule", "critical", "major", "rule:挤兑")
        assert [h["row_id"] for h in row.explanation["hits"]] == ["1", "2"]
        assert {e["row_id"] for e in row.evidence} == {"1", "2", "9"}
        assert end_rules(c, T0 + HOUR, HOUR, T0 + HOUR) == []
        assert [x.reason for x in end_rules(c, T0 + 1 + HOUR, HOUR, T0 + 1 + HOUR)] == [None]  # the surge goes on
        surge(c, "watch:某某银行", [], T0 + 2 * HOUR, firing=False)
        assert c.execute(select(Alert.state)).scalar_one() == "resolved"


def test_what_a_person_closed_opens_again_for_another_rule_only(store: Store) -> None:
    with store.write() as c:
        first = open_from_rule(c, hit(), T0)
        assert first is not None
        life_cycle.resolve(c, first.alert_id, "li", "false_alarm", None, T0)
        same = open_from_rule(c, hit(row=2, at=T0 + 1), T0 + 1)
        assert (same and same.alert_id) == first.alert_id
        other = open_from_rule(c, hit("立案", row=3, at=T0 + 2), T0 + 2)
        assert other is not None
        assert other.reason == "first"
        assert other.alert_id != first.alert_id


def run_on(bank: str, row: int, at: int, **more: Any) -> RuleFinding:
    said = {"row_id": str(row), "kind": 1, "text": f"{bank}出现挤兑，储户取不出钱", "source": "晨报"}
    return RuleFinding("挤兑", "rule:挤兑", None, 1, at, said, words=("挤兑",), about=(bank,), **more)


def test_a_run_on_a_second_bank_is_a_second_alert_though_the_first_was_closed(store: Store) -> None:
    with store.write() as c:
        first = open_from_rule(c, run_on("甲例银行", 1, T0), T0)
        assert first is not None
        life_cycle.resolve(c, first.alert_id, "li", "real", None, T0)
        again = open_from_rule(c, run_on("甲例银行", 2, T0 + 1), T0 + 1)
        assert (again and again.alert_id, again and again.reason) == (first.alert_id, None), "the same matter"
        second = open_from_rule(c, run_on("乙例银行", 3, T0 + 2), T0 + 2)
        assert second is not None
        assert second.reason == "first"
        assert second.alert_id != first.alert_id
        assert incident(c, second.alert_id) != incident(c, first.alert_id), "who knows of the first is told of it"
        late = open_from_rule(c, run_on("甲例银行", 4, T0 + 3), T0 + 3)
        assert (late and late.alert_id, late and late.reason) == (second.alert_id, None)
        assert ("detector", "matter") not in actions(c, second.alert_id), "what was dealt with is no news"


def test_another_bank_in_an_alert_that_runs_is_an_event_of_its_own(store: Store) -> None:
    with store.write() as c:
        first = open_from_rule(c, run_on("甲例银行", 1, T0), T0)
        assert first is not None
        open_from_rule(c, run_on("甲例银行", 2, T0 + 1), T0 + 1)
        assert ("detector", "matter") not in actions(c, first.alert_id)
        other = open_from_rule(c, run_on("乙例银行", 3, T0 + 2), T0 + 2)
        assert (other and other.alert_id) == first.alert_id
        assert actions(c, first.alert_id).count(("detector", "matter")) == 1
        old = open_from_rule(c, run_on("丙例银行", 4, T0 + 3, quiet=True), T0 + 3)
        assert (old and old.alert_id) == first.alert_id
        assert actions(c, first.alert_id).count(("detector", "matter")) == 1, "an old text tells nobody"


def test_the_same_words_of_two_watched_banks_are_two_incidents(store: Store) -> None:
    with store.write() as c:
        both = [
            open_from_rule(c, replace(run_on(bank, i, T0 + i), series=f"watch:{bank}"), T0 + i)
            for i, bank in enumerate(("甲例银行", "乙例银行"))
        ]
        assert [x and x.reason for x in both] == ["first", "first"]
        assert len({incident(c, x.alert_id) for x in both if x}) == 2


# --- an old store ----------------------------------------------------------------------------------------------------


def test_alerts_of_an_older_store_go_on(empty_store: Store) -> None:
    from alembic import command

    from barometer.store import migrate

    with empty_store.write() as c:
        config = migrate._config()
        config.attributes["connection"] = c
        command.upgrade(config, "0001")
        c.execute(
            text(
                "INSERT INTO alerts (id, type, fingerprint, kinds, state, severity, level, started_at, detected_at, "
                "peak_at, last_bucket_end, score, expected_negative, seen_negative, seen_total, window_seconds, "
                "parameters, explanation, evidence, updated_at) VALUES (1, 'surge', 'topic:a', '[1]', 'firing', "
                "'warning', 'major', 5, 7, 7, 7, 4, 5, 20, 50, 600, '{}', :explanation, '[]', 7)"
            ),
            {"explanation": '{"kinds": {"surge:1": {"firing": true, "since": 5, "until": null, "score": 4.0, '
                            '"severity": "warning", "kind": 1}}, "quiet": false}'},
        )  # fmt: skip
    upgrade(empty_store)
    with empty_store.write() as c:
        row = c.execute(select(Alert.__table__)).one()
        assert (row.level_at, row.level_by, row.incident_id, row.snoozed_until) == (7, "detector", None, None)
        assert surge(c, "topic:a", evidence(RUN), T0, severity="critical", score=9.0) == 1
        assert incident(c, 1) is not None
        assert end_rules(c, T0 * 2, HOUR, T0) == []
