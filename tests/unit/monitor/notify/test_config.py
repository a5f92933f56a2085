"""The file of receivers: what it may say, and who is told by it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from barometer.errors import SettingsError
from barometer.settings import load_settings
from monitor.notify.channels import CHANNEL_TYPES
from monitor.notify.config import NotifyConfig, load_config
from monitor.notify.routes import Router, Target

GOOD = """
receivers:
  - name: oncall
    lang: both
    channels:
      - {type: webhook, url: "http://hooks.test/x", headers: {Authorization: "env:HOOK_TOKEN"}}
      - {type: mail, to: [oncall@example.com, boss@example.com]}
  - name: property
    channels: [{type: mail, to: property@example.com}]
  - name: operators
    lang: en
    channels: [{type: apprise, url: "env:APPRISE_URL"}]
routes:
  - {type: system, receivers: operators}
  - {series: ["topic:real_estate", "topic:credit_*"], receivers: property, then: continue}
  - series: topic:public_health
    receivers: []
  - min_severity: critical
    kind: [news]
    receivers: oncall
    escalate: {after_minutes: 15, receivers: [property]}
default: oncall
"""


def read(tmp_path: Path, text: str, check_secrets: bool = False) -> NotifyConfig:
    path = tmp_path / "notify.yaml"
    path.write_text(text, "utf-8")
    return load_config(load_settings(notify_file=path), check_secrets=check_secrets)


def told(config: NotifyConfig, series: str, severity: str = "warning", *kinds: int, type_: str = "surge") -> list[str]:
    return [r.receiver.name for r in Router(config).route(Target(series, type_, severity, kinds), 0)]


def test_routes_are_tried_in_order(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert told(config, "topic:real_estate") == ["property"]  # matched: the default is not asked
    assert told(config, "topic:real_estate", "critical", 1, 2) == ["property", "oncall"]
    assert told(config, "topic:credit_bonds", "critical", 2) == ["property"]
    assert told(config, "topic:macro") == ["oncall"]  # by default
    assert told(config, "topic:public_health", "critical", 1) == []
    assert told(config, "system:lag", "critical", type_="system") == ["operators"]
    assert told(config, "topic:macro", "info") == []


def test_the_explanation_names_every_route(tmp_path: Path) -> None:
    target = Target("topic:real_estate", "surge", "critical", (1,))
    recipients, steps = Router(read(tmp_path, GOOD)).explain(target, 0)
    assert [r.receiver.name for r in recipients] == ["property", "oncall"]
    assert [(s.route, s.matched) for s in steps] == [
        ("routes.0", False), ("routes.1", True), ("routes.2", False), ("routes.3", True),
    ]  # fmt: skip
    assert steps[0].why == "type surge is none of system"
    assert steps[1].why == "tells property, then continues"


def test_escalations_are_those_of_the_routes_that_match(tmp_path: Path) -> None:
    router = Router(read(tmp_path, GOOD))
    found = router.escalations(Target("topic:macro", "surge", "critical", (1,)), 0)
    assert [(e.after_minutes, e.receiver.name) for e in found] == [(15, "property")]
    assert router.escalations(Target("topic:macro", "surge", "warning", (1,)), 0) == []


def test_without_routes_and_default_everybody_is_told(tmp_path: Path) -> None:
    config = read(tmp_path, "receivers: [{name: a, channels: [{type: mail, to: a@b.c}]}]")
    assert told(config, "topic:macro") == ["a"]


def test_without_a_file_nobody_is_told() -> None:
    assert told(load_config(load_settings()), "topic:macro", "critical") == []


MAIL = "{name: a, channels: [{type: mail, to: a@b.c}]}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("receivers: [", "not valid YAML"),
        ("- a", "expected receivers, routes and default at the top"),
        ("recievers: []", "recievers: Extra inputs are not permitted"),
        ("receivers: [{name: a, channels: []}]", "receivers.0.channels: List should have at least 1 item"),
        (
            "receivers: [{name: a, channels: [{type: fax}]}]",
            "receivers.0.channels.0: .*'apprise', ",
        ),
        ("receivers: [{name: a, channels: [{type: webhook}]}]", "receivers.0.channels.0.webhook.url: Field required"),
        ("receivers: [{name: a, channels: [{type: mail, to: nobody}]}]", r"receivers.0.channels.0.mail.to.0"),
        ('receivers: [{name: a, channels: [{type: mail, to: "a@b.c, d@e.f"}]}]', r"receivers.0.channels.0.mail.to.0"),
        (f"receivers: [{MAIL}, {MAIL}]", "the name 'a' is used twice"),
        (f"receivers: [{MAIL}]\nroutes: [{{receivers: b}}]", r"routes.0.receivers: there is no receiver 'b' .*: a\)"),
        (f"receivers: [{MAIL}]\ndefault: [b]", "default: there is no receiver 'b'"),
        (f"receivers: [{MAIL}]\nroutes: [{{receivers: a, min_severity: info}}]", "routes.0.min_severity"),
    ],
)
def test_mistakes_are_named_with_file_and_field(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as e:
        read(tmp_path, text)
    assert "notify.yaml" in str(e.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"notify_file: cannot read .*/nowhere\.yaml"):
        load_config(load_settings(notify_file=tmp_path / "nowhere.yaml"))


def test_missing_secrets_are_named_where_messages_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK_TOKEN", raising=False)
    monkeypatch.setenv("APPRISE_URL", "json://127.0.0.1")
    says = r"receivers\.0 \(oncall\)\.channels\.0\.headers\.Authorization: .*HOOK_TOKEN is not set"
    with pytest.raises(SettingsError, match=says):
        read(tmp_path, GOOD, check_secrets=True)
    monkeypatch.setenv("HOOK_TOKEN", "x")
    read(tmp_path, GOOD, check_secrets=True)


def test_every_kind_of_channel_has_an_example_in_the_documentation(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "channels.md").read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    shown = {c.type for block in blocks for r in read(tmp_path, block).file.receivers for c in r.channels}
    assert shown == set(CHANNEL_TYPES)
    assert all(f"`{kind}`" in page for kind in CHANNEL_TYPES)


def test_a_telephone_number_may_be_a_number(tmp_path: Path) -> None:
    text = "receivers: [{name: a, channels: [{type: sms, url: 'http://x', to: [13800000000, '+86 1']}]}]"
    with pytest.raises(SettingsError, match=r"sms.to.1"):
        read(tmp_path, text)
    channel = read(tmp_path, text.replace("'+86 1'", "'+861'")).file.receivers[0].channels[0]
    assert channel.type == "sms"
    assert channel.to == ["13800000000", "+861"]


def test_secrets_do_not_show(tmp_path: Path) -> None:
    text = (
        "receivers: [{name: a, channels: [{type: webhook, url: 'http://x/t0ken', headers: {A: t0ken}, secret: t0ken}]}]"
    )
    assert "t0ken" not in repr(read(tmp_path, text))
    with pytest.raises(SettingsError) as e:
        read(tmp_path, text.replace("secret: t0ken", "secrets: t0ken"))
    assert "t0ken" not in str(e.value)
