"""A result never depends on its batch: texts of several windows, with titles, in mixed languages, in any order.

``test_scorer.py`` holds this for short texts of the model as it ships; here the model reads long texts in four windows.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.folder import ModelFolder
from models.scoring.interface import ScoredText
from models.scoring.scorer import Scorer
from tests.unit.models.test_scorer import WORDS, close

Item = tuple[str, str | None, str | None, str | None]

SENTENCES = [
    "公司公告称，控股股东拟减持不超过百分之三的股份。", "Shares of the lender fell after it warned of loan losses. ",
    "港股午后拉升，科技股领涨。", "net profit 同比下降 12%，毛利率 margin 收窄 ", "$ACME to the moon 🚀🚀 ",
    "监管部门已介入调查，投资者可依法索赔。", "No dividend will be paid this year. ", "（记者 王某）",
    "ＣＰＩ　同比上涨０．３％。",
]  # fmt: skip
BODIES = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(" ".join),
    st.tuples(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=6), st.sampled_from([1, 2, 5, 12, 30])).map(
        lambda x: "".join(x[0]) * x[1]
    ),
    st.text(max_size=80),
)
ITEMS: st.SearchStrategy[Item] = st.tuples(
    BODIES, st.sampled_from(["news", "comment", "unknown", None]), st.sampled_from(["zh", "en", "zh-CN", "ja", None]),
    st.one_of(st.none(), st.just(""), st.sampled_from(SENTENCES)),
)  # fmt: skip


@pytest.fixture(scope="module")
def scorer(default_scorer: Scorer) -> Scorer:
    folder: ModelFolder = replace(default_scorer.folder, windows=4)
    return Scorer(folder, default_scorer.backend, cache_size=0)


def scored(scorer: Scorer, items: list[Item]) -> list[ScoredText]:
    texts, kinds, langs, titles = (list(x) for x in zip(*items, strict=True))
    return scorer.score(texts, kinds, langs, titles)  # type: ignore[arg-type]


@given(st.lists(ITEMS, min_size=1, max_size=10), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_windows_titles_and_languages_in_any_order(scorer: Scorer, items: list[Item], rng: random.Random) -> None:
    together = scored(scorer, items)
    order = list(range(len(items)))
    rng.shuffle(order)
    mixed = scored(scorer, [items[i] for i in order])
    assert all(close(together[i], b) for i, b in zip(order, mixed, strict=True))
    assert all(close(a, scored(scorer, [item])[0]) for a, item in zip(together, items, strict=True))
    doubled = scored(scorer, [*items, *items])
    assert all(close(a, b) for a, b in zip([*together, *together], doubled, strict=True))


@given(st.lists(ITEMS, min_size=2, max_size=6), st.integers(64, 3000))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_however_the_batches_are_cut(scorer: Scorer, items: list[Item], budget: int) -> None:
    whole = scored(scorer, items)
    usual = scorer.backend.token_budget  # type: ignore[attr-defined]
    try:
        scorer.backend.token_budget = budget  # type: ignore[attr-defined]
        cut = scored(scorer, items)
    finally:
        scorer.backend.token_budget = usual  # type: ignore[attr-defined]
    assert all(close(a, b) for a, b in zip(whole, cut, strict=True))


def test_a_long_text_is_read_beyond_its_first_window(scorer: Scorer, default_scorer: Scorer) -> None:
    """Else the properties above would hold of nothing but first windows."""
    start = "公司今日召开例行会议，讨论日常事务。" * 24
    ends = [start + "公司债券违约，无法兑付，股价跌停，投资者报案。" * 6, start + "会议按时结束。" * 20]
    one, four = (s.score(ends, ["news"] * 2) for s in (replaced(default_scorer, 1), scorer))
    assert close(one[0], one[1])
    assert not close(four[0], four[1])


def replaced(scorer: Scorer, windows: int) -> Scorer:
    return Scorer(replace(scorer.folder, windows=windows), scorer.backend, cache_size=0)
