"""Ratios between models: how they are measured, kept, found and chained."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.detection.rebase import Compared, odds_ratios, ratio_between


@pytest.mark.parametrize(
    "measured", [None, "2", True, 0, -1.5, float("inf"), {"topic:macro": 2.0}, {"against": 1, "topic:macro": 2.0}]
)
def test_what_was_not_measured_rebases_nothing(measured: object) -> None:
    assert ratio_between({2: measured}, "topic:market", "news", 1, 2) is None


def test_the_closest_key_holds() -> None:
    ratios = {2: {"against": 1, "*": 1.5, "@comment": 2.0, "topic:market": 3.0, "topic:market@news": 4.0}}
    found = {
        (s, k): ratio_between(ratios, s, k, 1, 2)
        for s in ("topic:market", "topic:macro") for k in ("news", "comment", None)
    }  # fmt: skip
    assert found == {
        ("topic:market", "news"): 4.0, ("topic:market", "comment"): 3.0, ("topic:market", None): 3.0,
        ("topic:macro", "news"): 1.5, ("topic:macro", "comment"): 2.0, ("topic:macro", None): 1.5,
    }  # fmt: skip


CHAIN = {3: {"against": 1, "*": 2.0}, 4: {"against": 3, "*": 1.5}, 5: {"against": 1, "*": 5.0}}


@pytest.mark.parametrize(
    ("before", "now", "wanted"), [(1, 3, 2.0), (1, 4, 3.0), (4, 1, 1 / 3), (4, 5, 5 / 3), (2, 3, None), (3, 3, 1.0)]
)
def test_ratios_multiply_along_the_way(before: int, now: int, wanted: float | None) -> None:
    """4 came after 3 after 1; 5 was tried against 1, so 4 and 5 meet in 1; nobody measured 2."""
    found = ratio_between(CHAIN, "topic:macro", "news", before, now)
    assert found is None if wanted is None else found == pytest.approx(wanted)


def test_measurements_in_a_circle_end() -> None:
    circle = {1: {"against": 2, "*": 2.0}, 2: {"against": 1, "*": 2.0}}
    assert ratio_between(circle, "topic:macro", None, 1, 3) is None
    assert ratio_between(circle, "topic:macro", None, 2, 1) == 0.5


def test_a_series_of_its_own_mind_is_told_and_a_small_one_follows_the_rest() -> None:
    ratios = odds_ratios(
        {
            "*": Compared(3_000, 600, 3_000, 1_000),
            "topic:market": Compared(1_000, 200, 1_000, 200),
            "topic:fx_crypto": Compared(4, 0, 4, 3),
        }
    )
    assert ratios["*"] == pytest.approx(2.0, rel=0.01)
    assert 1.0 < ratios["topic:market"] < 1.2
    assert ratios["topic:fx_crypto"] == pytest.approx(2.0, rel=0.12)


@given(
    st.dictionaries(
        st.sampled_from(["topic:a", "topic:b@news"]),
        st.tuples(*[st.integers(0, 5_000)] * 4).map(lambda t: Compared(max(t[:2]), min(t[:2]), max(t[2:]), min(t[2:]))),
    )
)
def test_any_counts_give_ratios_that_the_detector_takes(series: dict[str, Compared]) -> None:
    for value in odds_ratios({"*": Compared(0, 0, 0, 0), **series}).values():
        assert 0 < value < math.inf
