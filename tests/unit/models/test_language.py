"""Which language a text is in; the texts are our own."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.language import detect, normalise_code


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("这只票明天肯定低开", "zh"),
        ("騰訊第三季收入勝預期", "zh"),
        ("腾讯 Q3 revenue beat", "zh"),
        ("吉野家の牛丼降价了，门店排队", "zh"),
        ("涨", "zh"),
        ("Shares of the retailer fell 8% after the warning", "en"),
        ("$TSLA", "en"),
        ("$NVDA $AMD 🚀🚀", "en"),
        ("#bitcoin", "en"),
        ("AAPL calls printing https://t.co/x1y2", "en"),
        ("lol", "en"),
        ("Nestlé raises its outlook for the year", "en"),
        ("Fresenius Kabi Introduces Generic Contrast Media", "en"),
        ("Tencent (腾讯) said that its revenue rose by 8% in the last quarter", "en"),
        ("株価が大きく下がった", "ja"),
        ("東京市場は続落、円高を嫌気", "ja"),
        ("코스피 지수가 하락했다", "ko"),
        ("Акции банка упали", "ru"),
        ("تراجعت الأسهم اليوم", "ar"),
        ("ตลาดหุ้นร่วง", "th"),
        ("La bolsa española cae con fuerza por el miedo a la recesión", "es"),
        ("Die Aktie bricht nach der Gewinnwarnung deutlich ein", "de"),
        ("Le titre chute lourdement après les résultats du trimestre", "fr"),
        ("666", "und"),
        ("……！！", "und"),
        ("😂😂", "und"),
        ("", "und"),
        ("https://t.co/abc", "und"),
    ],
)
def test_language(text: str, lang: str) -> None:
    assert detect(text) == lang


@given(st.text(max_size=80))
def test_any_text_has_a_code(text: str) -> None:
    code = detect(text)
    assert code == "und" or len(code) == 2


@pytest.mark.parametrize(
    ("given_code", "code"),
    [("zh-CN", "zh"), ("en_US", "en"), ("EN", "en"), ("zh-Hant-TW", "zh"), ("yue", "zh"), ("ja", "ja"),
     (None, None), ("", None), ("und", None), ("qme", None), ("null", None), ("zxx", None),
     ("Chinese", "zh"), ("中文", "zh"), ("cn", "zh"), ("chs", "zh"), ("zh_CN.UTF-8", "zh"), ("zh-Hant-TW", "zh"),
     ("english", "en"), ("jp", "ja"), ("in", "id"), ("Klingon", None)],
)  # fmt: skip
def test_codes(given_code: str | None, code: str | None) -> None:
    assert normalise_code(given_code) == code


def test_fast_enough_for_the_hot_path() -> None:
    texts = [
        "今天大盘又跳水，心态崩了",
        "$ACME the shares fell 4% on weak sales, more pain to come",
        "央行开展逆回购操作",
    ] * 500
    detect("Fresenius Kabi Introduces")  # loads the model
    began = time.process_time()
    for text in texts:
        detect(text)
    assert len(texts) / (time.process_time() - began) > 10_000  # 20,000 and more on an idle core
