"""One matter or two: by whom a text names, and by the text where it names nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.matters import Matter, is_known, learnt, named, same_name

RUN = ["挤兑", "取不出钱", "取款"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("甲示例银行出现挤兑，储户取不出钱", ("甲示例银行",)),
        ("昨天下午有储户称甲示例银行取不出钱", ("甲示例银行",)),
        ("继甲示例银行之后，乙示例银行也出现挤兑", ("甲示例银行", "乙示例银行")),
        ("甲示例银行一切如常。乙示例农商行出现挤兑。", ("乙示例农商行",)),
        ("中国例建银行无法取款", ("中国例建银行",)),
        ("某村镇银行出现挤兑，储户连夜排队", ()),
        ("今天又取不出钱了", ()),
        ("南方一家商业银行挤兑", ()),
        ("Depositors cannot withdraw at First Harbor Bank", ("First Harbor Bank",)),
    ],
)
def test_whom_a_text_names(text: str, names: tuple[str, ...]) -> None:
    assert named(text, RUN) == names


def test_the_title_names_whom_the_text_does_not() -> None:
    assert named("储户连夜排队，出现挤兑。", RUN, "甲示例银行门前") == ("甲示例银行",)


def test_short_and_long_names_are_one() -> None:
    assert same_name("例建银行", "中国例建银行")
    assert not same_name("南例银行", "北例银行")


def matter(text: str, *, told_apart: bool = True) -> Matter:
    return Matter(named(text, RUN), (text,), told_apart)


@pytest.mark.parametrize(
    ("first", "then", "known"),
    [
        ("甲示例银行出现挤兑", "网友说甲示例银行还是取不出钱，排了一夜", True),
        ("甲示例银行出现挤兑", "乙示例银行出现挤兑", False),
        ("甲示例银行出现挤兑", "继甲示例银行之后，乙示例银行也出现挤兑", False),
        ("储户连夜排队，出现挤兑，警方到场维持秩序", "快讯：储户连夜排队，出现挤兑，警方到场维持秩序！", True),
        ("储户连夜排队，出现挤兑，警方到场维持秩序", "另一座城市的网点也被围，取不出钱", False),
    ],
)
def test_the_same_matter_or_another(first: str, then: str, known: bool) -> None:
    assert is_known(matter(then), learnt([], matter(first))) is known


def test_a_comment_that_names_nobody_is_no_matter_of_its_own() -> None:
    said = matter("我也取不出钱了", told_apart=False)
    assert is_known(said, learnt([], matter("甲示例银行出现挤兑")))
    assert not is_known(said, [])


@given(st.text(max_size=80))
def test_what_was_learnt_is_known(text: str) -> None:
    m = matter(text)
    assert is_known(m, learnt([], m)) or not (m.names or m.texts)
