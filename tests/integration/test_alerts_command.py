"""``barometer alerts`` as people call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from barometer.cli import app
from barometer.errors import BarometerError
from barometer.settings import settings
from barometer.store.alerts import Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from tests.integration.post_box import PostBox
from tests.integration.test_outbox import T0, box, receiver

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
