"""A person at the screens: logs in, looks around, acts on an alert; in both languages, with hostile texts in the store.

The real server (gunicorn, its own process) on a seeded store, in headless Chromium. ``BAROMETER_CHROMIUM`` names the
browser where it is not Debian's.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import select, text, update

from barometer.settings import load_settings
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import Alert, Offset
from tests.support.seed import PASSWORD, seed

pytestmark = pytest.mark.browser
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("BAROMETER_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium: install Debian's chromium, or name one in BAROMETER_CHROMIUM")
    with sync_playwright() as p:
        launched = p.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@dataclass
class Site:
    """A running dashboard over a store of its own."""

    url: str
    store: Store
    process: subprocess.Popen[bytes]
    pages: list[Page] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def start_site(folder: Path, *, full: bool) -> Site:
    port = free_port()
    url = f"sqlite:///{folder / 'site.db'}"
    settings = load_settings(database_url=url)
    store = open_store(settings, migrate=True)
    if full:
        seed(store, settings, days=1.5)
    else:
        from barometer.store.accounts.users import add_user

        add_user(store, "admin", PASSWORD, "admin", actor="tests")
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "dashboard"],
        env={**os.environ, "BAROMETER_DATABASE_URL": url, "BAROMETER_DASHBOARD_PORT": str(port),
             "BAROMETER_DASHBOARD_WORKERS": "1", "BAROMETER_LOGIN_LIMIT": "1000 per minute"},
        cwd=folder,
    )  # fmt: skip
    site = Site(f"http://127.0.0.1:{port}", store, process)
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{site.url}/health", timeout=5) as answer:
                assert answer.status == 200
                return site
        except OSError as e:  # refused, timed out, or a server that is not ready
            if time.monotonic() > deadline or process.poll() is not None:
                process.kill()
                raise RuntimeError("the dashboard did not start") from e
            time.sleep(0.2)


def stop_site(site: Site) -> None:
    site.process.terminate()
    try:
        site.process.wait(15)
    except subprocess.TimeoutExpired:
        site.process.kill()
    site.store.close()


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = start_site(tmp_path_factory.mktemp("site"), full=True)
    yield running
    stop_site(running)


Enter = Callable[..., Page]


@pytest.fixture
def enter(browser: Browser) -> Iterator[Enter]:
    """``enter(site, role)``: a page that is logged in; at the end, nothing may have gone wrong in it."""
    contexts, troubles = [], []

    def make(site: Site, name: str = "analyst", *, width: int = 1280, path: str = "/") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda e: troubles.append(f"error: {e}"))
        page.on("console", lambda m: troubles.append(f"console: {m.text}") if m.type == "error" else None)
        page.on(
            "request",
            lambda r: None if r.url.startswith((site.url, "data:", "blob:")) else troubles.append(f"left: {r.url}"),
        )
        page.goto(site.url + path)
        page.get_by_label("用户名").or_(page.get_by_label("User name")).fill(name)
        page.get_by_label("密码").or_(page.get_by_label("Password")).fill(PASSWORD)
        page.locator("button[type=submit]").click()
        page.wait_for_selector(".tools")
        return page

    yield make
    for context in contexts:
        context.close()
    assert troubles == []


def in_language(page: Page, lang: str) -> None:
    """Press the button of the other language; the choice has been kept when the page has turned."""
    page.locator("#switch-lang").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN" if lang == "zh" else "en")


def test_the_overview_shows_every_topic_and_what_is_wrong(site: Site, enter: Enter) -> None:
    page = enter(site, path="/overview")
    expect(page.get_by_role("heading", name="概览")).to_be_visible()
    expect(page.locator(".board .ag-row")).to_have_count(16)
    expect(page.locator(".board .ag-row[row-index='0']")).to_contain_text("房地产")
    expect(page.locator(".strip").first).to_contain_text("71 条负面，预期 9.4 条")
    expect(page.locator("#truth")).to_contain_text("1 个来源沉默")
    page.get_by_role("link", name="7 天").click()
    expect(page).to_have_url(re.compile(r"range=7d"))
    expect(page.locator(".chip.on", has_text="7 天")).to_be_visible()
    page.reload()
    expect(page.locator(".chip.on", has_text="7 天")).to_be_visible()


def test_the_overview_refreshes_by_itself(site: Site, enter: Enter) -> None:
    page = enter(site, path="/overview")
    page.wait_for_selector(".strip")
    row = page.locator(".board .ag-row[row-index='0']")
    expect(row).to_contain_text("房地产")
    first = row.element_handle()
    with site.store.write() as c:
        c.execute(update(Alert).where(Alert.id == 1).values(seen_negative=72))
    expect(page.locator(".strip").first).to_contain_text("72 条负面", timeout=9_000)
    assert first.evaluate("row => row.isConnected"), "the rows are kept, not made anew: nothing flickers"
    with site.store.write() as c:
        c.execute(update(Alert).where(Alert.id == 1).values(seen_negative=71))


def test_a_point_of_a_series_leads_to_its_texts(site: Site, enter: Enter) -> None:
    page = enter(site, path="/overview")
    page.locator(".board").get_by_role("link", name="房地产").click()
    expect(page.get_by_role("heading", name="房地产")).to_be_visible()
    chart = page.locator("#series-chart .nsewdrag").first
    expect(page.locator("#series-texts .text-card").first).to_be_visible()
    box = chart.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 60)
    page.wait_for_timeout(300)
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#series-texts h2")).to_contain_text("的原文")
    expect(page.locator("#series-texts h2")).to_contain_text(re.compile(r"\d\d:\d\d 至 \d\d:\d\d"))
    expect(page.locator("#series-texts .text-card").first).to_be_in_viewport()


def test_texts_of_the_stream_are_shown_and_never_run(site: Site, enter: Enter) -> None:
    page = enter(site)
    for path in ("/documents", "/series/topic:real_estate", "/alerts/1", "/system"):
        page.goto(site.url + path)
        expect(page.locator("#main").get_by_text("<script>window.injected = true").first).to_be_visible()
        assert page.evaluate("window.injected === undefined"), path
    assert page.locator("a[href^='javascript:']").count() == 0
    page.goto(site.url + "/series/%3Cscript%3Ewindow.injected%3Dtrue%3C%2Fscript%3E")
    expect(page.get_by_role("heading", name="没有这个主题")).to_be_visible()
    expect(page.locator(".empty")).to_contain_text("<script>window.injected=true</script>")
    assert page.evaluate("window.injected === undefined")


def test_row_ids_reach_the_browser_whole(site: Site, enter: Enter) -> None:
    page = enter(site)
    page.goto(site.url + "/documents")
    key = page.locator(".text-card").first.get_attribute("data-row")
    assert key
    assert int(key) > 2**52
    assert int(key) % 2**40 > 2**39


def test_a_viewer_sees_no_buttons(site: Site, enter: Enter) -> None:
    page = enter(site, "viewer", path="/alerts/1")
    expect(page.get_by_text("查看者不能处理告警")).to_be_visible()
    expect(page.locator(".why-link").first).to_be_visible()  # a viewer may ask, and do nothing else
    expect(page.locator("#main button:not(.why-link)")).to_have_count(0)
    page.goto(site.url + "/alerts")
    expect(page.locator("tr[data-alert]").first).to_be_visible()
    expect(page.locator("#main button:visible, #main input[type=checkbox]")).to_have_count(0)


def test_language_and_theme_change_in_place_and_stay(site: Site, enter: Enter) -> None:
    page = enter(site, "viewer", path="/series/topic:macro?range=7d")
    page.wait_for_selector("#series-chart .main-svg")
    page.evaluate("window.sameDocument = true")
    in_language(page, "en")
    expect(page.get_by_role("heading", name="Macroeconomy")).to_be_visible()
    expect(page.locator("#truth")).to_contain_text("workers: 2")
    expect(page.locator(".nav")).to_contain_text("Documents")
    page.locator("#switch-theme").click()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    assert page.evaluate("window.sameDocument") is True
    expect(page).to_have_url(re.compile("range=7d"))
    page.reload()
    expect(page.get_by_role("heading", name="Macroeconomy")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    in_language(page, "zh")
    expect(page.get_by_role("heading", name="宏观经济")).to_be_visible()
    page.locator("#switch-theme").click()


def test_documents_are_filtered_by_the_address_line(site: Site, enter: Enter) -> None:
    page = enter(site, path="/documents?sentiment=unscored")
    expect(page.locator(".text-card")).to_have_count(1)
    expect(page.locator(".text-card")).to_contain_text("语言不支持")
    page.get_by_role("link", name="负面", exact=True).click()
    expect(page).to_have_url(re.compile("sentiment=negative"))
    expect(page.locator(".text-card .sentiment-negative").first).to_be_visible()
    expect(page.locator(".text-card .sentiment-unscored")).to_have_count(0)
    page.get_by_role("link", name=re.compile("更早")).click()
    expect(page.get_by_role("link", name=re.compile("回到最新"))).to_be_visible()


def test_stale_data_is_called_stale(site: Site, enter: Enter) -> None:
    with site.store.write() as c:
        before = c.execute(select(Offset.progress_t)).scalars().first()
        c.execute(update(Offset).values(progress_t=Offset.progress_t - 3_600_000))
    page = enter(site)
    expect(page.locator(".truth-stale")).to_contain_text("以下不是现在的情况")
    with site.store.write() as c:
        c.execute(update(Offset).values(progress_t=before))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/overview",
        "/overview?view=heat",
        "/series/topic:real_estate",
        "/alerts",
        "/alerts/1",
        "/documents",
        "/system",
    ],
)
def test_nothing_hangs_over_the_edge(site: Site, enter: Enter, width: int, path: str) -> None:
    page = enter(site, width=width, path=path)
    page.wait_for_selector("#main h1")
    page.wait_for_timeout(400)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_an_empty_store_says_so(browser: Browser, enter: Enter, tmp_path: Path) -> None:
    empty = start_site(tmp_path, full=False)
    try:
        page = enter(empty, "admin")
        expect(page.locator("#truth")).to_contain_text("还没有收到任何数据")
        expect(page.locator("#main")).to_contain_text("barometer produce")
        expect(page.locator(".calm")).to_have_count(0)
        for path in ("/overview", "/alerts", "/alerts/1", "/documents", "/system", "/nowhere"):
            page.goto(empty.url + path)
            page.wait_for_selector(".empty")
        page.context.close()  # it asks every few seconds, and would be refused from now on
    finally:
        stop_site(empty)


def test_a_lost_server_and_a_lost_session_are_noticed(browser: Browser, tmp_path: Path) -> None:
    site = start_site(tmp_path, full=False)
    context = browser.new_context()
    page = context.new_page()
    try:
        page.goto(site.url)
        page.get_by_label("用户名").fill("admin")
        page.get_by_label("密码").fill(PASSWORD)
        page.locator("button[type=submit]").click()
        page.wait_for_selector(".empty")
        kept = context.cookies()
        context.clear_cookies()
        page.wait_for_url(re.compile("/login"), timeout=15_000)
        expect(page.get_by_role("alert")).to_contain_text("登录已过期")
        context.add_cookies(kept)  # type: ignore[arg-type]
        page.goto(site.url)
        page.wait_for_selector(".empty")
        site.process.terminate()
        expect(page.locator("#offline")).to_contain_text("连接已中断", timeout=40_000)
    finally:
        context.close()
        stop_site(site)


def test_a_page_that_cannot_be_made_says_so(browser: Browser, tmp_path: Path) -> None:
    site = start_site(tmp_path, full=True)
    context = browser.new_context()
    page = context.new_page()
    try:
        page.goto(site.url)
        page.get_by_label("用户名").fill("viewer")
        page.get_by_label("密码").fill(PASSWORD)
        page.locator("button[type=submit]").click()
        page.wait_for_selector("#home-waiting .strip")
        with site.store.write() as c:
            c.execute(text("ALTER TABLE alerts RENAME TO alerts_away"))
        expect(page.locator("#offline")).to_contain_text("没能更新部分内容", timeout=20_000)
        page.get_by_role("link", name="告警").first.click()
        expect(page.locator("#main")).to_contain_text("数据库没有回答")
        with site.store.write() as c:
            c.execute(text("ALTER TABLE alerts_away RENAME TO alerts"))
        page.get_by_role("link", name="再试一次").click()
        expect(page.locator("tr[data-alert]").first).to_be_visible()
    finally:
        context.close()
        stop_site(site)
