"""Telling people, from the screens: a silence is made by who handles alerts; an administrator tries a channel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from testing.post_box import PostBox, post_box
from tests.browser.test_dashboard import Enter, Site, browser, enter, in_language, start_site, stop_site

__all__ = ["browser", "enter"]


@pytest.fixture(scope="module")
def box() -> Iterator[PostBox]:
    with post_box() as running:
        yield running


@pytest.fixture(scope="module")
def site(browser: Browser, box: PostBox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("telling")
    people = folder / "notify.yaml"
    people.write_text(
        f"receivers: [{{name: 风控组, channels: [{{type: webhook, url: '{box.url}/hook/s3cret'}}]}}]\n"
        "rosters: [{name: night, people: [风控组], start: '2026-01-05 09:00'}]\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAROMETER_NOTIFY_FILE", str(people))
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1")
        running = start_site(folder, full=True)
    yield running
    stop_site(running)


def test_a_silence_is_made_with_dates_and_ended(site: Site, enter: Enter) -> None:
    page = enter(site, path="/alerts")
    page.get_by_role("link", name="静默", exact=True).click()
    expect(page.get_by_role("heading", name="静默", exact=True)).to_be_visible()
    expect(page.locator("#silences-body")).to_contain_text("没有静默")
    page.locator("#silence-series").click()
    page.get_by_role("option", name="房地产").click()
    page.locator("#silence-until").click()
    page.get_by_role("option", name="到指定的时间").click()
    page.locator("#silence-end-at").click()
    page.get_by_role("button", name="下个月").click()
    page.locator(".mantine-Popover-dropdown td button:not([data-outside])").last.click()
    page.keyboard.press("Escape")
    page.get_by_label("原因（必填）").fill("演练 <b>x</b>")
    page.get_by_role("button", name="开始静默").click()
    expect(page.locator("#silence-said")).to_contain_text("已设好")
    row = page.locator("#silences-body tbody tr")
    expect(row).to_contain_text("演练 <b>x</b>")
    expect(row).to_contain_text("生效中")
    expect(row.get_by_role("link", name="#1")).to_be_visible()
    row.get_by_role("button", name="现在结束").click()
    expect(page.locator("#silences-body")).to_contain_text("没有静默")
    page.get_by_role("link", name="连同已结束的").click()
    expect(page.locator("#silences-body")).to_contain_text("analyst 提前结束")


def test_who_is_told_is_shown_and_tried(site: Site, enter: Enter, box: PostBox) -> None:
    page = enter(site, "viewer", path="/receivers")
    expect(page.locator("#receivers-body")).to_contain_text("还没用过")
    expect(page.locator("#receivers-body")).to_contain_text("第 1 位，共 1 位")
    assert page.get_by_role("button", name="发一条测试").count() == 0
    assert "s3cret" not in page.content()
    page = enter(site, "admin", path="/receivers")
    page.get_by_role("button", name="给 风控组 发一条测试").click()
    expect(page.locator("#receiver-said")).to_contain_text("webhook 已收下")
    expect(page.locator("#receivers-body [data-state=works]")).to_be_visible()
    assert len(box.received) == 1
    page.get_by_role("link", name="红线").click()
    page.get_by_label("文本").last.fill("某村镇银行出现挤兑，储户连夜排队")
    page.get_by_role("button", name="试一试").click()
    expect(page.locator("#rules-tried li")).to_contain_text("挤兑")
    in_language(page, "en")
    expect(page.get_by_role("heading", name="Red lines", exact=True).first).to_be_visible()
    in_language(page, "zh")
