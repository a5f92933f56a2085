"""What people do on Home and Overview: see what waits and what changed, watch a series, narrow a view, share it."""

from __future__ import annotations

import re
from itertools import pairwise

from playwright.sync_api import expect
from sqlalchemy import delete, insert, select

from barometer.store.tables import Alert
from tests.browser.test_dashboard import Enter, Site, browser, enter, in_language, site  # fixtures

__all__ = ["browser", "enter", "site"]


def test_home_says_what_waits_what_changed_and_what_i_watch(site: Site, enter: Enter) -> None:
    page = enter(site)
    expect(page.get_by_role("heading", name="首页")).to_be_visible()
    expect(page.locator("#home-waiting .strip")).to_have_count(1)
    expect(page.locator("#home-waiting .strip")).to_contain_text("房地产")
    expect(page.locator(".truth-zone")).to_have_text("时间均为 UTC+8")
    expect(page.locator("#home-seen")).to_contain_text("第一次来")
    expect(page.locator("#home-changed")).to_contain_text("新告警")
    expect(page.locator("#home-changed")).to_contain_text(re.compile("房地产.*预期"))
    expect(page.locator("#home-watching")).to_contain_text("你还没有关注任何系列")
    first = page.locator(".watch-row[data-series='topic:real_estate']")
    expect(first).to_contain_text(re.compile(r"第 \d+/16 高"))
    # Watching one from the overview makes it the only one here.
    page.goto(site.url + "/overview")
    star = page.locator(".board").get_by_role("button", name="关注宏观经济", exact=True)
    star.click()
    expect(page.locator(".board").get_by_role("button", name="不再关注宏观经济")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.get_by_role("link", name="首页").click()
    expect(page.locator(".watch-row[data-series]")).to_have_count(1)
    expect(page.locator(".watch-row[data-series]")).to_contain_text("宏观经济")
    page.get_by_role("button", name="全部标为已看").click()
    expect(page.locator("#home-seen")).to_contain_text("从现在起算")
    expect(page.locator("#home-changed")).to_contain_text("没有变化")
    page.get_by_role("button", name="不再关注宏观经济").click()
    expect(page.get_by_role("button", name="关注宏观经济", exact=True)).to_be_visible()
    page.reload()
    expect(page.locator("#home-watching")).to_contain_text("你还没有关注任何系列")


def test_an_english_view_is_narrowed_and_shared(site: Site, enter: Enter) -> None:
    page = enter(site, "viewer", path="/overview?view=heat&kind=news")
    in_language(page, "en")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator(".legend")).to_contain_text("30 min a cell")
    expect(page.locator(".heat").first).to_have_attribute("aria-label", re.compile("Real estate: highest"))
    page.get_by_label("Find a series").fill("macro")
    expect(page).to_have_url(re.compile("find=macro"))
    expect(page.locator(".board .ag-row")).to_have_count(1)
    page.get_by_role("combobox", name="Source").or_(page.get_by_label("Source")).first.click()
    page.get_by_role("option", name="MarketWire").click()
    expect(page).to_have_url(re.compile("source=MarketWire"))
    expect(page.locator(".page-head + .note")).to_contain_text("counted from the texts themselves")
    address = page.url
    page.goto(address)
    expect(page.locator(".board .ag-row")).to_have_count(1)
    expect(page.locator(".chip.on", has_text="News")).to_be_visible()
    page.goto(site.url + "/overview?view=heat&find=nothing+has+this+name")
    expect(page.locator(".board-card")).to_contain_text("No series match")
    page.get_by_role("link", name="Clear filters").click()
    page.locator(".heat a").last.click()
    expect(page).to_have_url(re.compile(r"/series/topic:.*at=\d+"))
    in_language(page, "zh")


def test_a_series_is_zoomed_read_apart_and_explained(site: Site, enter: Enter) -> None:
    page = enter(site, path="/series/topic:real_estate")
    expect(page.get_by_role("heading", name="房地产")).to_be_visible()
    expect(page.locator("#series-changes")).to_contain_text("600519")
    expect(page.locator("#series-texts")).to_contain_text("首发：")
    expect(page.locator("#series-texts")).to_contain_text("阅读")
    chart = page.locator("#series-chart .nsewdrag").first
    chart.wait_for()
    box = chart.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.locator("#series-note")).to_contain_text("放大：")
    expect(page).to_have_url(re.compile(r"from=\d+&to=\d+"))
    page.reload()
    expect(page.locator("#series-note")).to_contain_text("放大：")
    page.get_by_role("button", name="还原").click()
    expect(page.locator("#series-note")).not_to_contain_text("放大：")
    page.get_by_role("link", name="独立").click()
    expect(page.locator("#series-note")).to_contain_text("转载只算一次")
    page.get_by_role("link", name="分开").click()
    in_language(page, "en")
    expect(page.locator("#series-chart")).to_contain_text("Texts by kind")
    expect(page.get_by_role("heading", name="What changed")).to_be_visible()
    in_language(page, "zh")


def test_sources_that_fall_silent_together_are_one_line(site: Site, enter: Enter) -> None:
    with site.store.write() as c:
        found = c.execute(select(Alert.__table__).where(Alert.fingerprint.like("system:%")).limit(1)).one()
        first = dict(found._mapping)
        del first["id"]
        first |= {"state": "firing", "severity": "warning", "ended_at": None, "resolved_at": None}
        rows = [{**first, "fingerprint": f"system:silent:{name}"} for name in ("甲报", "乙报", "丙报")]
        c.execute(insert(Alert), rows)
    page = enter(site)
    expect(page.locator("#home-waiting .strip")).to_have_count(2)
    expect(page.locator("#home-waiting .strip").last).to_contain_text("来源沉默 × 3")
    expect(page.locator("#home-waiting .strip").last).to_contain_text("乙报")
    expect(page.locator("#home-waiting .count")).to_have_text("4")
    with site.store.write() as c:
        c.execute(delete(Alert).where(Alert.fingerprint.in_([r["fingerprint"] for r in rows])))


def test_the_heat_map_of_a_narrow_window_shows_the_latest_hours(site: Site, enter: Enter) -> None:
    page = enter(site, path="/overview?view=heat", width=390)
    page.locator(".heat").first.wait_for()
    page.wait_for_timeout(400)
    seen = page.evaluate(
        """() => {
            const cells = [...document.querySelector('.heat').children].map(x => x.getBoundingClientRect());
            const labels = [...document.querySelectorAll('.heat-head span')].map(x => x.getBoundingClientRect());
            const name = document.querySelector('.board .series-name').getBoundingClientRect();
            const card = document.querySelector('.board').getBoundingClientRect();
            return {end: cells.at(-1).right, room: name.left - card.left, labels: labels.map(x => [x.left, x.right])};
        }"""
    )
    assert seen["end"] <= 390
    assert seen["room"] >= 8, "the names are not cut"
    assert all(a[1] <= b[0] + 1 for a, b in pairwise(seen["labels"]))
