"""What is delivered for running it in containers says what the program understands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from barometer.cli import COMMANDS
from barometer.settings import PREFIX, Settings, load_settings
from monitor.notify.config import load_config

ROOT = Path(__file__).resolve().parents[2]
FILLED = {"POSTGRES_PASSWORD": "a", "BAROMETER_SECRET_KEY": "b", "BAROMETER_AUTHOR_SALT": "c", "KAFKA_CLUSTER_ID": "d"}


def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))


def test_services_run_commands_that_there_are() -> None:
    ours = {n: s for n, s in compose()["services"].items() if "command" in s and n != "topics"}
    assert {"migrate", "worker", "monitor", "dashboard"} == set(ours)
    assert all(s["command"][0] in COMMANDS for s in ours.values())
    assert all("healthcheck" in s for n, s in ours.items() if n != "migrate")


def test_services_set_settings_that_there_are() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name, service in compose()["services"].items():
        used = {k for k in service.get("environment", {}) if k.startswith(PREFIX)}
        assert used <= known, name


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    required = set(re.findall(r"\$\{(\w+):\?", text))
    example = set(re.findall(r"^#? ?(\w+)=", (ROOT / "deploy" / "env.example").read_text("utf-8"), re.M))
    assert required == set(FILLED)
    assert required <= example


def test_topics_are_made_as_the_program_would() -> None:
    text = "\n".join(compose()["services"]["topics"]["command"])
    settings = load_settings()
    assert f"create {settings.topic_documents} --partitions {settings.topic_partitions} " in text
    assert f"create {settings.topic_dlq} " in text
    assert text.count("message.timestamp.type=CreateTime") == 2


def test_the_compose_file_is_valid() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed (Debian: docker-compose)")
    done = subprocess.run(
        [program, "-f", str(ROOT / "docker-compose.yml"), "config", "-q"],
        env={**os.environ, **FILLED},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_example_of_receivers_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONCALL_WEBHOOK_URL", "ONCALL_WEBHOOK_SECRET", "OPERATORS_APPRISE_URL"):
        monkeypatch.setenv(name, "json://example.com")
    config = load_config(load_settings(notify_file=ROOT / "deploy" / "notify.example.yaml"))
    assert [r.name for r in config.file.receivers] == ["risk-desk", "on-call", "operators"]


def test_the_image_copies_every_package() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    for package in ("barometer", "ingest", "models", "monitor", "dashboard"):
        assert f"COPY {package} {package}" in text
    assert "USER 10001" in text
