"""The documentation builds as a site: no broken link, every page in the navigation, nothing from other hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_reached_from_the_navigation(site: Path) -> None:
    front = (site / "index.html").read_text("utf-8")
    pages = {p.relative_to(ROOT / "docs").with_suffix("") for p in (ROOT / "docs").glob("*.md")}
    assert {str(p) for p in pages if f'href="{p}.html"' not in front} == set()
    assert 'href="decisions/index.html"' in front


def test_the_site_loads_nothing_from_other_hosts(site: Path) -> None:
    loading = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=[\"']?(?:https?:)?//")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert [p.name for p in pages if loading.search(p.read_text("utf-8"))] == []
