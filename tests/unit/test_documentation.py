"""What the documentation says is what the program has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from barometer.cli import COMMANDS, load

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def leaves(command: Any, name: str) -> set[str]:
    inner = getattr(command, "commands", None)
    if not inner:
        return {name}
    return {leaf for n, c in inner.items() for leaf in leaves(c, f"{name} {n}")}


def test_every_command_has_its_heading() -> None:
    have = {leaf for name in COMMANDS for leaf in leaves(load(name), f"barometer {name}")}
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert set(re.findall(r"^### `([^`\n]+)`$", text, re.M)) == have


def test_every_option_is_named_under_its_command() -> None:
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    sections = dict(re.findall(r"^### `([^`\n]+)`\n(.*?)(?=^##|\Z)", text, re.M | re.S))
    missing = []
    for name in COMMANDS:
        stack = [(load(name), f"barometer {name}")]
        while stack:
            command, path = stack.pop()
            inner = getattr(command, "commands", None)
            if inner:
                stack += [(c, f"{path} {n}") for n, c in inner.items()]
                continue
            for parameter in command.params:
                option = max(getattr(parameter, "opts", []), key=len, default="")
                if option.startswith("--") and option != "--help" and option not in sections.get(path, ""):
                    missing.append(f"{path} {option}")
    assert missing == []


@pytest.mark.parametrize(
    "page", [*sorted(ROOT.glob("docs/**/*.md")), ROOT / "README.md"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [m for m in LINK.findall(page.read_text("utf-8")) if "://" not in m]
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_every_metric_is_documented() -> None:
    """Every metric that the code defines is in docs/metrics.md, and the page names no other."""
    pattern = re.compile(r"""(?:Counter|Gauge|Histogram|Summary|Info)\(\s*["'](barometer_\w+)["']""")
    sources = [
        p
        for package in ("barometer", "ingest", "models", "monitor", "dashboard")
        for p in (ROOT / package).rglob("*.py")
    ]
    defined = {m for p in sources for m in pattern.findall(p.read_text("utf-8"))}
    documented = set(re.findall(r"^\| `(barometer_\w+)`", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.M))
    assert defined == documented
