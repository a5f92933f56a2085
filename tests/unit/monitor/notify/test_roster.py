"""Who is on duty, and who is told by routes that depend on time and level."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from barometer.errors import SettingsError
from monitor.notify.policy import Roster
from monitor.notify.roster import on_duty
from monitor.notify.routes import Router, Target, guide_of
from tests.unit.monitor.notify.test_config import read

ZONE = ZoneInfo("Asia/Shanghai")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


def roster(**more: object) -> Roster:
    return Roster.model_validate(
        {"name": "risk", "people": ["li", "wang", "zhao"], "start": "2026-01-05 09:00", **more}
    )


def who(r: Roster, at: str) -> tuple[str, str, str]:
    duty = on_duty(r, ms(at), ZONE)
    since, until = (datetime.fromtimestamp(x / 1000, ZONE).strftime("%m-%d %H:%M") for x in (duty.since, duty.until))
    return duty.who, since, until


def test_weeks_and_days_in_turn() -> None:
    assert who(roster(), "2026-01-05 09:00") == ("li", "01-05 09:00", "01-12 09:00")
    assert who(roster(), "2026-01-12 08:59") == ("li", "01-05 09:00", "01-12 09:00")
    assert who(roster(), "2026-01-12 09:00")[0] == "wang"
    assert who(roster(), "2026-01-26 09:00")[0] == "li"
    assert who(roster(), "2026-01-04 12:00")[0] == "zhao"  # before the first turn
    daily = roster(turn="day", turns=2)
    turns = [who(daily, f"2026-01-{day:02} 10:00")[0] for day in (5, 6, 7, 8, 9, 11)]
    assert turns == [
        "li",
        "li",
        "wang",
        "wang",
        "zhao",
        "li",
    ]


def test_exceptions_go_before_turns_and_cut_them() -> None:
    r = roster(overrides=[{"from": "2026-01-06 00:00", "to": "2026-01-07 00:00", "who": "zhao", "why": "swap"},
                          {"from": "2026-01-06 12:00", "to": "2026-01-06 18:00", "who": "wang"}])  # fmt: skip
    assert who(r, "2026-01-05 10:00") == ("li", "01-05 09:00", "01-06 00:00")
    assert who(r, "2026-01-06 10:00") == ("zhao", "01-06 00:00", "01-07 00:00")
    assert who(r, "2026-01-06 13:00")[0] == "wang"  # the last one in the file
    assert who(r, "2026-01-07 10:00") == ("li", "01-07 00:00", "01-12 09:00")


@given(st.integers(-500, 500), st.sampled_from(["day", "week"]), st.integers(1, 3))
def test_somebody_is_always_on_duty_and_shifts_meet(hours: int, turn: str, turns: int) -> None:
    r = roster(turn=turn, turns=turns)
    at = int((datetime(2026, 3, 1, tzinfo=ZONE) + timedelta(hours=hours)).timestamp() * 1000)
    duty = on_duty(r, at, ZONE)
    assert duty.since <= at < duty.until
    following = on_duty(r, duty.until, ZONE)
    assert following.since == duty.until
    assert following.who != duty.who


FILE = """
receivers:
  - {name: li, quiet_hours: night, channels: [{type: mail, to: li@b.c}]}
  - {name: wang, channels: [{type: mail, to: wang@b.c}]}
  - {name: board, channels: [{type: mail, to: board@b.c}]}
quiet_hours:
  night: {windows: ["all 22:00-08:00", "day_off 00:00-24:00"]}
  never: {windows: ["day_off 00:00-24:00"], through: none}
rosters:
  - {name: risk, people: [li, wang], start: 2026-01-05 09:00:00}
routes:
  - {name: grave matters, level: grave, receivers: board, then: continue}
  - series: "watch:*"
    hours: workday 09:00-18:00
    quiet_hours: never
    repeat_minutes: 30
    receivers: wang
    escalate:
      - {after_minutes: 60, receivers: board}
      - {after_minutes: 15, receivers: "duty:risk"}
  - receivers: duty:risk
