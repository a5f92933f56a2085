"""Negatives that are only about falling prices; what rose."""

from __future__ import annotations

import doctest

import pytest

from monitor.explanation import price_moves, term_lift, terms
from monitor.explanation.price_moves import is_price_move


@pytest.mark.parametrize("module", [terms, term_lift, price_moves])
def test_examples_in_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_the_surest_come_first_and_what_fell_is_not_told() -> None:
    found = term_lift.lifted({"a": 30, "b": 20, "c": 4}, {"a": 30, "b": 2, "c": 40}, 40, 100)
    assert [r.name for r in found] == ["a", "b"]
    assert found[0].z > found[1].z


@pytest.mark.parametrize(
    "text",
    [
        "创业板指收跌2%，两市超四千股下跌", "原油主力合约跌停", "又被套了，天天阴跌，这庄家",
        "Gold prices slip as dollar firms",
        "$XYZ down 4% pre-market", "美股三大指数低开",
    ],
)  # fmt: skip
def test_falling_prices(text: str) -> None:
    assert is_price_move(text)


@pytest.mark.parametrize(
    "text",
    [
        "沪指上涨1.2%", "公司债券违约，股价跌停", "董事长被立案调查", "某楼盘停工，业主维权",
        "XYZ misses estimates, stock drops 9%",
        "Bank fined $20 million", "工人跌倒受伤", "",
    ],
)  # fmt: skip
def test_what_is_more_than_a_price_is_none(text: str) -> None:
    assert not is_price_move(text)
