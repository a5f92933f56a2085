"""The examples of logins in docs/kafka.md are settings that load."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from barometer.settings import load_settings

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "kafka.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"^### ([^\n]+)\n\n```sh\n(export BAROMETER_KAFKA_.*?)```", TEXT, re.M | re.S))


def test_there_is_an_example_of_each_login() -> None:
    text = " ".join(EXAMPLES.values())
    for word in ("SCRAM-SHA-512", '"PLAIN"', "OAUTHBEARER", '"SSL"'):
        assert word in text


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_loads(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in EXAMPLES[name].splitlines():
        [word] = shlex.split(line)[1:]
        variable, _, value = word.partition("=")
        if variable.endswith("_FILE"):
            (tmp_path / variable).write_text("a secret")
            value = str(tmp_path / variable)
        monkeypatch.setenv(variable, value)
    assert load_settings().kafka_options["security_protocol"]
