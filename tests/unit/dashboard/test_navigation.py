"""A screen is made known once; the bar, the keys and the neighbours follow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dashboard.pages
from dashboard import navigation
from dashboard.i18n.texts import has

ROOT = Path(navigation.__file__).parent


def test_the_bar_and_the_keys_follow_the_screens() -> None:
    assert [s.name for s in navigation.bar()] == [
        "home", "overview", "alerts", "documents", "annotate", "models", "system",
    ]  # fmt: skip
    assert navigation.keys()["l"] == "/annotate"
    assert [s.path for s in navigation.neighbours("alerts")] == ["/alerts", "/silences", "/rules", "/receivers"]
    assert navigation.marks()["/overview"] == ["/overview", "/series/"]
    assert all(has(f"nav.{s.name}") for s in navigation.screens() if s.order is not None)


def test_every_module_of_pages_is_one_screen() -> None:
    assert [m.SCREEN.name for m in dashboard.pages.MODULES] == [
        m.__name__.rpartition(".")[2] for m in dashboard.pages.MODULES
    ]


def test_an_address_or_a_key_belongs_to_one_screen() -> None:
    with pytest.raises(ValueError, match="is that of silences"):
        navigation.add(navigation.Screen("other", "/silences"))
    with pytest.raises(ValueError, match="is that of models"):
        navigation.add(navigation.Screen("other", "/other", key="m"))


def test_a_screen_needs_one_module_and_its_texts() -> None:
    """No file but its own names the address of the screen of receivers."""
    told = {
        str(p.relative_to(ROOT))
        for p in ROOT.rglob("*")
        if p.suffix in (".py", ".js", ".html") and re.search(r"/receivers\b|nav-receivers", p.read_text("utf-8"))
    }
    assert told == {"pages/receivers.py"}
