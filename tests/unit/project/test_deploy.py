"""What is delivered for running it in containers says what the program understands."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import subprocess
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import yaml

from app.cli import COMMANDS
from barometer.errors import SettingsError
from barometer.settings import PREFIX, Settings, load_settings
from monitor.notify.config import load_config

ROOT = Path(__file__).resolve().parents[3]
FILLED = {
    "POSTGRES_PASSWORD": "a", "BAROMETER_SECRET_KEY": "b", "BAROMETER_AUTHOR_SALT": "c", "KAFKA_CLUSTER_ID": "d",
    "BAROMETER_SMTP_HOST": "e",
}  # fmt: skip


def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))


def compose_program() -> list[str]:
    """How Compose 2 or later is called here; empty where there is none."""
    for program in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(program[0]):
            said = subprocess.run([*program, "version", "--short"], capture_output=True, text=True, check=False)
            found = re.match(r"v?(\d+)\.", said.stdout)
            if said.returncode == 0 and found and int(found[1]) >= 2:
                return program
    return []


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


def test_what_the_example_says_to_fill_in_with_does() -> None:
    """A cluster's id is sixteen bytes, and Kafka's tools take one that begins with a dash for an option."""
    text = (ROOT / "deploy" / "env.example").read_text("utf-8")
    found = re.search(r"^# python3 -c '(.+)'\nKAFKA_CLUSTER_ID=$", text, re.M)
    assert found
    code = compile(found[1], "env.example", "exec")
    for _ in range(500):
        said = io.StringIO()
        with redirect_stdout(said):
            exec(code, {})
        made = said.getvalue().strip()
        assert not made.startswith("-")
        assert len(base64.urlsafe_b64decode(made + "==")) == 16


def test_topics_are_made_as_the_program_would() -> None:
    text = "\n".join(compose()["services"]["topics"]["command"])
    settings = load_settings()
    assert f"create {settings.topic_documents} --partitions {settings.topic_partitions} " in text
    assert f"create {settings.topic_dlq} " in text
    assert text.count("message.timestamp.type=CreateTime") == 2


def test_the_compose_file_is_valid(tmp_path: Path) -> None:
    program = compose_program()
    if not program:
        pytest.skip(
            "no Compose 2 here (the plugin `docker compose`; the docker-compose of 2021 knows no create_host_path)"
        )
    documented(tmp_path)
    done = subprocess.run(
        [*program, "-f", str(tmp_path / "docker-compose.yml"), "config", "-q"],
        env={**os.environ, **FILLED},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def documented(folder: Path) -> None:
    """Do what docs/deploy.md says before the services are started."""
    shutil.copy(ROOT / "docker-compose.yml", folder)
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    for source, target in re.findall(r"^    cp (\S+) (\S+)", text, re.M):
        shutil.copy(folder / source, folder / target)


def test_what_the_documentation_says_is_enough_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor of Compose starts with the example of receivers, and nothing else set."""
    documented(tmp_path)
    example = (tmp_path / "deploy" / "notify.yaml").read_text("utf-8")
    names = set(re.findall(r"env:(\w+)", example)) - {"NAME"}
    assert names
    for name in names:
        monkeypatch.delenv(name, raising=False)
    service = compose()["services"]["monitor"]
    (mount,) = service["volumes"]
    assert (mount["source"], mount["target"]) == (
        "./deploy/notify.yaml", service["environment"]["BAROMETER_NOTIFY_FILE"]
    )  # fmt: skip
    config = load_config(load_settings(notify_file=tmp_path / mount["source"]))
    assert [r.name for r in config.file.receivers] == ["risk-desk", "on-call", "operators"]


def test_secrets_of_receivers_reach_who_tells_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable that the example names, also in what is commented out, has its line in .env, and the services that
    read the file get all of .env."""
    documented(tmp_path)
    example = (tmp_path / "deploy" / "notify.yaml").read_text("utf-8")
    names = set(re.findall(r"env:(\w+)", example)) - {"NAME"}
    lines = set(re.findall(r"^#? ?(\w+)=", (tmp_path / ".env").read_text("utf-8"), re.M))
    assert names <= lines
    readers = [s for s in compose()["services"].values() if "BAROMETER_NOTIFY_FILE" in s.get("environment", {})]
    assert len(readers) >= 2 and all(s["env_file"] == [".env"] for s in readers)
    whole = tmp_path / "whole.yaml"
    whole.write_text(re.sub(r"^(\s+)# (- \{type)", r"\1\2", example, flags=re.M), "utf-8")
    with pytest.raises(SettingsError) as e:
        load_config(load_settings(notify_file=whole))
    assert all(f"{name} is not set" in str(e.value) for name in names), "all at once"
    for name in names:
        monkeypatch.setenv(name, "json://example.com")
    load_config(load_settings(notify_file=whole))


def test_a_file_that_nobody_copied_is_no_folder() -> None:
    """In its short form a mount of what is not there makes a folder of that name, which belongs to root."""
    for name, service in compose()["services"].items():
        for mount in service.get("volumes", ()):
            if isinstance(mount, str):
                assert not mount.startswith((".", "/")), name
            else:
                assert mount["type"] != "bind" or mount["bind"]["create_host_path"] is False, name


def test_the_image_copies_every_package() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    for package in ("barometer", "ingest", "models", "monitor", "dashboard"):
        assert f"COPY {package} {package}" in text
    assert "USER 10001" in text
