"""How numbers and times are written, and that every text is there in both languages."""

from __future__ import annotations

import doctest
import re
import string
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dashboard.format as module
from barometer.store.series.points import Point
from barometer.vocabulary import LANGUAGES
from barometer.workdays import Workdays
from dashboard.components.charts import PALETTE, rolling_share
from dashboard.components.days import LONGEST_MS, day_shapes
from dashboard.components.spark import sparkline
from dashboard.context import View
from dashboard.format import ago, clock, duration, number, percent
from dashboard.i18n.texts import TEXTS, as_lang, series_name, t

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = 1_795_406_400_000  # 2026-11-23 12:00 in Shanghai


def test_examples_in_the_documentation_are_true() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("value", "zh", "en"),
    [
        (0, "0", "0"),
        (9_999, "9,999", "9,999"),
        (10_000, "1万", "10k"),
        (12_345, "1.2万", "12.3k"),
        (1_234_567, "123万", "1.2M"),
        (99_999_999, "1亿", "100M"),
        (123_456_789, "1.2亿", "123M"),
        (-25_000, "-2.5万", "-25k"),
        (3.14159, "3.1", "3.1"),
        (None, "–", "–"),
    ],
)
def test_numbers(value: float | None, zh: str, en: str) -> None:
    assert (number("zh", value), number("en", value)) == (zh, en)


@given(st.integers(0, 10**12))
def test_a_short_number_is_near_the_number(value: int) -> None:
    units = {"万": 1e4, "亿": 1e8, "k": 1e3, "M": 1e6, "B": 1e9}
    for lang in LANGUAGES:
        text = number(lang, value).replace(",", "")
        shown = float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text)
        assert abs(shown - value) <= 0.05 * value


def test_shares_and_stretches_of_time() -> None:
    assert percent(0.1234) == "12.3%"
    assert percent(None) == "–"
    assert duration("zh", 5 * 86_400_000) == "5 天"
    assert duration("en", 3_600_000 + 45 * 60_000) == "1 h 45 min"
    assert ago("zh", NOON - 180_000, NOON) == "3 分钟前"
    assert ago("en", None, NOON) == "never"


def test_times_are_shown_in_the_zone_of_the_settings() -> None:
    assert clock(NOON, SHANGHAI, NOON) == "12:00"
    assert clock(NOON - 86_400_000, SHANGHAI, NOON) == "11-22 12:00"
    assert clock(NOON, ZoneInfo("UTC"), NOON) == "04:00"
    # Half past midnight in Shanghai is still the day before in UTC.
    assert clock(NOON - 41_400_000, SHANGHAI, NOON) == "00:30"


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_every_text_is_in_both_languages(key: str) -> None:
    zh, en = TEXTS[key]
    assert zh.strip()
    assert en.strip()
    assert fields(zh) == fields(en)


def test_no_text_is_given_twice() -> None:
    # Of two texts with one key, one would never be seen, whoever edits it.
    keys: list[str] = []
    for path in sorted(Path(module.__file__).parent.joinpath("i18n").glob("*.py")):
        keys += re.findall(r'^    "([^"\n]+)": ?\(', path.read_text("utf-8"), re.MULTILINE)
    assert len(keys) > 500
    assert [k for k, n in Counter(keys).items() if n > 1] == []


def test_every_key_that_the_code_names_has_a_text() -> None:
    folder = Path(module.__file__).parent
    named = set()
    for path in folder.rglob("*.py"):
        named |= set(re.findall(r'\bt\((?:"zh", |lang, )?"([a-z_]+(?:\.[a-z_0-9]+)*)"', path.read_text("utf-8")))
    named |= set(re.findall(r"t\('([\w.]+)'\)", (folder / "templates" / "login.html").read_text("utf-8")))
    assert len(named) > 100
    assert named - set(TEXTS) == set()


def test_a_missing_text_is_an_error_and_a_strange_language_is_not() -> None:
    with pytest.raises(KeyError):
        t("zh", "no.such.key")
    assert as_lang("xx") == "zh"
    assert as_lang(None) == "zh"


def test_series_without_a_name_of_their_own_are_shown_as_they_are() -> None:
    assert series_name("zh", "topic:real_estate") == "房地产"
    assert series_name("en", "all") == "All texts"
    assert series_name("en", "topic:something_new") == "something_new"


def point(i: int, total: int, negative: int) -> Point:
    return Point(i * 600_000, (i + 1) * 600_000, total, negative)


def test_the_share_is_taken_over_an_hour_and_not_at_all_over_too_few_texts() -> None:
    shares, width = rolling_share([point(i, 1, i % 2) for i in range(8)])
    assert width == 3_600_000
    assert shares[:4] == [None] * 4
    assert shares[5] == 50.0
    assert shares[7] == 50.0


def test_a_gap_in_the_points_does_not_stretch_the_hour() -> None:
    shares, _ = rolling_share([point(0, 10, 10), point(100, 10, 0)])
    assert shares == [100.0, 0.0]


def test_a_sparkline_without_anything_in_it_is_drawn() -> None:
    assert len(sparkline([0, 0, 0], [None, None, None], "nothing").children) == 2
    assert len(sparkline([1, 2, 3], [1.0, None, 2.0], "something").children) == 3


def test_holidays_and_working_weekends_are_marked_on_charts() -> None:
    def ms(day: str) -> int:
        return int(datetime.fromisoformat(f"{day}T00:00:00+08:00").timestamp() * 1000)

    v, zone, workdays = View("zh", "light"), ZoneInfo("Asia/Shanghai"), Workdays("CN")
    # National Day 2026 from Thursday 1 to Wednesday 7 October; Saturday 10 is worked.
    shapes = day_shapes(v, (ms("2026-09-28"), ms("2026-10-12")), zone, workdays, PALETTE["light"])
    signs = {s["x0"][5:10]: s["label"]["text"] for s in shapes if "label" in s}
    assert signs == {"10-01": "休", "10-02": "休", "10-05": "休", "10-06": "休", "10-07": "休", "10-10": "班"}
    off = [(s["x0"][5:10], s["x1"][5:10]) for s in shapes if "label" not in s]
    assert off == [("10-01", "10-08"), ("10-11", "10-12")]
    assert day_shapes(v, (0, LONGEST_MS + 1), zone, workdays, PALETTE["light"]) == []
