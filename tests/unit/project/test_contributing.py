"""The table of what to touch in CONTRIBUTING.md: its files deal with their example, and no other file of code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]
CODE = ("app", "barometer", "ingest", "models", "monitor", "dashboard")
COMMON = {"page", "topic", "command", "model"}
"""Rows whose example is a word of other files, too: these are not counted."""


class Row(NamedTuple):
    what: str
    example: str
    code: list[str]
    count: int
    others: list[str]


def rows() -> list[Row]:
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## What to touch")[1]
    found = []
    for line in re.findall(r"^\| (.+) \|$", table, re.M)[1:]:
        what, example, code, count, *others = (x.strip() for x in line.split(" | "))
        paths = [re.findall(r"`([\w./-]+/[\w./-]+)`", cell) for cell in (code, " ".join(others))]
        found.append(Row(what, example.strip("`"), paths[0], int(count), paths[1]))
    return found


ROWS = rows()


def deals_with(path: Path, word: str) -> bool:
    return word in path.name or word.lower() in path.read_text("utf-8").lower()


def test_the_table_has_every_kind() -> None:
    kinds = ["channel", "topic", "page", "column", "message field", "setting", "metric", "command", "alarm", "model"]
    assert [k for k in kinds if not any(r.what.startswith(k) for r in ROWS)] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.what)
def test_files_of_a_row_deal_with_its_example(row: Row) -> None:
    strange = [p for p in (*row.code, *row.others) if not deals_with(ROOT / p, row.example)]
    assert strange == []
    assert len(row.code) == row.count


@pytest.mark.parametrize("row", [r for r in ROWS if r.what not in COMMON], ids=lambda r: r.what)
def test_no_other_file_of_code_deals_with_it(row: Row) -> None:
    files = [p for package in CODE for ending in ("py", "js", "css") for p in (ROOT / package).rglob(f"*.{ending}")]
    assert {str(p.relative_to(ROOT)) for p in files if deals_with(p, row.example)} == set(row.code)
