"""``barometer notify`` as people call it."""

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
from barometer.store.migrate import open_store
from monitor.notify.channels import CHANNEL_TYPES, http
from monitor.notify.channels.limits import RateLimiter
from testing.post_box import PostBox
from tests.integration.monitor.test_outbox import T0, box
from tests.support.channel_samples import HTTP, TOKEN, answers_of, config_of

__all__ = ["box"]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BAROMETER_DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("BAROMETER_NOTIFY_FILE", str(tmp_path / "notify.yaml"))
    settings.cache_clear()
    yield
    settings.cache_clear()


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["notify", *arguments])
    assert done.exit_code == code, done.output
    if isinstance(done.exception, BarometerError):
        return str(done.exception)
    return done.output


@pytest.mark.parametrize("kind", CHANNEL_TYPES)
def test_every_channel_can_be_looked_at(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAROMETER_NOTIFY_FILE")
    shown = run("preview", "--channel", kind, "--language", "en", "--reason", "worse")
    assert "Real estate" in shown
    assert "30 min" in run("preview", "--channel", kind, "--language", "both").replace("30 分钟", "30 min")


@pytest.mark.parametrize("type_", ["surge", "rule", "system"])
@pytest.mark.parametrize("reason", ["first", "repeated", "resolved", "test"])
def test_every_kind_of_message_can_be_looked_at(type_: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAROMETER_NOTIFY_FILE")
    shown = run("preview", "--channel", "wecom", "--type", type_, "--reason", reason, "--severity", "critical")
    assert ("【已解决】" if reason == "resolved" else "【严重") in shown
    assert run("preview", "--type", type_, "--reason", reason, "--html").startswith("<!DOCTYPE html>")


def test_a_channel_of_the_file_and_an_alert_of_the_store(tmp_path: Path) -> None:
    channels = [{"type": "slack", "url": "env:NOT_SET", "mention": "here"}]
    guide = {"series": "topic:macro", "runbook": "先看利率", "contact": "8123"}
    file = {"receivers": [{"name": "desk", "channels": channels}], "series": [guide]}
    (tmp_path / "notify.yaml").write_text(yaml.safe_dump(file))
    store = open_store(settings(), migrate=True)
    with store.write() as c:
        f = Finding("surge", "topic:macro", None, 1, True, "warning", T0, T0 + 1, 4.0, 5.0, 20, 50, 600, evidence=[])
        apply_finding(c, f, T0)
    shown = json.loads(run("preview", "--channel", "desk/0", "--alert", "1"))
    assert "20 条" in shown["text"]
    assert "处置预案：先看利率" in json.dumps(shown, ensure_ascii=False)
    assert shown["blocks"][-1]["elements"][0]["elements"] == [{"type": "broadcast", "range": "here"}]
    assert run("preview", "--alert", "9", code=1) == "there is no alert 9"
    assert "--channel desk/1: use one of apprise, " in run("preview", "--channel", "desk/1", code=1)
    assert "--language fr: use zh, en, both" in run("preview", "--language", "fr", code=1)


@pytest.mark.parametrize("kind", HTTP)
def test_a_test_message_over_every_channel(
    box: PostBox, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.said = answers_of(kind).ok
    base = box.url.removesuffix("/hook")
    config = config_of(kind, base).model_dump(exclude_defaults=True)
    channel = {k: getattr(v, "get_secret_value", lambda v=v: v)() for k, v in config.items() if k != "headers"}
    (tmp_path / "notify.yaml").write_text(yaml.safe_dump({"receivers": [{"name": "desk", "channels": [channel]}]}))
    assert f"channel 0 ({kind}): taken" in run("test", "desk")
    assert "测试" in json.dumps(box.bodies()[0], ensure_ascii=False)
    status, box.said = answers_of(kind).bad_token
    box.answers = [(status, {})]
    monkeypatch.setattr(http, "LIMITER", RateLimiter())  # no wait for the service's limit
    shown = run("test", "desk", code=1)
    assert f"channel 0 ({kind}): failed" in shown
    assert "trying again would not help" in shown
    assert TOKEN not in shown


def test_a_receiver_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "notify.yaml").write_text("receivers: [{name: desk, channels: [{type: mail, to: a@b.c}]}]")
    assert run("test", "x", code=1) == "there is no receiver 'x' (receivers: desk)"
