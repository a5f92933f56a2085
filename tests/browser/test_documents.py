"""What people do on Documents: search, narrow, share the address, read copies, take a file home."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect
from sqlalchemy import insert

from barometer.records import fingerprint, pack_row
from barometer.store.tables import Document, SearchQueue
from tests.browser.test_dashboard import Enter, Site, browser, enter, in_language, site  # fixtures

__all__ = ["browser", "enter", "site"]


def test_a_search_is_narrowed_shared_and_taken_home(site: Site, enter: Enter) -> None:
    page = enter(site, path="/documents")
    box = page.get_by_label("搜索文本")
    box.fill("违约")
    box.press("Enter")
    expect(page).to_have_url(re.compile(r"q=%E8%BF%9D%E7%BA%A6"))
    expect(page.locator(".text-card mark").first).to_have_text("违约")
    expect(page.locator(".text-card")).to_have_count(1)  # ten copies of one text
    expect(page.locator(".text-card")).to_contain_text("同文 10 篇")
    expect(page.locator(".text-card")).to_contain_text("首发 股吧")
    expect(page.locator(".text-card")).to_contain_text("模型 default")
    page.get_by_role("link", name="同文 10 篇").click()
    expect(page.locator(".text-card")).to_have_count(10)
    expect(page.locator(".pill.first")).to_have_count(1)
    box = page.get_by_label("搜索文本")
    box.fill('"恒远旗下" -兑付')
    page.get_by_role("button", name="搜索").click()
    expect(page.locator(".chosen-row")).to_contain_text("-兑付")
    page.get_by_role("link", name="逐篇列出").click()
    expect(page.locator(".text-card")).to_have_count(10)
    page.get_by_text("更多条件").click()
    page.get_by_role("textbox", name="来源").or_(page.get_by_label("来源")).first.click()
    page.get_by_role("option", name="快讯社").click()
    expect(page).to_have_url(re.compile("source="))
    expect(page.locator(".chosen-row")).to_contain_text("来源：快讯社")
    address = page.url
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert re.match(r"barometer-documents-\d{8}-\d{6}\.csv", download.value.suggested_filename)
    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert "恒远旗下" in lines[1]
    page.goto(address)
    expect(page.locator(".text-card").first).to_contain_text("恒远旗下")
    page.get_by_role("link", name=re.compile("来源：快讯社")).click()
    expect(page.locator(".chosen-row")).not_to_contain_text("来源")
    # What was found is added up beside the list, and narrows it; days are chosen from a calendar.
    page.goto(site.url + "/documents?series=topic:real_estate&copies=all")
    found = page.locator(".found")
    expect(found.get_by_role("heading").first).to_have_text(re.compile(r"共 \d+ 条"))
    expect(found).to_contain_text("快讯社")
    expect(found.get_by_role("img")).to_have_attribute("aria-label", re.compile("最多的是"))
    found.get_by_role("link", name="负面").click()
    expect(page).to_have_url(re.compile("sentiment=negative"))
    expect(found.locator(".bar-row .bar-neutral")).to_have_count(0)
    kept = f"{site.url}/documents?from=1790000000000&to={time.time_ns() // 1_000_000}"
    page.goto(kept)
    page.get_by_role("textbox", name="从").click()
    page.locator(".mantine-Popover-dropdown td button:not([data-outside])").first.click()
    expect(page).to_have_url(re.compile(r"from=\d{4}-\d\d-01&to=\d+"))
    assert page.url != kept, "the field of the end was not touched: its time is kept"
    page.goto(site.url + "/documents?q=-%E5%85%91%E4%BB%98")
    expect(page.locator(".empty")).to_contain_text("写一个要找的词")


def test_a_list_with_the_newest_first_is_one_where_copies_are_folded(site: Site, enter: Enter) -> None:
    page = enter(site, path="/documents")
    page.locator("#documents-body .text-card").first.wait_for()
    times = page.locator("#documents-body .text-head .meta .num").all_inner_texts()
    assert len(times) > 10
    # Times of today come first; those of other days begin with the date.
    today = [x for x in times if len(x) == 5]
    assert today == sorted(today, reverse=True)
    assert times == today + sorted(times[len(today) :], reverse=True)


def test_new_texts_wait_until_they_are_asked_for(site: Site, enter: Enter) -> None:
    page = enter(site, "viewer", path="/documents?kind=news")
    in_language(page, "en")
    expect(page.get_by_role("heading", name="Documents")).to_be_visible()
    expect(page.locator(".export")).to_have_count(0)
    first = page.locator(".text-card").first.get_attribute("data-row")
    now, row, text = time.time_ns() // 1_000_000, pack_row(1, 0, 2**39 + 90_000), "长文。" * 400 + "末尾"
    with site.store.write() as c:
        values = {"observed_at": now, "row_id": row, "doc_key": 90_000, "text_hash": 90_000, "kind": 1, "lang": "zh",
                  "fingerprint": fingerprint(text), "scored": False, "late": False, "flags": 0, "text": text,
                  "stored_at": now}  # fmt: skip
        c.execute(insert(Document).values(**values))
        c.execute(insert(SearchQueue).values(observed_at=now, row_id=row))
    news = page.get_by_role("button", name="1 new: show")
    expect(news).to_be_visible(timeout=10_000)
    assert page.locator(".text-card").first.get_attribute("data-row") == first, "nothing moves under who reads"
    news.click()
    card = page.locator(".text-card").first
    expect(card).to_have_attribute("data-row", str(row))
    expect(card).not_to_contain_text("末尾")
    card.get_by_role("button", name="Show all of it").click()
    expect(card).to_contain_text("末尾")
    in_language(page, "zh")
