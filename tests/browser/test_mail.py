"""The page of a mail, as clients show it: light and dark, wide and on a telephone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser

from monitor.notify.message import Message, render
from tests.browser.test_dashboard import browser
from tests.support.channel_samples import message

__all__ = ["browser"]


def long_words() -> Message:
    """With what cannot be broken between words."""
    m = message("both", acknowledged_by="x" * 300, evidence=[{"text": "https://e.test/" + "a" * 120, "kind": 1}])
    return render({**m.facts, "link": "https://barometer.test/" + "b" * 200, "contact": "c" * 90}, "key-" + "d" * 200)


@pytest.mark.parametrize("width", [360, 760])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_mail_fits_and_can_be_read(browser: Browser, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        for m in (long_words(), message("zh")):
            page.set_content(m.html)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for selector, least in ((".card", 10.0), (".muted", 4.5), ("a", 4.5)):
                assert page.evaluate(CONTRAST, selector) >= least, (selector, scheme)
    finally:
        page.close()


def test_a_mail_loads_nothing() -> None:
    # No picture, font or script from anywhere: it is read in an intranet, and opening it tells nobody.
    found = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\' >)]+)', message("both").html)
    assert set(found) == {"http://barometer.test/alerts/7"}


# The lowest contrast (WCAG 2.2) of the elements' text against the colour behind it.
CONTRAST = """selector => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  return Math.min(...[...document.querySelectorAll(selector)].map(e => {
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05); }));
}"""
