"""What people do to alerts through the dashboard: every act by API and by screen, in the user's name; who may; what is
said when it cannot be done; and that nothing happens twice."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from barometer.settings import Settings, load_settings
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import Alert, AlertEvent, AlertStep, AuditEntry, Silence
from barometer.vocabulary import FALSE_ALARM_REASONS
from dashboard.app import create_app
from dashboard.services.acts import ACTS
from tests.support.api_client import watched
from tests.support.seed import PASSWORD, seed, storm

GOOD: dict[str, dict[str, Any]] = {
    "acknowledge": {"comment": "我看看"},
    "assign": {"to": "admin"},
    "comment": {"comment": "两个人，不是二百人"},
    "snooze": {"until": "2h"},
    "wake": {},
    "silence": {"until": "4h", "comment": "已知"},
    "unsilence": {},
    "level": {"level": "grave", "comment": "有挤兑的说法"},
    "step": {"step": "assess", "note": "属实"},
    "resolve": {"resolution": "real"},
    "false-alarm": {"reason": "old"},
}


@pytest.fixture
def settings(settings_for: Callable[..., Settings], tmp_path: Path) -> Settings:
    return settings_for(database_url=f"sqlite:///{tmp_path / 'acts.db'}", login_limit="1000 per minute")


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's file, which each test gets a copy of."""
    file = tmp_path_factory.mktemp("seeded") / "seeded.db"
    made = load_settings(database_url=f"sqlite:///{file}")
    store = open_store(made, migrate=True)
    seed(store, made, days=0.1)
    storm(store)
    store.close()
    return file


@pytest.fixture
def opened(settings: Settings, seeded: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(seeded, tmp_path / "acts.db")
    store = open_store(settings)
    yield store
    store.close()


@pytest.fixture
def server(settings: Settings, opened: Store) -> Flask:
    made = watched(create_app(settings, opened))
    made.config["PROPAGATE_EXCEPTIONS"] = True
    return made


def logged_in(server: Flask, role: str) -> FlaskClient:
    client = server.test_client()
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").get_data(as_text=True))
    assert found
    answer = client.post("/login", data={"name": role, "password": PASSWORD, "csrf_token": found[1]})
    assert answer.status_code == 302
    return client


@pytest.fixture
def as_role(server: Flask) -> Callable[[str], FlaskClient]:
    return lambda role: logged_in(server, role)


def do(client: FlaskClient, what: str, alert_id: int = 1, **fields: Any) -> Any:
    return client.post(f"/api/v1/alerts/{alert_id}/{what}", json=fields)


def events(store: Store, alert_id: int = 1, actor: str = "analyst") -> list[tuple[str, str | None]]:
    with store.read() as c:
        e = AlertEvent
        q = select(e.action, e.comment).where(e.alert_id == alert_id, e.actor == actor).order_by(e.id)
        return [(a, x) for a, x in c.execute(q)]


def press(client: FlaskClient, button: str, values: dict[str, Any]) -> dict[str, Any]:
    """What the page sends when a button of it is pressed; ``values`` by ``id.property``."""
    made = client.get("/_dash-dependencies").get_json()
    found = next(d for d in made if any(i["id"] == button for i in d["inputs"]) and "-modal" in d["output"]
                 and d["clientside_function"] is None)  # fmt: skip

    def filled(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**p, "value": values.get(f"{p['id']}.{p['property']}")} for p in parts]

    outputs = [dict(zip(("id", "property"), o.rsplit(".", 1), strict=True))
               for o in found["output"].removeprefix("..").removesuffix("..").split("...")]  # fmt: skip
    answer = client.post(
        "/_dash-update-component",
        json={"output": found["output"], "outputs": outputs, "inputs": filled(found["inputs"]),
              "state": filled(found["state"]), "changedPropIds": [f"{button}.n_clicks"]},
    )  # fmt: skip
    assert answer.status_code == 200, answer.get_data(as_text=True)
    response: dict[str, Any] = answer.get_json()["response"]
    return response


