"""What texts call a company that they name by a code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.explanation.company_names import name_of

OTHERS = ["今天大盘跌停一片", "业主维权", "停工", "公告称未能兑付利息"]


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["晨光电子(600001.SH)停牌", "无关"], "晨光电子"),
        (["Kelso Energy (600001) missed a payment"], "Kelso Energy"),
        (["恒远地产停工", "恒远业主维权", "恒远公告称未能兑付", "恒远这次怕是要归零"], "恒远"),
        (["恒远停工", "恒远维权"], None),  # two texts share much by chance
        (["停工", "业主维权", "公告称未能兑付利息"], None),
        (["今天停牌", "停牌，停牌", "为什么停牌"], None),  # what all share need not be a name
        ([], None),
    ],
)
def test_a_name_is_what_its_texts_share_and_others_have_not(texts: list[str], name: str | None) -> None:
    assert name_of("600001.SH", texts, OTHERS) == name


@given(st.text(max_size=12), st.lists(st.text(max_size=60), max_size=6), st.lists(st.text(max_size=60), max_size=4))
def test_anything_may_stand_in_a_stream(code: str, texts: list[str], others: list[str]) -> None:
    found = name_of(code, texts, others)
    assert found is None or any(found in text for text in texts)