series:
  - {series: "watch:*", runbook: {zh: 见公司预案, en: see the plan}}
  - {series: "*", runbook: https://wiki.example.com/alerts, contact: 值班 8888}
"""


def told(tmp_path: Path, series: str, severity: str, at: str, level: str | None = None) -> list[tuple[str, str | None]]:
    found = Router(read(tmp_path, FILE)).route(Target(series, "surge", severity, (1,), level), ms(at))
    clock = lambda x: None if x is None else datetime.fromtimestamp(x / 1000, ZONE).strftime("%a %H:%M")  # noqa: E731
    return [(r.receiver.name, clock(r.quiet_until)) for r in found]


def test_level_hours_and_duty_decide_who_is_told_and_quiet_hours_when(tmp_path: Path) -> None:
    assert told(tmp_path, "topic:macro", "warning", "2026-01-07 12:00") == [("li", None)]
    assert told(tmp_path, "topic:macro", "warning", "2026-01-14 12:00") == [("wang", None)]
    assert told(tmp_path, "topic:macro", "warning", "2026-01-09 23:00") == [
        ("li", "Mon 08:00")
    ]  # a weekend lies between
    assert told(tmp_path, "topic:macro", "critical", "2026-01-09 23:00") == [("li", None)]
    assert told(tmp_path, "topic:macro", "warning", "2026-01-07 12:00", "grave") == [("board", None), ("li", None)]
    assert told(tmp_path, "watch:恒远", "warning", "2026-01-07 12:00") == [("wang", None)]
    assert told(tmp_path, "watch:恒远", "warning", "2026-01-07 19:00") == [("li", None)]
    assert told(tmp_path, "watch:恒远", "warning", "2026-09-20 12:00") == [("wang", None)]  # a working Sunday


def test_escalation_has_levels_and_why_is_said(tmp_path: Path) -> None:
    router, at = Router(read(tmp_path, FILE)), ms("2026-01-07 12:00")
    target = Target("watch:恒远", "surge", "warning", (1,))
    (first,) = router.route(target, at)
    assert (first.why, first.repeat_minutes) == ("routes.1", 30)
    levels = router.escalations(target, at)
    assert [(r.after_minutes, r.receiver.name) for r in levels] == [(15, "li"), (60, "board")]
    assert levels[0].why == "routes.1, escalation 1 after 15 min, on duty in risk (turn 1 of 2)"
    assert router.route(Target("x", "surge", "warning", (1,), "grave"), at)[0].why == "routes.0 (grave matters)"


def test_a_series_has_a_runbook_and_a_contact(tmp_path: Path) -> None:
    config = read(tmp_path, FILE)
    assert guide_of(config, "watch:恒远") == {
        "runbook": {"zh": "见公司预案", "en": "see the plan"},
        "contact": "值班 8888",
    }
    assert guide_of(config, "topic:x")["runbook"]["zh"] == "https://wiki.example.com/alerts"


MAIL = "receivers: [{name: a, channels: [{type: mail, to: a@b.c}]}]\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("routes: [{receivers: duty:x}]", "routes.0.receivers: there is no receiver 'duty:x'"),
        ("routes: [{receivers: a, quiet_hours: x}]", "routes.0.quiet_hours: there are no quiet hours 'x'"),
        ("routes: [{receivers: a, hours: noon}]", "routes.0.hours.0: 'noon': write like"),
        ("rosters: [{name: r, people: b, start: 2026-01-05}]", "rosters.0.people: there is no receiver 'b'"),
        ("rosters: [{name: r, people: a, start: '2026-01-05T09:00:00Z'}]", "without an offset"),
        ("quiet_hours: {n: {windows: []}}", "quiet_hours.n.windows"),
        ("levels: [{name: x, sets: huge}]", "levels.0.sets"),
        ("overdue: b", "overdue: there is no receiver 'b'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        read(tmp_path, MAIL + text)


def test_the_examples_of_the_docs_are_right(tmp_path: Path) -> None:
    docs = Path(__file__).resolve().parents[4] / "docs" / "notify.md"
    blocks = re.findall(r"```yaml\n(.*?)```", docs.read_text("utf-8"), re.S)
    assert len(blocks) >= 6
    names = ("oncall", "property", "li", "wang", "zhao", "head-of-risk", "board-office", "compliance")
    whole: dict[str, Any] = {"rosters": [], "receivers": []}
    for block in blocks:
        for key, value in yaml.safe_load(block.replace("[...]", "[{type: mail, to: a@b.c}]")).items():
            whole[key] = {**whole.get(key, {}), **value} if isinstance(value, dict) else value
        receivers = {r["name"]: r for r in whole["receivers"]}
        mail = {n: {"name": n, "channels": [{"type": "mail", "to": "a@b.c"}]} for n in names}
        read(tmp_path, yaml.safe_dump({**whole, "receivers": list((mail | receivers).values()),
                                       "rosters": whole["rosters"] or RISK}))  # fmt: skip


RISK = [{"name": "risk", "people": ["li"], "start": "2026-01-05"}]