def test_viewers_change_nothing(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    assert set(GOOD) == set(ACTS)
    viewer = as_role("viewer")
    with opened.read() as c:
        before = c.execute(select(Alert.__table__)).all()
    for what, fields in GOOD.items():
        answer = do(viewer, what, **fields)
        assert answer.status_code == 403, what
        assert "only analysts" in answer.get_json()["error"]
        assert "需要分析员" in answer.get_json()["error_zh"]
    with opened.read() as c:
        assert c.execute(select(Alert.__table__)).all() == before
        assert c.execute(select(func.count()).select_from(Silence)).scalar_one() == 0
    assert events(opened, actor="viewer") == []


def test_a_viewer_cannot_act_through_the_screens_callbacks_either(
    as_role: Callable[[str], FlaskClient], opened: Store
) -> None:
    one = {"alert-acknowledge.n_clicks": 1, "alert-id.data": 1, "ui.data": {"lang": "zh", "theme": "light"}}
    assert "需要分析员" in str(press(as_role("viewer"), "alert-acknowledge", one))
    several = {"bulk-acknowledge.n_clicks": 1, "alerts-picked.data": [1, 4], "ui.data": {"lang": "en"}}
    assert "only analysts" in str(press(as_role("viewer"), "bulk-acknowledge", several))
    with opened.read() as c:
        assert c.execute(select(Alert.state).where(Alert.id == 1)).scalar_one() == "firing"
    assert "✓ 已确认" in str(press(as_role("analyst"), "alert-acknowledge", one))
    with opened.read() as c:
        assert c.execute(select(Alert.acknowledged_by).where(Alert.id == 1)).scalar_one() == "analyst"


def test_every_act_is_written_down_in_the_users_name(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    client = as_role("analyst")
    for what in (
        "acknowledge",
        "assign",
        "comment",
        "snooze",
        "wake",
        "silence",
        "unsilence",
        "level",
        "step",
        "resolve",
    ):
        answer = do(client, what, **GOOD[what])
        assert answer.status_code == 200, (what, answer.get_json())
    assert [a for a, _ in events(opened)] == [
        "acknowledged", "assigned", "commented", "snoozed", "woken", "silenced", "unsilenced", "level", "step_done",
        "resolved",
    ]  # fmt: skip
    last = client.get("/api/v1/alerts/1").get_json()
    assert (last["state"], last["assignee"], last["level"], last["level_by"]) == (
        "resolved",
        "admin",
        "grave",
        "analyst",
    )
    assert {s["step"]: s["state"] for s in last["steps"]}["assess"] == "done"
    assert last["snoozed_until"] is None
    with opened.read() as c:
        asked = select(AuditEntry.action).where(AuditEntry.actor == "analyst", AuditEntry.action.like("silence%"))
        audit = c.execute(asked).scalars().all()
    assert audit == ["silence.add", "silence.expire"]


@pytest.mark.parametrize("what", sorted(set(ACTS) - {"wake", "unsilence"}))
def test_a_second_click_changes_nothing(as_role: Callable[[str], FlaskClient], opened: Store, what: str) -> None:
    client = as_role("analyst")
    first, second = (do(client, what, **GOOD[what]) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200), second.get_json()
    assert second.get_json()["events"] == first.get_json()["events"]
    with opened.read() as c:
        assert c.execute(select(func.count()).select_from(Silence)).scalar_one() == (1 if what == "silence" else 0)


@pytest.mark.parametrize("reason", FALSE_ALARM_REASONS)
def test_a_false_alarm_keeps_its_reason_and_waives_what_is_left(
    as_role: Callable[[str], FlaskClient], opened: Store, reason: str
) -> None:
    last = do(as_role("analyst"), "false-alarm", reason=reason, comment="看过了").get_json()
    assert (last["state"], last["resolution"]) == ("resolved", "false_alarm")
    closed = next(e for e in last["events"] if e["action"] == "resolved")
    assert (closed["data"]["reason"], closed["comment"]) == (reason, "看过了")
    assert {s["state"] for s in last["steps"]} == {"waived"}
    with opened.read() as c:
        assert c.execute(select(Alert.state).where(Alert.id == 4)).scalar_one() == "firing", "the incident goes on"


def test_an_incident_is_taken_and_closed_together(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    client = as_role("analyst")
    do(client, "acknowledge", 4)
    with opened.read() as c:
        whose = c.execute(select(Alert.acknowledged_by).where(Alert.incident_id == 1)).scalars().all()
    assert whose == ["analyst"] * 3
    do(client, "resolve", 4, resolution="known", incident=True)
    with opened.read() as c:
        assert set(c.execute(select(Alert.state).where(Alert.incident_id == 1)).scalars()) == {"resolved"}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("assign", {"to": "viewer"}, "viewer 不是"),
    ("assign", {"to": 5}, "应为文字"),
    ("comment", {"comment": "  "}, "备注是空的"),
    ("comment", {"comment": "x" * 2001}, "最多 2000"),
    ("snooze", {}, "请选择到什么时候"),
    ("snooze", {"until": "soon"}, "soon"),
    ("snooze", {"until": 5}, "已经过去"),
    ("snooze", {"until": True}, "请选择"),
    ("snooze", {"until": "9w"}, "最多 31 天"),
    ("silence", {"until": "1h"}, "请写原因"),
    ("silence", {"until": "1h", "comment": "x", "scope": "word"}, "请写要静默的词"),
    ("silence", {"until": "1h", "comment": "x", "scope": "moon"}, "series, source, word"),
    ("silence", {"until": "1h", "comment": "x", "hours": "at night"}, "看不懂时段"),
    ("silence", {"until": "1h", "comment": "x", "severity": "loud"}, "loud"),
    ("level", {"level": "huge"}, "huge"),
    ("level", {}, "请选择级别"),
    ("step", {}, "请选择是哪一步"),
    ("step", {"step": "dance"}, "dance"),
    ("step", {"step": "assess", "waive": True}, "写原因"),
    ("step", {"step": "assess", "waive": "yes"}, "true 或 false"),
    ("resolve", {"resolution": "real", "reason": "old"}, "只有误报"),
    ("false-alarm", {}, "请选择为什么"),
    ("false-alarm", {"reason": "bored"}, "bored"),
]


def test_what_is_wrong_is_said_in_both_languages(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    client = as_role("analyst")
    for what, fields, says in WRONG:
        answer = do(client, what, **fields)
        assert answer.status_code == 400, (what, fields, answer.get_json())
        assert says in answer.get_json()["error_zh"], (what, fields)
        assert re.search("[a-z]", answer.get_json()["error"])
    assert events(opened) == []


def test_who_was_first_is_said(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    admin, analyst = as_role("admin"), as_role("analyst")
    do(admin, "step", step="assess", note="属实")
    taken = do(analyst, "step", step="assess").get_json()
    assert (taken["code"], taken["error_zh"]) == ("step_done", "“研判”已由 admin 完成")
    do(admin, "acknowledge")
    assert do(analyst, "acknowledge").get_json()["error_zh"] == "告警 #1 已由 admin 确认"
    do(admin, "resolve", resolution="real")
    for what in ("acknowledge", "assign", "snooze", "resolve", "false-alarm"):
        answer = do(analyst, what, **GOOD[what])
        assert (answer.status_code, answer.get_json()["error_zh"]) == (409, "告警 #1 已由 admin 解决"), what
    assert do(analyst, "comment", comment="事后补记").status_code == 200
    assert do(analyst, "step", step="report", note="已报").status_code == 200, "steps outlive the alert"


def test_a_level_sets_deadlines_from_the_settings(
    as_role: Callable[[str], FlaskClient], opened: Store, settings: Settings
) -> None:
    made = do(as_role("analyst"), "level", 4, level="ordinary").get_json()
    hours = {s["step"]: round((s["due_at"] - made["level_at"]) / 60_000) for s in made["steps"]}
    assert hours == settings.level_steps["ordinary"]
    assert do(as_role("analyst"), "step", 4, step="report").get_json()["code"] == "no_step"


def test_a_silence_by_word_that_covers_another_alert_says_so(
    as_role: Callable[[str], FlaskClient], opened: Store
) -> None:
    client = as_role("analyst")
    fields = {"alert-silence-do.n_clicks": 1, "alert-id.data": 1, "ui.data": {"lang": "zh"},
              "alert-silence-scope.value": "word", "alert-silence-value.value": "抽奖",
              "alert-silence-until.value": "1d", "alert-silence-comment.value": "活动",
              "alert-silence-severity.value": "",
              "alert-silence-hours.value": ""}  # fmt: skip
    answer = press(client, "alert-silence-do", fields)
    assert "不覆盖这条告警" in str(answer)
    assert answer["alert-silence-modal"] == {"opened": False}
    with opened.read() as c:
        row = c.execute(select(Silence.__table__)).one()
    assert (row.word, row.series, row.created_by, row.comment) == ("抽奖", None, "analyst", "活动")


def test_a_mistake_in_a_dialog_is_said_in_it(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    fields = {"alert-false-alarm-do.n_clicks": 1, "alert-id.data": 1, "ui.data": {"lang": "en"}}
    answer = press(as_role("analyst"), "alert-false-alarm-do", fields)
    assert answer["alert-false-alarm-error"] == {"children": "say why it is a false alarm"}
    assert "alert-false-alarm-modal" not in answer
    assert events(opened) == []


def test_several_at_once_each_by_itself(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    do(as_role("admin"), "resolve", 6, resolution="known")
    fields = {"bulk-false-alarm-do.n_clicks": 1, "alerts-picked.data": [1, 4, 6], "ui.data": {"lang": "zh"},
              "bulk-false-alarm-reason.value": "copies", "bulk-false-alarm-comment.value": "同一篇"}  # fmt: skip
    said = str(press(as_role("analyst"), "bulk-false-alarm-do", fields))
    assert "已标为误报：2 条" in said
    assert "未动 1 条：告警 #6 已由 admin 解决" in said
    with opened.read() as c:
        found = dict(c.execute(select(Alert.id, Alert.resolution).where(Alert.id.in_([1, 4, 6]))).tuples().all())
    assert found == {1: "false_alarm", 4: "false_alarm", 6: "known"}
    nothing = {**fields, "alerts-picked.data": []}
    assert "没有选中" in str(press(as_role("analyst"), "bulk-false-alarm-do", nothing))


LISTS: list[tuple[str, list[int]]] = [
    ("", [1, 6, 4, 5, 7, 2]),
    ("?state=firing&severity=warning", [6, 4, 5]),
    ("?level=major", [1]),
    ("?level=none&state=firing", [6, 4, 5]),
    ("?owner=analyst", [6]),
    ("?owner=none", [1, 4, 5]),
    ("?series=topic:market", [6]),
    ("?sort=due", [1, 7]),
    ("?sort=-level", [7, 1]),
    ("?state=resolved", [3]),
    ("?state=all&limit=2&before=7", [6, 5]),
]


def test_the_work_list_is_filtered_and_sorted(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    with opened.write() as c:
        for i in (4, 5):  # one order, whatever the hour
            c.execute(update(Alert).where(Alert.id == i).values(started_at=Alert.started_at - 5 * 3_600_000 * i))
        c.execute(update(Alert).where(Alert.id == 2).values(started_at=1))
    viewer = as_role("viewer")
    for query, ids in LISTS:
        found = viewer.get(f"/api/v1/alerts{query}").get_json()["alerts"]
        assert [a["id"] for a in found][: len(ids) if "sort" in query else None] == ids, query
    for query in ("state=lost", "severity=loud", "level=huge", "sort=colour", "before=x"):
        assert viewer.get(f"/api/v1/alerts?{query}").status_code == 400, query


def test_the_next_deadline_is_the_earliest_open_one(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    first = as_role("viewer").get("/api/v1/alerts?level=major").get_json()["alerts"][0]
    with opened.read() as c:
        due = c.execute(
            select(AlertStep.due_at).where(AlertStep.alert_id == 1, AlertStep.step == "assess")
        ).scalar_one()
    assert first["due_at"] == due
    do(as_role("analyst"), "step", step="assess")
    after = as_role("viewer").get("/api/v1/alerts?level=major").get_json()["alerts"][0]
    assert after["due_at"] > due


def test_a_dialog_without_a_choice_takes_no_level_away(as_role: Callable[[str], FlaskClient], opened: Store) -> None:
    fields = {
        "alert-level-do.n_clicks": 1,
        "alert-id.data": 1,
        "ui.data": {"lang": "zh"},
        "alert-level-level.value": "",
    }
    assert press(as_role("analyst"), "alert-level-do", fields)["alert-level-error"] == {"children": "请选择级别"}
    with opened.read() as c:
        assert c.execute(select(Alert.level).where(Alert.id == 1)).scalar_one() == "major"
    taken = do(as_role("analyst"), "level", level=None).get_json()
    assert (taken["level"], {s["state"] for s in taken["steps"]}) == (None, {"waived"})


def test_two_people_at_one_incident_on_both_databases(database_url: str, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(database_url=database_url)
    store = open_store(settings, migrate=True)
    try:
        seed(store, settings, days=0.02)
        storm(store)
        server = create_app(settings, store)
        clients = [logged_in(server, "analyst"), logged_in(server, "admin")]
        alert_ids = [1, 4]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda i: do(clients[i], "acknowledge", alert_ids[i]), (0, 1)))
        assert sorted(a.status_code for a in answers) == [200, 409], [a.get_json() for a in answers]
        with store.read() as c:
            whose = c.execute(select(Alert.acknowledged_by).where(Alert.incident_id == 1)).scalars().all()
        assert len(whose) == 3
        assert len(set(whose)) == 1, "one person has the whole incident"
        for what in (x for x in GOOD if x not in ("false-alarm", "acknowledge")):
            assert do(clients[0], what, **GOOD[what]).status_code == 200, what
        for sort in ("severity", "-level", "started", "due", "-owner", "id"):
            assert clients[0].get(f"/api/v1/alerts?state=all&sort={sort}").status_code == 200, sort
    finally:
        store.close()
