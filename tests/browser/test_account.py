"""One's own account: a token is made, used and revoked; a password is changed."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import expect

from tests.browser.test_dashboard import Enter, Site, browser, enter, in_language, site  # fixtures
from tests.support.seed import PASSWORD

__all__ = ["browser", "enter", "site"]


def test_a_token_is_made_used_and_revoked(site: Site, enter: Enter) -> None:
    page = enter(site, "analyst")
    page.get_by_title("我的账号：密码与令牌").click()
    expect(page.get_by_role("heading", name="我的账号")).to_be_visible()
    expect(page.get_by_text("还没有令牌")).to_be_visible()
    page.get_by_role("button", name="生成令牌").click()
    expect(page.get_by_text("写明用途")).to_be_visible()
    page.get_by_label("用途").fill("<b>夜间报表</b>")
    page.get_by_role("button", name="生成令牌").click()
    secret = page.locator(".token").inner_text()
    page.get_by_role("button", name="复制", exact=True).click()
    expect(page.get_by_role("button", name="已复制")).to_be_visible()
    page.get_by_label("用途").press("ControlOrMeta+v")
    expect(page.get_by_label("用途")).to_have_value(secret)
    expect(page.locator("#account-token-list")).to_contain_text("<b>夜间报表</b>")
    asked = httpx.get(f"{site.url}/api/v1/me", headers={"Authorization": f"Bearer {secret}"})
    assert (asked.status_code, asked.json()["name"]) == (200, "analyst")
    page.reload()
    expect(page.locator("#account-token-list")).to_contain_text("有效")
    assert secret not in page.content()
    page.get_by_role("button", name=re.compile("吊销令牌")).click()
    expect(page.locator("#account-token-list")).to_contain_text("已吊销")
    assert httpx.get(f"{site.url}/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_a_password_is_changed_in_english(site: Site, enter: Enter) -> None:
    page = enter(site, "viewer", path="/account")
    in_language(page, "en")
    expect(page.get_by_role("heading", name="Change password")).to_be_visible()

    def change(old: str, new: str, again: str) -> None:
        for label, value in (("Current password", old), ("New password", new), ("Repeat new password", again)):
            page.get_by_label(label, exact=True).fill(value)
        page.get_by_role("button", name="Change", exact=True).click()

    said = page.locator("#account-password-said")
    change(PASSWORD, "another long one", "another long 1")
    expect(said).to_contain_text("do not match")
    change("not mine", "another long one", "another long one")
    expect(said).to_contain_text("current password is wrong")
    change(PASSWORD, "another long one", "another long one")
    expect(said).to_contain_text("Password changed")
    page.reload()
    expect(page.get_by_role("heading", name="My account")).to_be_visible()
    change("another long one", PASSWORD, PASSWORD)  # as the other tests know it
    expect(said).to_contain_text("Password changed")
    page.get_by_role("link", name="API documentation").click()
    expect(page.get_by_role("heading", name="JSON API")).to_be_visible()
