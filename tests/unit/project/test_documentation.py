"""What the documentation says is what the program has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from app.cli import COMMANDS, load
from dashboard.i18n.texts import TEXTS

ROOT = Path(__file__).resolve().parents[3]
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("findings/*.md"))]


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


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """What a source host calls the headings of a page in links to them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", h).lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target, anchor in LINK.findall(prose(page)):
        if "://" in target:
            continue
        file = page.parent / target if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_lists_begin_after_an_empty_line(page: Path) -> None:
    """Source hosts do without it; the site shows such a list as one paragraph."""
    item = r"(?:[*-]|\d+\.) "
    paragraphs = re.split(r"\n\s*\n", prose(page))
    late = [p for p in paragraphs if re.search(rf"^{item}", p, re.M) and not re.match(rf"\s*(?:{item}|#|\|)", p)]
    assert late == []


def test_files_that_are_named_are_there() -> None:
    """Of the folders of the code; what operators make themselves is none of these."""
    named = re.compile(r"`((?:app|barometer|ingest|models|monitor|dashboard|tests|bench|docs|findings)/[\w/.-]*)`")
    missing = {(p.name, m) for p in PAGES for m in named.findall(p.read_text("utf-8")) if not (ROOT / m).exists()}
    assert missing == set()


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^- \[(\d{4})\]\((\1-[^)]+)\)", (folder / "README.md").read_text("utf-8"), re.M)
    assert sorted(name for _, name in listed) == sorted(p.name for p in folder.glob("0*.md"))
    assert len({number for number, _ in listed}) == len(listed), "a number is used once"


def test_the_glossary_has_the_words_of_the_screens() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    screens = page[page.index("## On the screens") : page.index("## In code")]
    rows = [r for r in re.findall(r"^\| ([^|]+) \| ([^|]+) \|", screens, re.M) if r[0] not in ("中文", "---")]
    shown = {(zh, en.lower()) for zh, en in TEXTS.values()}
    assert len(rows) > 40
    assert [r for r in rows if (r[0], r[1].lower()) not in shown] == []


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
