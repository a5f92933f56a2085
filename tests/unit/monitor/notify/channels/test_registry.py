"""A channel is one folder: it is found by being there, and nothing else names it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import monitor.notify.channels
from monitor.notify.channels import CHANNEL_TYPES

ROOT = Path(__file__).parents[5]
CODE = ("app", "barometer", "bench", "dashboard", "deploy", "ingest", "models", "monitor", "tests")
SUFFIXES = {".py", ".yaml", ".yml", ".html", ".js", ".css", ".toml"}
OWN_NAMES = ("telegram", "dingtalk", "teams")
"""Types whose names mean nothing else, and which neither the demo nor other tests use as an example."""


def test_every_folder_is_a_channel() -> None:
    folders = {p.parent.name for p in Path(monitor.notify.channels.__file__).parent.glob("*/settings.py")}
    assert folders == {c.settings.__module__.split(".")[-2] for c in CHANNEL_TYPES.values()}
    assert {"mail", "sms", "voice", "webhook"} <= set(CHANNEL_TYPES)


@pytest.mark.parametrize("name", OWN_NAMES)
def test_only_its_folder_its_test_and_the_documentation_name_it(name: str) -> None:
    own = (f"monitor/notify/channels/{name}/", f"/channels/test_{name}.py")
    word = re.compile(rf"\b{name}\b", re.IGNORECASE)
    files = [p for folder in CODE for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES and p.is_file()]
    naming = [str(p.relative_to(ROOT)) for p in [*files, ROOT / "pyproject.toml"] if word.search(p.read_text("utf-8"))]
    here = str(Path(__file__).relative_to(ROOT))
    assert [p for p in naming if p != here and not any(x in p for x in own)] == []
    assert sum(own[0] in p for p in naming) >= 3
