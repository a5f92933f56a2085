"""When a page can first be used, as somebody in front of Chromium sees it: with nothing cached, and again."""

from __future__ import annotations

from playwright.sync_api import Browser

from bench.dashboard.recording import logged_in
from bench.dashboard.site import Person, Site

# What must stand on a page before its main task can be done.
READY = {
    "/": "#home-watching section",
    "/overview": ".board .ag-row",
    "/series": "#series-chart .main-svg",
    "/alerts": "tr[data-alert]",
    "/alerts/": "#alert-head h1, #main h1",
    "/documents": ".text-card",
    "/system": "#system-body table",
}


def ready(path: str) -> str:
    """What to wait for on a page."""
    bare = path.split("?", maxsplit=1)[0]
    if bare in READY:
        return READY[bare]
    if bare.startswith("/series/"):
        return READY["/series"]
    if bare.startswith("/alerts/"):
        return READY["/alerts/"]
    return "#main h1"


def open_pages(
    chrome: Browser, site: Site, person: Person, paths: list[str], rounds: int
) -> dict[str, tuple[list[float], list[float], float]]:
    """Seconds from the request to the moment that a page can be used: by path, (cold, warm, kB over the wire when
    cold)."""
    found: dict[str, tuple[list[float], list[float], float]] = {}
    for path in paths:
        cold, warm, size = [], [], 0.0
        for _ in range(rounds):
            page = logged_in(chrome, site, person)
            for times in (cold, warm):
                page.goto("about:blank")
                page.goto(site.url + path, wait_until="commit")
                page.locator(ready(path)).first.wait_for(state="visible")
                times.append(page.evaluate("performance.now()") / 1000)
                if times is cold:
                    script = "performance.getEntriesByType('resource').reduce((n, r) => n + r.transferSize, 0)"
                    size = page.evaluate(script) / 1024
                page.wait_for_timeout(300)
            page.context.close()
        found[path] = (cold, warm, size)
    return found
