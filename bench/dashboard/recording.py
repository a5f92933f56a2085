"""What a browser really sends: somebody walks through all pages in Chromium, and their requests are noted."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, Request, sync_playwright
from playwright.sync_api import Error as BrowserError

from bench.dashboard.site import Person, Site

TICK_S = 4.0
UPDATE = "/_dash-update-component"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Recorded:
    """``payloads``: by output, every different payload that was sent. ``polls``: by page, what its clock sends."""

    payloads: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    polls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    """Paths of other requests that scripts made."""


@contextmanager
def browser() -> Iterator[Browser]:
    path = os.environ.get("BAROMETER_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise SystemExit("no Chromium: install Debian's chromium, or name one in BAROMETER_CHROMIUM")
    with sync_playwright() as p:
        launched = p.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


def logged_in(chrome: Browser, site: Site, person: Person) -> Page:
    """A fresh browser (nothing cached) with somebody's session."""
    context = chrome.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    context.add_cookies([{"name": k, "value": v, "url": site.url} for k, v in person.cookies.items()])
    return context.new_page()


def walk(chrome: Browser, site: Site, person: Person, pages: list[str]) -> Recorded:
    """Open every page, wait for its clock, and do on it what people do."""
    found, seen = Recorded(), set[str]()
    now: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if not request.url.startswith(site.url):
            return
        if UPDATE in request.url and request.post_data:
            payload = json.loads(request.post_data)
            now.append(payload)
            body = {k: v for k, v in payload.items() if k != "parsedChangedPropsIds"}
            key = re.sub(r'"n_intervals", "value": \d+', "", json.dumps(body, sort_keys=True))
            if key not in seen:
                seen.add(key)
                found.payloads[payload["output"]].append(payload)
        elif "/api/" in request.url or "/export/" in request.url:
            found.calls.add(request.url.removeprefix(site.url).split("?")[0])

    page = logged_in(chrome, site, person)
    page.on("request", note)
    for path in pages:
        page.goto(site.url + path)
        page.wait_for_selector("#main h1")
        page.wait_for_timeout(800)
        now.clear()
        page.wait_for_timeout(1_000 * TICK_S + 600)
        ticked = {p["output"]: p for p in now if any(c.startswith("tick.") for c in p["changedPropIds"])}
        found.polls[path] = list(ticked.values())
        for act in _ACTS:
            if re.match(act.path, path):
                with suppress(BrowserError):  # not every store has everything on every page
                    act.do(page)
                    page.wait_for_timeout(700)
    page.context.close()
    return found


@dataclass(frozen=True)
class _Act:
    path: str
    do: Callable[[Page], Any]


def _drag(page: Page) -> None:
    box = page.locator("#series-chart .nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 60, steps=4)
    page.mouse.up()


def _point(page: Page) -> None:
    box = page.locator("#series-chart .nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60)
    page.wait_for_timeout(300)
    page.mouse.down()
    page.mouse.up()


def _choose(page: Page, id_: str) -> None:
    page.locator(f"#{id_}").click(timeout=2_000)
    page.locator("[role=option]:visible").nth(1).click(timeout=2_000)


def _type(page: Page, selector: str, words: str) -> None:
    page.locator(selector).first.fill(words, timeout=2_000)
    page.keyboard.press("Enter")
    time.sleep(0.8)


def _password(page: Page) -> None:
    for name, value in (("old", "not the password"), ("new", "a new password"), ("again", "a new password")):
        page.locator(f"#account-{name}").fill(value, timeout=2_000)
    page.locator("#account-change").click(timeout=2_000)


def _token(page: Page) -> None:
    page.locator("#account-token-name").fill("bench", timeout=2_000)
    page.locator("#account-token-make").click(timeout=2_000)


_ACTS = (
    _Act(r"/$", lambda p: p.locator("#switch-theme").click(timeout=2_000)),
    _Act(r"/$", lambda p: p.locator("#switch-theme").click(timeout=2_000)),
    _Act(r"/$", lambda p: p.locator("#home-mark").click(timeout=2_000)),
    _Act(r"/$", lambda p: p.locator("#home-watching button").first.click(timeout=2_000)),
    _Act(r"/overview$", lambda p: p.locator(".board button").first.click(timeout=2_000)),
    _Act(r"/overview$", lambda p: _type(p, "#overview-find", "6")),
    _Act(r"/overview$", lambda p: _choose(p, "overview-lang")),
    _Act(r"/series/", _point),
    _Act(r"/series/", _drag),
    _Act(r"/series/", lambda p: p.locator("#series-unzoom").click(timeout=2_000)),
    _Act(r"/alerts$", lambda p: p.locator("[id^=pick-]").nth(1).click(timeout=2_000)),
    _Act(r"/alerts$", lambda p: p.locator("#bulk-acknowledge").click(timeout=2_000)),
    _Act(r"/alerts$", lambda p: _choose(p, "alerts-severity")),
    _Act(r"/alerts/\d+$", lambda p: p.locator("#alert-comment").fill("看过了", timeout=2_000)),
    _Act(r"/alerts/\d+$", lambda p: p.locator("#alert-comment-do").click(timeout=2_000)),
    _Act(r"/alerts/\d+$", lambda p: p.locator("#alert-acknowledge").click(timeout=2_000)),
    _Act(r"/annotate$", lambda p: p.keyboard.press("1")),
    _Act(r"/annotate$", lambda p: p.keyboard.press("Enter")),
    _Act(r"/annotate$", lambda p: _choose(p, "annotate-series")),
    _Act(r"/account$", _password),
    _Act(r"/account$", _token),
    _Act(r"/documents$", lambda p: p.locator("#documents-news").click(timeout=9_000)),
    _Act(r"/documents$", lambda p: p.locator("button[id*='whole']").first.click(timeout=2_000)),
    _Act(r"/documents$", lambda p: p.locator(".why-link").first.click(timeout=2_000)),
    _Act(r"/documents$", lambda p: p.keyboard.press("Escape")),
    _Act(r"/documents$", lambda p: _type(p, "#documents-q", "违约")),
)
