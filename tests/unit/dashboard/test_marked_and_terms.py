"""What is marked of a search is what the index found; terms of texts, without those that say the same twice."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from barometer.store.search.terms import question
from dashboard.components.marked import SHOWN, excerpt, marked, spots
from dashboard.components.texts import copies_phrase
from monitor.explanation.term_lift import lifted_terms
from monitor.explanation.terms import terms_of


@pytest.mark.parametrize(
    ("text", "typed", "expected"),
    [("恒大地产未能兑付到期债券", "恒大地产 债券", ["恒大地产", "债券"]), ("大地产", "地产", ["地产"]),
     ("Kelso Bank's Bond default; default swaps", '"bond default" swap*', ["Bond default", "swaps"]),
     ("央行下调ＬＰＲ 0.25个百分点", '"下调lpr" 点', ["下调ＬＰＲ", "点"]), ("AT&T and cattle", "at&t", ["AT&T"]),
     ("bonds and bond", "bond", ["bond"]), ("<b>违约</b>", "违约", ["违约"]), ("无关", "违约", [])],
)  # fmt: skip
def test_words_are_marked_where_they_stand(text: str, typed: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in spots(text, question(typed))] == expected


LETTERS = "恒大地产违约 aBc１"


@given(st.text(LETTERS + ",。-"), st.text(LETTERS, min_size=1, max_size=5), st.text(LETTERS + ",。-"))
def test_what_the_index_finds_is_marked(before: str, typed: str, after: str) -> None:
    text = f"{before}，{typed}，{after}"
    assume(typed.strip())
    asked = question(f'"{typed}"')
    assert asked.matches(text)
    found = spots(text, asked)
    assert found
    assert all(0 <= a < b <= len(text) for a, b in found)
    assert all(x[1] < y[0] for x, y in pairwise(found))
    parts: list[Any] = marked(text, found)
    assert "".join(p if isinstance(p, str) else p.children for p in parts) == text


def test_of_a_long_text_the_place_of_the_word_is_shown() -> None:
    text = "甲" * 3000 + "违约" + "乙" * 3000
    begin, end = excerpt(text, spots(text, question("违约")))
    assert "违约" in text[begin:end]
    assert end - begin == SHOWN
    assert excerpt(text, []) == (0, SHOWN)


@pytest.mark.parametrize(
    "text", ['他说："兑付"没有问题，大家放心', "a" * 300, "恒远 地产\n停工", "=1+1 开头是公式的文字"]
)
def test_the_phrase_of_a_text_finds_it(text: str) -> None:
    assert question(copies_phrase(text)).matches(text)


def test_terms_are_words_and_pairs_but_no_numbers_or_empty_words() -> None:
    found = terms_of("恒远地产七个楼盘全面停工，但是我们已经在2026年 missed a coupon")
    assert {"恒远地产", "停工", "楼盘", "coupon"} <= found
    assert not found & {"但是", "我们", "已经", "七个", "2026", "2026年", "停工但是"}


def _texts(*parts: tuple[str, int]) -> list[str]:
    return [f"{text}（{i}）" for i, text in enumerate(t for t, n in parts for _ in range(n))]


def test_what_rose_is_said_once() -> None:
    now = _texts(("恒远地产停工，业主要求退款", 40), ("物业费又涨了", 30))
    before = _texts(("物业费又涨了", 200), ("业主抱怨停车位", 60))
    names = [r.name for r in lifted_terms(now, before)]
    assert "恒远地产" in names or "地产停工" in names
    assert not any(a != b and a in b for a in names for b in names)
    assert "物业费" not in names
    assert lifted_terms(before, before) == ()
