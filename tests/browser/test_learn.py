"""Labelling by keyboard, blind; correcting from a text; why; what checks found; the models. In both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from barometer.store.tables import Annotation, LabelText
from tests.browser.test_dashboard import Enter, Site, browser, enter, in_language, start_site
from tests.support.seed import checked

__all__ = ["browser", "enter"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose labels were checked for some days."""
    made = start_site(Path(tmp_path_factory.mktemp("learned")), full=True)
    checked(made.store)
    yield made
    made.process.terminate()
    made.process.wait(20)


def rows(site: Site) -> list[tuple[str, int | None, str, bool]]:
    a = Annotation
    q = select(a.action, a.sentiment, a.origin, a.blind).order_by(a.id.desc()).limit(8)
    with site.store.read() as c:
        return [(r.action, r.sentiment, r.origin, r.blind) for r in c.execute(q)]


def test_texts_are_labelled_by_keyboard_without_seeing_the_answer(learned: Site, enter: Enter) -> None:
    page = enter(learned, path="/annotate")
    card, done = page.locator("#annotate-card"), page.locator("#annotate-done")
    expect(card.locator("[data-text]")).to_be_visible()
    expect(card.locator(".annotate-answer")).to_have_count(0)
    first = card.locator("[data-text]").get_attribute("data-text")
    page.keyboard.press("Enter")
    expect(done).to_contain_text("先选情绪")
    page.keyboard.press("1")
    expect(page.get_by_role("button", name="负面")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("q")
    page.keyboard.press("c")
    page.keyboard.type("1 2 3 只是备注")
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(done).to_contain_text("已保存：正面 · 大盘与个股行情")
    expect(card.locator(f"[data-text='{first}']")).to_have_count(0)
    latest = page.locator(f"[data-said='{first}']")
    expect(latest).to_contain_text("保存下一条之后显示模型的判断")
    assert rows(learned)[0] == ("label", 2, "random", True)
    page.keyboard.press("z")
    expect(done).to_contain_text("已撤回")
    expect(card.locator(f"[data-text='{first}']")).to_be_visible()
    page.keyboard.press("s")
    expect(done).to_contain_text("已跳过")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(done).to_contain_text("已保存：中性")
    expect(latest).to_contain_text("修改")
    assert [r[0] for r in rows(learned)[:3]] == ["label", "skip", "undo"]
    page.get_by_role("link", name="拿不准").click()
    expect(page.get_by_text("模型最拿不准的文本")).to_be_visible()
    expect(card.locator("[data-text]")).to_be_visible()


def test_keys_pressed_while_the_server_answers_are_not_lost(learned: Site, enter: Enter) -> None:
    page = enter(learned, path="/annotate")
    page.route("**/_dash-update-component", lambda route: (page.wait_for_timeout(400), route.continue_()))
    expect(page.locator("#annotate-card [data-text]")).to_be_visible()
    for key in ("1", "Enter", "s", "z"):
        page.keyboard.press(key)
    expect(page.locator("#annotate-done")).to_contain_text("已撤回")
    done = [r[0] for r in rows(learned)[:2]]
    assert done in (["undo", "label"], ["undo", "skip"]), "the last key counts, in time for another or not"


def test_a_label_is_corrected_from_an_english_alert_and_explained(learned: Site, enter: Enter) -> None:
    page = enter(learned, path="/alerts/1")
    in_language(page, "en")
    expect(page.get_by_role("heading", name="How reliable the labels are")).to_be_visible()
    expect(page.locator(".trust")).to_contain_text("Of 9 alerts closed in the last 30 days, 78% were")
    expect(page.locator(".trust")).to_contain_text(re.compile(r"people agree on \d+% \(\d+% to \d+%\)"))
    page.goto(learned.url + "/documents")
    card = page.locator(".text-card").filter(has_text="Hengyuan").first
    card.get_by_role("button", name="Why").click()
    answer = page.locator("[data-explained]")
    expect(answer).to_contain_text("log-odds", timeout=30_000)
    expect(answer).to_contain_text("Explained by the present model")
    expect(answer.locator(".why-part small").first).to_contain_text(re.compile(r"[+−]\d"))
    page.keyboard.press("Escape")
    expect(answer).to_be_hidden()
    hostile = page.locator(".text-card").filter(has_text="<script>").first
    hostile.get_by_role("link", name="Correct").click()
    expect(page.locator("#annotate-card .annotate-answer")).to_contain_text("The model's answer")
    expect(page.get_by_role("button", name="Negative")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#annotate-done")).to_contain_text("Saved: Neutral")
    expect(page.locator(".said-list")).to_contain_text("saw the model's answer")
    assert rows(learned)[0] == ("label", 1, "document", False)
    assert page.evaluate("window.injected") is None
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page).to_have_url(re.compile("/documents"))
    mark = page.locator(".text-card").filter(has_text="<script>").first.locator(".pill.people")
    expect(mark).to_have_text("human: Neutral")
    expect(mark).to_have_attribute("title", "analyst")
    in_language(page, "zh")


def test_checks_models_and_their_card_are_for_everybody(learned: Site, enter: Enter) -> None:
    page = enter(learned, "viewer", path="/annotate")
    expect(page.get_by_text("只有分析员和管理员可以标注")).to_be_visible()
    expect(page.locator("#annotate-form")).to_have_count(0)
    table = page.locator(".audit-table")
    expect(table).to_contain_text("全部文本")
    expect(table.locator(".interval-cell").first).to_contain_text(re.compile(r"\d+% \d+–\d+"))
    expect(page.get_by_text("两人同标")).to_be_visible()
    page.get_by_role("link", name="模型").click()
    expect(page.get_by_role("heading", name="模型版本")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("default").first).to_be_visible()
    expect(page.locator(".model-card h1")).to_be_visible()
    expect(page.get_by_role("heading", name="主题阈值")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(learned.url + "/annotate")
    expect(table).to_contain_text("全部文本")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with learned.store.read() as c:
        assert c.execute(select(LabelText.id).limit(1)).first() is not None
