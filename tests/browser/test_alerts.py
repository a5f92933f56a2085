"""An analyst at work: from the list to an alert that is handled, in both languages, by mouse and by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select, update

from barometer.store.tables import Alert, AlertEvent, AlertStep
from tests.browser.test_dashboard import Enter, Site, browser, enter, in_language, start_site, stop_site
from tests.support.seed import storm

__all__ = ["browser", "enter"]
pytestmark = pytest.mark.browser
WORDS = {
    "zh": {"ack": "确认", "comment": "备注", "post": "发表备注", "level": "定级…", "grave": "重大", "set": "定级",
           "step": "完成步骤…", "assess": "研判", "do": "完成步骤", "note": "说明", "false": "误报…", "confirm": "误报",
           "old": "旧闻重提", "why": "请选择为什么是误报", "firing": "告警中", "acked": "已确认", "over": "已解决",
           "late": "逾期", "unreached": "没有通知到 mail", "story": "旧闻重提"},
    "en": {"ack": "Acknowledge", "comment": "Comment", "post": "Add comment", "level": "Set level…",
           "grave": "Grave", "set": "Set level", "step": "Complete a step…", "assess": "Assess",
           "do": "Complete a step",
           "note": "Note", "false": "False alarm…", "confirm": "False alarm", "old": "Old news",
           "why": "say why it is a false alarm", "firing": "Firing", "acked": "Acknowledged", "over": "Resolved",
           "late": "overdue", "unreached": "Not reached: mail", "story": "Old news"},
}  # fmt: skip


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = start_site(tmp_path_factory.mktemp("alerts"), full=True)
    storm(running.store)
    yield running
    stop_site(running)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_evidence_is_seen_before_all_else_that_is_told(site: Site, enter: Enter, width: int) -> None:
    page = enter(site, path="/alerts/1", width=width)
    evidence = page.locator(".text-card").first
    expect(evidence).to_be_visible()
    box, view = evidence.bounding_box(), page.viewport_size
    assert box is not None and view is not None
    if width > 1000:
        assert box["y"] + box["height"] <= view["height"], "the most telling text is above the fold, whole"
    # On a telephone the acts stand between the head and the texts: they are what it is taken out for.
    beside = ("#alert-form",) if width > 1000 else ()
    for below in ("#alert-why", "#alert-chart", "#alert-history", *beside):
        other = page.locator(below).bounding_box()
        assert other is not None
        assert other["y"] > box["y"] or other["x"] > box["x"] + box["width"], f"{below} stands above the evidence"


@pytest.mark.parametrize(("lang", "alert_id"), [("zh", 1), ("en", 7)])
def test_an_alert_is_handled_from_the_list_to_a_false_alarm(site: Site, enter: Enter, lang: str, alert_id: int) -> None:
    w = WORDS[lang]
    page = enter(site, path="/alerts")
    if lang == "en":
        in_language(page, "en")
    row = page.locator(f"tr[data-alert='{alert_id}']")
    if alert_id == 1:
        expect(row.locator(".overdue")).to_contain_text(w["late"])
    row.get_by_role("link").click()
    expect(page.locator("#alert-head")).to_contain_text(w["unreached"] if alert_id == 1 else w["acked"])
    if alert_id == 1:
        page.get_by_label(w["comment"], exact=True).fill("在核实 <b>真的</b>")
        page.wait_for_timeout(4_300)  # a refresh must not take away what is being written
        page.locator("#alert-acknowledge").dblclick()
        expect(page.locator(".alert-title")).to_contain_text(w["acked"])
        expect(page.locator("#alert-head")).to_contain_text("analyst")
        expect(page.locator(".timeline")).to_contain_text("在核实 <b>真的</b>")
        expect(page.get_by_label(w["comment"], exact=True)).to_have_value("")
        expect(page.get_by_role("button", name=w["ack"], exact=True)).to_be_hidden()
        page.get_by_role("button", name=w["level"]).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label(w["grave"]).check()
        dialog.get_by_role("button", name=w["set"]).click()
        expect(page.locator(".alert-title .level-grave")).to_be_visible()
    page.get_by_role("button", name=w["step"]).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name=w["assess"] if alert_id == 1 else "Report").check()
    dialog.get_by_label(w["note"], exact=True).fill("一家分行")
    dialog.get_by_role("button", name=w["do"]).click()
    expect(page.locator(".step-done").last).to_contain_text("analyst")
    page.get_by_role("button", name=w["false"]).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=w["confirm"], exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text(w["why"])
    dialog.get_by_label(w["old"]).check()
    dialog.get_by_role("button", name=w["confirm"], exact=True).click()
    expect(page.locator(".alert-title")).to_contain_text(w["over"])
    expect(page.locator(".timeline")).to_contain_text(w["story"])
    expect(page.get_by_role("button", name=w["false"])).to_be_hidden()
    with site.store.read() as c:
        found = c.execute(select(Alert.state, Alert.resolution, Alert.resolved_by).where(Alert.id == alert_id)).one()
        e = AlertEvent
        mine = c.execute(select(e.action).where(e.alert_id == alert_id, e.actor == "analyst").order_by(e.id)).scalars()
        actions = [a for a in mine if a != "step_waived"]
        steps = c.execute(select(AlertStep.state).where(AlertStep.alert_id == alert_id)).scalars().all()
    assert tuple(found) == ("resolved", "false_alarm", "analyst")
    assert actions == (["acknowledged", "level"] if alert_id == 1 else []) + ["step_done", "resolved"]
    assert "open" not in steps
    if lang == "en":
        in_language(page, "zh")


def test_several_are_picked_by_keyboard_and_stay_picked(site: Site, enter: Enter) -> None:
    page = enter(site, path="/alerts?severity=warning")
    box = page.locator("tr[data-alert='4'] input")
    box.focus()
    page.keyboard.press("Space")
    page.locator("tr[data-alert='6'] input").focus()
    page.keyboard.press("Space")
    expect(page.locator("#bulk-count")).to_contain_text("2")
    with site.store.write() as c:
        c.execute(update(Alert).where(Alert.id == 5).values(state="resolved", resolved_by="admin"))
        c.execute(update(Alert).where(Alert.id == 6).values(seen_negative=99))
    expect(page.locator("#alerts-held")).to_be_visible()  # a row went away, and none moves under a hand
    expect(page.locator("tr[data-alert='5']")).to_be_visible()
    page.locator("#alerts-held").click()
    expect(page.locator("tr[data-alert='5']")).to_have_count(0)
    expect(page.locator("tr[data-alert='6']")).to_contain_text("99")
    expect(page.locator("tr[data-alert] input:checked")).to_have_count(2)
    page.get_by_role("button", name="推迟…").click()
    page.get_by_role("dialog").get_by_role("button", name="推迟", exact=True).click()
    expect(page.locator("#bulk-done")).to_contain_text("已推迟：2 条")
    expect(page.locator("#bulk-bar")).to_be_hidden()
    expect(page.locator("tr[data-alert='4']")).to_contain_text("推迟到")
    with site.store.read() as c:
        until = c.execute(select(Alert.snoozed_until).where(Alert.id.in_([4, 6]))).scalars().all()
    assert all(until)


def test_filters_and_order_stand_in_the_address(site: Site, enter: Enter) -> None:
    page = enter(site, path="/alerts?state=all")
    page.get_by_role("link", name="我的").click()
    expect(page).to_have_url(re.compile("owner=me"))
    expect(page.locator("tr[data-alert='6']")).to_be_visible()
    expect(page.locator("tr[data-alert='2']")).to_have_count(0)
    page.get_by_role("link", name="所有人").click()
    page.get_by_role("link", name="历时").click()
    expect(page).to_have_url(re.compile("sort=started"))
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("历时")
    page.locator("#alerts-level").click()
    page.get_by_role("option", name="未定级").click()
    expect(page).to_have_url(re.compile(r"level=none"))
    expect(page).to_have_url(re.compile("sort=started"))
    page.reload()
    expect(page.locator("#alerts-level")).to_have_value("未定级")
    expect(page.locator("tr[data-alert='7']")).to_have_count(0)
