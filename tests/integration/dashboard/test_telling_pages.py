"""The pages about silences, red lines and receivers: what they say is what holds, and who may do what."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select

from barometer.settings import Settings, load_settings
from barometer.store.accounts import audit_log
from barometer.store.alerts import silences
from barometer.store.alerts.deliveries import TEST, deliveries, last_test
from barometer.store.alerts.life_cycle import Finding, apply_finding
from barometer.store.alerts.rule_hits import hits_of_rules
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import Alert, AuditEntry, Notification, NotificationAttempt, RuleHit, Silence
from dashboard.app import create_app
from testing.post_box import PostBox, post_box
from tests.support.seed import PASSWORD, seed

DAY = 86_400_000
T0 = 1_795_478_400_000


# --- the store -------------------------------------------------------------------------------------------------------


def told(c: Any, alert_id: int, receiver: str, state: str, at: int, sequence: int, *, error: str = "") -> None:
    row = {"alert_id": alert_id, "receiver": receiver, "channel": 0, "sequence": sequence, "reason": "first",
           "state": state, "message_id": f"{receiver}-{sequence}", "payload": {}, "created_at": at, "not_before": at,
           "attempts": 1, "sent_at": at if state == "sent" else None, "last_error": error or None}  # fmt: skip
    number = c.execute(insert(Notification).values(row).returning(Notification.id)).scalar_one()
    tried = {"notification_id": number, "at": at, "term": 1, "finished_at": at, "ok": not error, "error": error or None}
    c.execute(insert(NotificationAttempt).values(tried))


def test_how_telling_went_channel_by_channel(store: Store) -> None:
    with store.write() as c:
        change = apply_finding(
            c, Finding("surge", "topic:macro", None, 1, True, "warning", T0, T0 + 1, 4.0, 5.0, 20, 50, 600), T0
        )
        assert change is not None
        alert = change.alert_id
        told(c, alert, "good", "sent", T0, 1)
        told(c, alert, "good", "sent", T0 + 5, 2)
        told(c, alert, "mended", "sent", T0 + 9, 2)
        told(c, alert, "mended", "failed", T0 + 3, 1, error="HTTP 403")
        told(c, alert, "broken", "sent", T0, 1)
        told(c, alert, "broken", "pending", T0 + 7, 2, error="no answer within 10 s")
        told(c, alert, "old", "failed", T0 - 100 * DAY, 1, error="HTTP 404")
        outcomes = [{"taken": True, "detail": ""}, {"taken": False, "detail": "HTTP 401"}]
        audit_log.note(c, T0 + 8, "admin", TEST, "tested", {"channels": outcomes})
    with store.read() as c:
        found = deliveries(c, T0 + 10)
        assert last_test(c, "tested") == T0 + 8
        assert last_test(c, "good") is None
    state = {k: (d.works, d.good_at, d.bad_at, d.error, d.waiting) for k, d in found.items()}
    assert state == {
        ("good", 0): (True, T0 + 5, None, "", 0),
        ("mended", 0): (True, T0 + 9, T0 + 3, "HTTP 403", 0),
        ("broken", 0): (False, T0, T0 + 7, "no answer within 10 s", 1),
        ("tested", 0): (True, T0 + 8, None, "", 0),
        ("tested", 1): (False, None, T0 + 8, "HTTP 401", 0),
    }


def test_hits_of_rules(store: Store) -> None:
    hit = {"series": "rule:run", "kind": 1, "severity": "critical", "quiet": False, "words": ["挤兑"], "tier": 1,
           "fingerprint": 1, "text": "x", "summary": {}}  # fmt: skip
    with store.write() as c:
        for i, (rule, at) in enumerate([("run", T0), ("run", T0 + 5), ("fine", T0 - 8 * DAY)]):
            c.execute(insert(RuleHit).values(**hit, rule=rule, row_id=i + 1, observed_at=at))
    with store.read() as c:
        assert hits_of_rules(c, T0 - 7 * DAY) == {"run": (2, T0 + 5)}


def test_the_same_silence_again_within_a_moment_is_one(store: Store) -> None:
    with store.write() as c:
        made = silences.add_silence(c, "li", "演练", T0, starts_at=T0, ends_at=T0 + DAY, series="topic:macro")
        again = {"series": "topic:macro", "source": None, "word": None}
        assert silences.made_just_now(c, "li", "演练", T0 + 9, 10, **again) == made
        assert silences.made_just_now(c, "li", "演练", T0 + 99, 10, **again) is None, "long ago"
        assert silences.made_just_now(c, "wang", "演练", T0 + 9, 10, **again) is None, "somebody else's"
        assert silences.made_just_now(c, "li", "演练", T0 + 9, 10, word="x") is None, "another one"


# --- the pages -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("telling") / "seeded.db"
    made = load_settings(database_url=f"sqlite:///{file}")
    store = open_store(made, migrate=True)
    seed(store, made, days=0.1)
    store.close()
    return file


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostBox]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with post_box() as running:
        yield running


@pytest.fixture
def site(
    settings_for: Callable[..., Settings], seeded: Path, tmp_path: Path, box: PostBox
) -> Iterator[tuple[Flask, Store]]:
    shutil.copy(seeded, tmp_path / "site.db")
    people = {
        "receivers": [
            {"name": "desk", "channels": [{"type": "webhook", "url": f"{box.url}/S3CRET", "secret": "S3CRET"}]},
            {"name": "<img src=x>", "channels": [{"type": "sms", "url": "env:NOT_SET_HERE", "to": "13800001234"}]},
        ],
        "routes": [{"series": "topic:*", "min_severity": "critical", "receivers": ["desk", "duty:night"]}],
        "rosters": [{"name": "night", "people": ["desk"], "start": "2026-01-05 09:00"}],
    }
    (tmp_path / "notify.yaml").write_text(yaml.safe_dump(people, allow_unicode=True).replace("<img src=x>", "img_x"))
    settings = settings_for(
        database_url=f"sqlite:///{tmp_path / 'site.db'}", notify_file=tmp_path / "notify.yaml",
        login_limit="1000 per minute",
    )  # fmt: skip
    store = open_store(settings)
    yield create_app(settings, store), store
    store.close()


def entered(server: Flask, role: str) -> FlaskClient:
    client = server.test_client()
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").get_data(as_text=True))
    assert found
    assert client.post("/login", data={"name": role, "password": PASSWORD, "csrf_token": found[1]}).status_code == 302
    return client


HELD = {"ui": {"lang": "en", "theme": "light"}, "silences-past": ""}
"""What stores of the pages hold."""


def touch(client: FlaskClient, output: str, touched: str, **values: Any) -> Any:
    """Run the callback with this output as the browser does when ``touched`` (``id.property``) changes; returns the
    response as text."""
    found = next(
        d for d in client.get("/_dash-dependencies").get_json()
        if d["output"].split("@")[0].strip(".").startswith(output) and not d["clientside_function"]
        and any(touched.startswith("{") == str(i["id"]).startswith("{") for i in d["inputs"])
    )  # fmt: skip

    def part(p: dict[str, Any]) -> Any:
        if str(p["id"]).startswith("{"):
            one, prop = touched.rsplit(".", 1)
            return [{"id": json.loads(one), "property": prop, "value": 1}]
        name = f"{p['id']}.{p['property']}"
        given = values.get(p["id"].replace("-", "_"), HELD.get(p["id"]))
        return {**p, "value": 1 if name == touched and p["property"] == "n_clicks" else given}

    outputs = []
    for name in found["output"].removeprefix("..").removesuffix("..").split("..."):
        id_, prop = name.rsplit(".", 1)
        outputs.append({"id": id_, "property": prop})
    answer = client.post(
        "/_dash-update-component",
        json={"output": found["output"], "outputs": outputs if found["output"].startswith("..") else outputs[0],
              "inputs": [part(p) for p in found["inputs"]], "state": [part(p) for p in found["state"]],
              "changedPropIds": [touched]},
    )  # fmt: skip
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return json.dumps(answer.get_json(), ensure_ascii=False)


TEST_DESK = '{"name":"desk","type":"receiver-test"}.n_clicks'


def test_a_test_is_sent_by_an_administrator_once_and_is_in_the_audit_log(
    site: tuple[Flask, Store], box: PostBox
) -> None:
    server, store = site
    for role in ("viewer", "analyst"):
        assert "Only administrators may send tests" in touch(entered(server, role), "receiver-said", TEST_DESK)
    assert box.received == []
    admin = entered(server, "admin")
    assert "desk: webhook accepted it" in touch(admin, "receiver-said", TEST_DESK)
    assert "was tested just now" in touch(admin, "receiver-said", TEST_DESK)
    assert len(box.received) == 1, "a second click sends no second message"
    assert box.bodies()[0]["commonAnnotations"]["reason"] == "test"
    with store.read() as c:
        entries = c.execute(select(AuditEntry).where(AuditEntry.action == TEST).order_by(AuditEntry.id)).all()
    assert [(e.actor, e.object) for e in entries] == [("admin", "desk")] * 2
    assert entries[-1].data["channels"] == [{"type": "webhook", "taken": True, "detail": "HTTP 200"}]
    shown = touch(admin, "receivers-body-next", "receiver-said.children")
    assert '"works"' in shown
    assert "(test)" in shown
    assert "S3CRET" not in shown


def test_a_test_that_fails_says_why_without_the_secret(site: tuple[Flask, Store], box: PostBox) -> None:
    server, _ = site
    box.answers = [(403, {})]
    box.said = b"no such hook S3CRET"
    admin = entered(server, "admin")
    said = touch(admin, "receiver-said", TEST_DESK)
    assert "did not accept it: HTTP 403" in said
    missing = touch(admin, "receiver-said", '{"name":"img_x","type":"receiver-test"}.n_clicks')
    assert "NOT_SET_HERE is not set" in missing
    shown = touch(admin, "receivers-body-next", "receiver-said.children")
    assert '"fails"' in shown
    assert "S3CRET" not in said + missing + shown
    assert "138•••34" in shown
    assert "13800001234" not in shown


def test_who_would_be_told_is_what_the_routes_say(site: tuple[Flask, Store]) -> None:
    viewer = entered(site[0], "viewer")

    def would(severity: str, series: str = "topic:macro") -> str:
        return str(
            touch(
                viewer, "receivers-told", "receivers-series.value", receivers_series=series, receivers_severity=severity
            )
        )

    assert "desk (webhook), immediately" in would("critical")
    assert "img_x" not in would("critical")
    assert "img_x (SMS), immediately" in would("warning"), "no route matches: all are told"
    assert "img_x (SMS), immediately" in would("critical", "system:lag")


def test_a_file_that_cannot_be_used_is_said(site: tuple[Flask, Store], tmp_path: Path) -> None:
    server, _ = site
    (tmp_path / "notify.yaml").write_text("receivers: [{name: x}]")
    shown = touch(entered(server, "viewer"), "receivers-body-next", "tick.n_intervals")
    assert "file is invalid" in shown
    assert "receivers.0.channels" in shown


def test_a_silence_is_made_and_ended_from_the_page(site: tuple[Flask, Store]) -> None:
    server, store = site
    asked = {"silence_scope": "series", "silence_series": "topic:real_estate", "silence_until": "4h",
             "silence_why": "演练"}  # fmt: skip
    assert "only analysts" in touch(entered(server, "viewer"), "silence-said", "silence-make.n_clicks", **asked)
    analyst = entered(server, "analyst")
    for lacking, said in (
        ({"silence_why": " "}, "give a reason"), ({"silence_series": None}, "choose what to silence"),
        ({"silence_until": "custom"}, "a span like 2h"),
        ({"silence_until": "custom", "silence_end_at": "2020-01-01 08:00:00"}, "has passed"),
        ({"silence_hours": "at night"}, "workday 22:00-08:00"), ({"silence_scope": "all"}, "one of series"),
        ({"silence_scope": "pattern", "silence_value": ""}, "enter a pattern"),
    ):  # fmt: skip
        assert said in touch(analyst, "silence-said", "silence-make.n_clicks", **{**asked, **lacking}), lacking
    for _ in range(2):
        assert "Silence 1 created" in touch(analyst, "silence-said", "silence-make.n_clicks", **asked)
    later = {"silence_scope": "pattern", "silence_value": "topic:credit_*", "silence_start": "2d",
             "silence_hours": "all 02:00-04:00"}  # fmt: skip
    assert "Silence 2 created" in touch(analyst, "silence-said", "silence-make.n_clicks", **{**asked, **later})
    with store.read() as c:
        rows = c.execute(select(Silence.__table__).order_by(Silence.id)).all()
        quiet = c.execute(select(Alert.id).where(Alert.fingerprint == "topic:real_estate", Alert.state == "firing"))
        alert_id = quiet.scalars().first()
    assert [(r.series, r.created_by) for r in rows] == [("topic:real_estate", "analyst"), ("topic:credit_*", "analyst")]
    assert rows[1].ends_at - rows[1].starts_at == 4 * 3_600_000, "a span counts from the begin"
    shown = touch(analyst, "silences-body-next", "tick.n_intervals")
    assert "Real estate" in shown
    assert f'"/alerts/{alert_id}"' in shown, "what it keeps quiet"
    assert "starts in" in shown
    end = '{"id":1,"type":"silence-end"}.n_clicks'
    assert "only analysts" in touch(entered(server, "viewer"), "silence-said", end)
    assert "Silence 1 ended" in touch(analyst, "silence-said", end)
    with store.read() as c:
        assert c.execute(select(Silence.expired_by).where(Silence.id == 1)).scalar_one() == "analyst"
        acts = c.execute(select(AuditEntry.action).where(AuditEntry.actor == "analyst")).scalars().all()
    assert [a for a in acts if a.startswith("silence.")] == ["silence.add", "silence.add", "silence.expire"]
    past = touch(analyst, "silences-body-next", "tick.n_intervals", silences_past="all")
    assert "ended by analyst" in past


def test_a_text_is_held_against_the_rules_and_nothing_is_kept(site: tuple[Flask, Store]) -> None:
    server, store = site
    viewer = entered(server, "viewer")
    text = "某村镇银行出现挤兑，储户连夜排队"
    hit = touch(viewer, "rules-tried", "rules-try.n_clicks", rules_text=text, rules_kind="news")
    assert "Run on a bank" in hit
    assert "No rule matches" in touch(viewer, "rules-tried", "rules-try.n_clicks", rules_text="今日收盘")
    assert "Enter a text first" in touch(viewer, "rules-tried", "rules-try.n_clicks", rules_text=" ")
    with store.read() as c:
        assert c.execute(select(RuleHit.row_id)).all() == []
