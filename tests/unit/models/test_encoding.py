"""What the network reads, and that shapes are a function of the text alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.text.encoding import batches, pad, padded_length, prepare
from models.text.traditional import simplified


def test_title_and_text_become_one_line() -> None:
    assert prepare("正文 \n 第二行", "标题") == "标题：正文 第二行"
    assert prepare("标题：正文", "标题") == "标题：正文"
    assert prepare("", "标题") == "标题"
    assert prepare("  \n ", "  ") == ""
    assert prepare("看 https://t.co/abc123 吧") == "看 http 吧"


@given(st.lists(st.integers(2, 200), max_size=120), st.integers(8, 4096))
def test_batches_hold_every_text_once_at_one_length(lengths: list[int], budget: int) -> None:
    made = batches(lengths, budget)
    assert sorted(i for b in made for i in b) == list(range(len(lengths)))
    for batch in made:
        (width,) = {padded_length(lengths[i]) for i in batch}
        assert len(batch) == 1 or len(batch) * width <= budget


@given(st.integers(1, 512))
def test_padded_length_holds_the_text(tokens: int) -> None:
    assert tokens <= padded_length(tokens) < tokens + 64


def test_pad() -> None:
    assert pad([[5, 6], [7, 8, 9]], 1).tolist() == [[5, 6, 1, 1, 1, 1, 1, 1], [7, 8, 9, 1, 1, 1, 1, 1]]


def test_traditional_characters_read_as_simplified_ones() -> None:
    assert prepare("債務違約，投資者報案", "晨光電子") == "晨光电子：债务违约，投资者报案"
    assert prepare("乾照光电著名的著作") == "乾照光电著名的著作", "in use in simplified texts"
    assert prepare("客服沒有答覆，全軍覆沒，看著股價下跌") == "客服没有答复，全军覆没，看着股价下跌", "by phrases"
    assert prepare("日本の株価") == "日本の株価"


@given(st.text(st.characters(min_codepoint=0x3000, max_codepoint=0xFFFF, exclude_categories=["Cs"])))
def test_simplifying_keeps_every_place_and_is_done_once(text: str) -> None:
    once = simplified(text)
    assert len(once) == len(text)
    assert simplified(once) == once
