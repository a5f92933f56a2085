"""Who is told what and when, from texts in the stream to HTTP at the receiver. Each test reads like a night's log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from testing.post_box import PostBox, post_box
from tests.acceptance.scene import Scene, copy_of, settings_of, with_history

MakeScene = Callable[..., Scene]
ESCALATING = {
    "routes": [{"series": "topic:*", "receivers": "oncall",
                "escalate": [{"after_minutes": 15, "receivers": "boss"}, {"after_minutes": 45, "receivers": "board"}]}],
}  # fmt: skip
on_both = pytest.mark.parametrize(
    "scene", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


def test_told_reminded_escalated_and_over(scene: MakeScene) -> None:
    s = scene({"oncall": {}, "boss": {}, "board": {}}, **ESCALATING)
    s.play("""
        20:00..21:20  news 30 bad: 恒远地产全面停工
        20:12   -> oncall: first, topic:real_estate
        20:27   -> boss: escalated, topic:real_estate
        20:57   -> board: escalated, topic:real_estate
        21:12   -> oncall: repeated, topic:real_estate
        21:27   -> boss: repeated, topic:real_estate
        ~21:50  -> board: resolved, topic:real_estate
        ~21:50  -> boss: resolved, topic:real_estate
        ~21:50  -> oncall: resolved, topic:real_estate
        22:20   end
    """)


@on_both
def test_who_acknowledges_is_left_in_peace_until_it_is_over(scene: MakeScene) -> None:
    s = scene({"oncall": {}, "boss": {}, "board": {}}, **ESCALATING)
    s.play("""
        20:00..20:30  news 30 bad: 恒远地产全面停工
        20:12   -> oncall: first, topic:real_estate
        20:20   li acknowledges
        ~21:05  -> oncall: resolved, topic:real_estate
        21:40   end
    """)
    assert [e.actor for e in s.events("acknowledged")] == ["li"]


@on_both
def test_one_story_in_two_topics_is_one_incident_and_told_once(scene: MakeScene) -> None:
    s = scene({"oncall": {}})
    s.play("""
        20:00..20:30  news 30 bad in real_estate, credit_bonds: 恒远地产债券违约
        20:12   -> oncall: first, topic:credit_bonds
        20:20   li acknowledges
        ~21:05  -> oncall: resolved, topic:credit_bonds
        21:40   end
    """)
    first, second = s.alerts()
    assert first.incident_id == second.incident_id
    assert {a.acknowledged_by for a in (first, second)} == {"li"}
    told = s.box.bodies()[0]["commonAnnotations"]["description"]
    assert "房地产" in told
    assert "信用" in told or "债券" in told


def test_two_stories_at_the_same_time_are_two_incidents(scene: MakeScene) -> None:
    s = scene({"oncall": {}})
    s.play("""
        20:00..20:10  news 30 bad in real_estate: 恒远地产全面停工
        20:00..20:10  news 30 bad in credit_bonds: 中原化工的中期票据付不出利息
        20:12   -> oncall: first, topic:credit_bonds
        20:12   -> oncall: first, topic:real_estate
        20:20   end
    """)
    assert len({a.incident_id for a in s.alerts()}) == 2


def test_quiet_hours_hold_back_a_warning_but_nothing_critical(scene: MakeScene) -> None:
    s = scene(
        {"oncall": {"quiet_hours": "evening"}, "desk": {}},
        quiet_hours={"evening": {"windows": ["workday 19:00-21:00"]}},
    )
    s.play("""
        20:00..21:20  warning on topic:credit_bonds
        20:00   -> desk: first, topic:credit_bonds
        20:30..20:40  critical on topic:real_estate
        20:30   -> desk: first, topic:real_estate
        20:30   -> oncall: first, topic:real_estate
        20:40   -> desk: resolved, topic:real_estate
        20:40   -> oncall: resolved, topic:real_estate
        21:00   -> desk: repeated, topic:credit_bonds
        21:00   -> oncall: first, topic:credit_bonds
        21:05   end
    """)
    assert [e.data["receiver"] for e in s.events("held")] == ["oncall"]


def test_what_is_over_before_quiet_hours_end_is_not_told(scene: MakeScene) -> None:
    s = scene({"oncall": {"quiet_hours": "night"}}, quiet_hours={"night": {"windows": "all 19:00-21:30"}})
    s.play("""
        20:00..20:40  warning on topic:credit_bonds
        21:40  end
    """)
    assert [a.state for a in s.alerts()] == ["resolved"]


def test_a_resolution_waits_for_the_end_of_quiet_hours(scene: MakeScene) -> None:
    s = scene({"oncall": {"quiet_hours": "night"}}, quiet_hours={"night": {"windows": "all 20:30-21:30"}})
    s.play("""
        20:00..20:40  warning on topic:credit_bonds
        20:00  -> oncall: first, topic:credit_bonds
        21:30  -> oncall: resolved, topic:credit_bonds
        21:40  end
    """)


@on_both
def test_what_still_fires_when_a_silence_ends_is_told(scene: MakeScene) -> None:
    s = scene({"oncall": {}})
    s.play("""
        19:45   li silences topic:real* until 21:00
        20:00..21:20  news 30 bad: 恒远地产全面停工
        21:00   -> oncall: first, topic:real_estate
        21:05   end
    """)
    (event,) = s.events("silenced")
    assert (event.actor, event.comment) == ("li", "planned")


def test_a_snooze_ends_with_a_reminder(scene: MakeScene) -> None:
    s = scene({"oncall": {}, "boss": {}, "board": {}}, **ESCALATING)
    s.play("""
        20:00..22:00  news 30 bad: 恒远地产全面停工
        20:12   -> oncall: first, topic:real_estate
        20:20   li acknowledges
        20:21   li snoozes until 21:15
        21:15   -> oncall: unsnoozed, topic:real_estate
        21:20   end
    """)


def test_a_level_asks_for_steps_and_those_that_are_late_are_told(scene: MakeScene) -> None:
    s = scene(
        {"oncall": {}, "compliance": {}},
        routes=[{"receivers": "oncall"}],
        overdue="compliance",
        levels=[{"name": "big", "sets": "major", "min_severity": "critical"}],
    )
    s.play("""
        20:00..20:30  news 30 bad: 恒远地产全面停工
        20:12   -> oncall: first, topic:real_estate         # the rule says: major, assess within the hour
        20:20   li acknowledges
        20:30   li says grave                               # respond within the hour, too
        20:30   -> oncall: worse, topic:real_estate
        20:40   li does assess
        ~21:10  -> oncall: resolved, topic:real_estate
        21:30   -> compliance: overdue, topic:real_estate   # respond
        21:35   li does respond
        21:40   li does report
        21:45   end
    """)
    levels = [(e.actor, e.data["to"]) for e in s.events("level")]
    assert levels == [("rule:big", "major"), ("li", "grave")]
    assert [(e.data["step"], "late_ms" in e.data) for e in s.events("step_done")] == [
        ("assess", False), ("respond", True), ("report", False),
    ]  # fmt: skip


def test_a_level_that_was_set_without_deadlines_gets_them(scene: MakeScene) -> None:
    s = scene({"oncall": {}})
    s.play("""
        20:00..20:40  warning on topic:macro
        20:00   -> oncall: first, topic:macro
        20:05   li calls it grave on the dashboard
        20:05   -> oncall: worse, topic:macro
        20:35   -> oncall: overdue, topic:macro
        20:36   end
    """)


def test_hands_change_at_nine(scene: MakeScene) -> None:
    s = scene(
        {"li": {}, "wang": {}},
        rosters=[{"name": "risk", "people": ["li", "wang"], "start": "2026-11-19 21:00", "turn": "day"}],
        routes=[{"receivers": "duty:risk"}],
    )
    s.play("""
        20:00..21:20  news 30 bad: 恒远地产全面停工
        20:12   -> li: first, topic:real_estate
        21:00   -> wang: first, topic:real_estate
        21:05   wang resolves as real
        21:05   -> li: resolved, topic:real_estate
        21:05   -> wang: resolved, topic:real_estate
        21:10   end
    """)


@on_both
def test_a_standby_that_takes_over_repeats_nothing(scene: MakeScene) -> None:
    s = scene({"oncall": {}, "boss": {}, "board": {}}, **ESCALATING)
    s.play("""
        20:00..21:00  news 30 bad: 恒远地产全面停工
        20:12   -> oncall: first, topic:real_estate
        20:15   the leader dies
        20:27   -> boss: escalated, topic:real_estate
        20:30   the leader dies
        20:40   end
    """)


# --- the stage -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nine_calm_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "store.db"
    with_history(settings_of(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="module")
def nine_calm_days_on_postgres(postgres_url: str) -> Iterator[str]:
    with psycopg.connect(postgres_url, autocommit=True) as c:
        c.execute("CREATE DATABASE nine_calm_days")
        with_history(settings_of(_database(postgres_url, "nine_calm_days")))
        yield "nine_calm_days"
        c.execute("DROP DATABASE nine_calm_days WITH (FORCE)")


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostBox]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with post_box() as running:
        yield running


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path, box: PostBox) -> Iterator[MakeScene]:
    if getattr(request, "param", "sqlite") == "sqlite":
        settings = copy_of(request.getfixturevalue("nine_calm_days"), tmp_path)
    else:
        url, history = request.getfixturevalue("postgres_url"), request.getfixturevalue("nine_calm_days_on_postgres")
        name = f"night_{abs(hash(request.node.name)):x}"
        with psycopg.connect(url, autocommit=True) as c:
            c.execute(f"CREATE DATABASE {name} TEMPLATE {history}")
        settings = settings_of(_database(url, name))
    opened: list[Scene] = []

    def make(receivers: dict[str, dict[str, Any]], **file: Any) -> Scene:
        opened.append(Scene(settings, box, tmp_path, receivers, file))
        return opened[-1]

    yield make
    for s in opened:
        s.close()


def _database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
