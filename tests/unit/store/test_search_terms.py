"""Terms and questions, checked on SQLite's own index: what stands in a text is found by any stretch of it."""

from __future__ import annotations

import re
import sqlite3

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from barometer.store.search.terms import SearchError, question, terms, tsvector


def found(texts: list[str], typed: str) -> list[int]:
    """Which of the texts SQLite's index finds."""
    c = sqlite3.connect(":memory:")
    c.execute("CREATE VIRTUAL TABLE s USING fts5(terms, content='', tokenize=\"unicode61 remove_diacritics 0\")")
    c.executemany(
        "INSERT INTO s(rowid, terms) VALUES (?, ?)", [(i, " ".join(terms(t))) for i, t in enumerate(texts, 1)]
    )
    return [
        r[0] - 1
        for r in c.execute("SELECT rowid FROM s WHERE s MATCH ? ORDER BY rowid", [question(typed).for_sqlite()])
    ]


TEXTS = [
    "恒大地产未能兑付到期债券", "大地震动后地产股走低", "Kelso Bank's bond default deepens; default swaps jump",
    "恒大汽车澄清：并未违约", "AT&T raised its outlook", "央行下调LPR 0.25个百分点", "The bond market was calm", "跌",
]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("恒大", [0, 3]), ("大地", [0, 1]), ("恒大地产", [0]), ("地产 恒大", [0]),
     ("恒", [0, 3]), ("跌", [7]), ("券", [0]),
     ("恒大 -澄清", [0]), ("bond", [2, 6]), ('"bond default"', [2]), ('"default bond"', []), ("defau*", [2]),
     ("DEFAULT", [2]), ("at&t", [4]), ("lpr", [5]), ("ＬＰＲ", [5]), ('"下调LPR"', [5]), ("恒大 bond", []),
     ("0.25", [5]), ('"bond', [2, 6])],
)  # fmt: skip
def test_what_is_found(typed: str, expected: list[int]) -> None:
    assert found(TEXTS, typed) == expected


@pytest.mark.parametrize("typed", ["", "   ", "-恒大", '""', "!!!", " ".join("abcdefghijklmnopqrstuvw")])
def test_what_cannot_be_asked_says_why(typed: str) -> None:
    with pytest.raises(SearchError, match="search:"):
        question(typed)


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("恒大地产违约跌涨abcAB 12，。-*\"'"), min_size=1, max_size=30), st.data())
def test_any_stretch_of_a_chinese_run_finds_its_text(text: str, data: st.DataObject) -> None:
    runs = re.findall("[恒大地产违约跌涨]+", text)
    assume(runs)
    run = data.draw(st.sampled_from(runs))
    a = data.draw(st.integers(0, len(run) - 1))
    b = data.draw(st.integers(a + 1, len(run)))
    assert found([text, "别的文字"], run[a:b]) == [0]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_nothing_typed_is_syntax(typed: str) -> None:
    try:
        found(TEXTS, typed)
    except SearchError:
        pass


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(["恒大", "地产", "bond", "de*", '"bond', 'default"', "-跌", "大", "a", "0.25", "LPR"]),
        max_size=4,
    )
)
def test_a_text_that_is_not_indexed_yet_is_found_alike(words: list[str]) -> None:
    try:
        asked = question(" ".join(words))
    except SearchError:
        return
    assert [i for i, text in enumerate(TEXTS) if asked.matches(text)] == found(TEXTS, " ".join(words))


@given(st.text(max_size=400))
def test_a_tsvector_literal_quotes_letters_and_digits_only(text: str) -> None:
    made = tsvector(text)
    for quoted in re.findall(r"'([^']*)':[\d,]+", made):
        assert quoted in terms(text)
        assert not re.search(r"[\s'\\:]", quoted)
    assert len(re.findall(r"'[^']*':", made)) == len(set(terms(text)))
