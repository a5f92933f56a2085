"""``barometer alerts`` as people call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from app.cli import app
from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store.alerts.life_cycle import Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from testing.post_box import PostBox
from tests.integration.monitor.test_outbox import T0, box, receiver

__all__ = ["box"]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BAROMETER_DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("COLUMNS", "160")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def store() -> Store:
    made = open_store(settings(), migrate=True)
    texts = {"topic:real_estate": "银行门口排起长队 [bold]", "topic:macro": "出口订单连续三个月下滑"}
    with made.write() as c:
        for name, text in texts.items():
            evidence = [{"text": text, "kind": 1}]
            f = Finding("surge", name, None, 1, True, "warning", T0, T0 + 1, 4.0, 5.0, 20, 50, 600, evidence=evidence)
            apply_finding(c, f, T0)
    return made


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["alerts", *arguments])
    assert done.exit_code == code, done.output
    if isinstance(done.exception, BarometerError):
        return str(done.exception)
    return done.output


def test_list_show_acknowledge_and_resolve(store: Store) -> None:
    assert [line.split()[0] for line in run("list").splitlines()[1:]] == ["2", "1"]
    assert "acknowledged by" in run("ack", "1", "--comment", "looking")
    assert "acknowledged already" in run("ack", "1", code=1)
    resolved = run("resolve", "1", "--resolution", "false_alarm")
    assert "alert 1 is resolved by" in resolved
    (left,) = run("list", "--json").splitlines()
    assert json.loads(left)["fingerprint"] == "topic:macro"
    assert run("list", "--state", "acknowledged").strip() == "no alerts that are acknowledged"
    shown = run("show", "1")
    for part in ("房地产", "resolved", "looking", "银行门口排起长队 [bold]", "20 negative of 50, 5 expected"):
        assert part in shown
    whole = json.loads(run("show", "1", "--json"))
    assert [e["action"] for e in whole["events"]] == ["opened", "acknowledged", "resolved"]
    assert whole["resolution"] == "false_alarm"


def test_what_is_wrong_is_said(store: Store) -> None:
    assert run("show", "99", code=1) == "there is no alert 99"
    assert "--state odd: use open" in run("list", "--state", "odd", code=1)
    assert "--resolution maybe: use one of real" in run("resolve", "1", "--resolution", "maybe", code=1)
    assert "--severity loud: use one of info" in run("route-test", "topic:x", "--severity", "loud", code=1)


def test_routes_and_receivers_are_tried_out(box: PostBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = {
        "receivers": [receiver("oncall", box), receiver("boss", box)],
        "routes": [{"min_severity": "critical", "receivers": "boss"}],
        "default": ["oncall"],
    }
    (tmp_path / "notify.yaml").write_text(yaml.safe_dump(file))
    monkeypatch.setenv("BAROMETER_NOTIFY_FILE", str(tmp_path / "notify.yaml"))
    assert run("route-test", "topic:x").splitlines() == [
        "  routes.0: severity warning is below critical",
        "* default: no route matched: tells oncall",
        "-> oncall (webhook; zh) at once, by default; again every 240 min until somebody acknowledges",
    ]
    told = "-> boss (webhook; zh) at once, by routes.0;"
    assert told in run("route-test", "topic:x", "--severity", "critical", "--kind", "news,comment")
    assert "-> nobody" in run("route-test", "topic:x", "--severity", "info")


def silences(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["silences", *arguments])
    assert done.exit_code == code, done.output
    return str(done.exception) if isinstance(done.exception, BarometerError) else done.output


def test_each_act_has_its_command_and_leaves_an_event(store: Store) -> None:
    assert "alert 1 is li's" in run("assign", "1", "li")
    assert "noted on alert 1" in run("comment", "1", "calling the branch")
    said = run("level", "1", "重大", "--comment", "runs at three branches")
    assert "研判 (assess) until" in said
    assert "alert 1: 研判 is done; left: respond, report, review" in run("step", "1", "研判", "--note", "real")
    assert "is not needed" in run("step", "1", "report", "--waive", "--note", "reported by head office")
    assert "say why" in run("step", "1", "review", "--waive", code=1)
    assert "is put off until" in run("snooze", "1", "--until", "2h", "--comment", "in a meeting")
    assert "no longer put off" in run("snooze", "1", "--until", "now")
    assert "--until 'soon'" in run("snooze", "1", "--until", "soon", code=1)
    shown = run("show", "1")
    for part in (
        "重大 (grave)",
        "assigned   li",
        "处置 (respond)  open until",
        "研判 (assess)  done by",
        "calling the branch",
    ):
        assert part in shown
    assert "alert 1 is resolved" in run("false-alarm", "1", "--reason", "old", "--comment", "as in May")
    events = json.loads(run("show", "1", "--json"))["events"]
    assert [e["action"] for e in events] == [
        "opened", "assigned", "commented", "level", "step_done", "step_waived", "snoozed", "woken", "resolved",
        "step_waived", "step_waived",
    ]  # fmt: skip
    assert next(e["data"]["reason"] for e in events if e["action"] == "resolved") == "old"
    assert len({e["actor"] for e in events}) == 2  # the detector, and who runs this


def test_an_incident_is_closed_as_one(store: Store) -> None:
    evidence = [{"text": "银行门口排起长队 [bold]！", "kind": 1}]
    with store.write() as c:
        f = Finding("surge", "topic:banks", None, 1, True, "warning", T0, T0 + 1, 4.0, evidence=evidence)
        apply_finding(c, f, T0)
    assert "incident   1, with #1 topic:real_estate firing" in run("show", "3")
    assert "alert 1 is resolved" in run("resolve", "3", "--resolution", "real", "--incident")
    assert json.loads(run("list", "--json").strip())["id"] == 2


def test_silences_are_made_shown_and_ended(store: Store) -> None:
    made = silences("add", "--series", "topic:real*", "--until", "6h", "--why", "系统升级", "--severity", "warning")
    assert made.startswith("silence 1 from ")
    silences("add", "--series", "topic:x", "--until", "4w", "--why", "weekly", "--hours", "sat,sun 00:00-06:00")
    listed = silences("list")
    for part in ("series topic:real*, up to warning", "系统升级", "#1", "sat,sun 00:00-06:00", "always"):
        assert part in listed
    assert "silenced" in run("list")
    assert "silenced   until" in run("show", "1")
    assert "silence 1 is over" in silences("expire", "1", "--why", "done early")
    assert "silence 1 is over already" in silences("expire", "1", code=1)
    assert [json.loads(x)["id"] for x in silences("list", "--json").splitlines()] == [2]
    assert "ended by" in silences("list", "--all")
    assert "name a series" in silences("add", "--until", "1h", "--why", "x", code=1)


def test_who_is_on_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [
        {"name": n, "channels": [{"type": "mail", "to": f"{n}@b.c"}], "quiet_hours": "night"} for n in ("li", "wang")
    ]
    file = {
        "receivers": people,
        "quiet_hours": {"night": {"windows": "all 22:00-08:00"}},
        "rosters": [{"name": "risk", "people": ["li", "wang"], "start": "2026-01-05 09:00"}],
        "routes": [{"receivers": "duty:risk", "level": "grave", "escalate": {"after_minutes": 5, "receivers": "wang"}}],
        "default": [],
        "series": [{"series": "topic:*", "runbook": "https://wiki.example.com/x", "contact": "8888"}],
    }
    (tmp_path / "notify.yaml").write_text(yaml.safe_dump(file))
    monkeypatch.setenv("BAROMETER_NOTIFY_FILE", str(tmp_path / "notify.yaml"))
    assert "risk: li, 2026-01-05 09:00+08:00 to 2026-01-12 09:00+08:00 (turn 1 of 2)" in run(
        "oncall", "--at", "2026-01-06 12:00"
    )
    assert "risk: wang" in run("oncall", "--at", "2026-01-13 12:00")
    assert run("route-test", "topic:x", "--level", "grave", "--at", "2026-01-06 23:00").splitlines() == [
        "* routes.0: tells duty:risk, then stops",
        "-> li (mail; zh) at 2026-01-07 08:00+08:00, after quiet hours, by routes.0, on duty in risk (turn 1 of 2); "
        "again every 240 min until somebody acknowledges",
        "-> if nobody acknowledges, after 5 min: wang (mail; zh) at 2026-01-07 08:00+08:00, after quiet hours, by "
        "routes.0, escalation 1 after 5 min",
        "runbook: https://wiki.example.com/x",
        "contact: 8888",
    ]
    assert "--level huge" in run("route-test", "topic:x", "--level", "huge", code=1)
