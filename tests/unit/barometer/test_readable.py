"""What people and the network read of a text that came with its markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.readable import around, readable
from barometer.rules import load_rules
from models.text.encoding import prepare
from models.text.language import detect

EMOTICON = (
    '<span class="icon"><img alt=[哭] src="https://p.example/emoticon/others/k_ku-77.png" style="width:1em" /></span>'
)


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("<p>某某公司<b>宣布</b>清算</p><p>债权人到场</p>", "某某公司宣布清算\n债权人到场"),
        ("某某&nbsp;银行&quot;停摆&quot;&#12290;", '某某 银行"停摆"。'),
        (EMOTICON * 2 + "又套牢了", "[哭][哭]又套牢了"),
        ("<a href='https://s.example/?q=1&x=2' data-hide=''>#某某银行#</a> 排长队", "#某某银行# 排长队"),
        ("头条<br/>第二行<br>第三行", "头条\n第二行\n第三行"),
        ("<script>alert('x')</script><style>p{}</style>正文<!-- 注 -->完", "正文完"),
        ("正文完<img src='https://p.example/very/long", "正文完"),
        ("<script>1</script>", "<script>1</script>"),
        ("<P STYLE='color:red'>大写标签</P>", "大写标签"),
    ],
)
def test_markup_is_gone_and_what_it_shows_is_there(raw: str, read: str) -> None:
    assert readable(raw) == read


@pytest.mark.parametrize(
    "text",
    [
        "跌破<5元>",
        "a < b && c > d",
        "若 a<b and c>d 则卖",
        "<某某>发布公告",
        "I <3 this stock",
        "AT&T 与 R&D",
        "x<y",
        "1<<2>>1",
        "<<财经>>",
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert readable(text) == text


@given(st.text(max_size=200))
def test_any_text_can_be_read_and_reading_twice_breaks_nothing(text: str) -> None:
    assert isinstance(readable(text), str)
    if "<" not in text and "&" not in text:
        assert readable(text) == text


@given(st.text(alphabet="甲乙丙丁 ab", max_size=300), st.integers(10, 60))
def test_an_excerpt_holds_its_word_and_no_more_than_its_width(text: str, width: int) -> None:
    said = text + "挤兑" + text
    cut = around(said, ["挤兑"], width)
    assert len(cut) <= width
    assert "挤兑" in cut


def test_language_and_network_read_through_markup() -> None:
    link = '<a href="https://s.example/search?q=stock&from=feed&user=somebody-with-a-name" target="_blank">全文</a>'
    assert detect(prepare(EMOTICON * 3 + "套牢")) == "zh"
    assert prepare(link + "今天又跌停了") == "全文今天又跌停了"


def test_rules_read_through_markup() -> None:
    found = load_rules().match("某某银行出现挤<em>兑</em>", kind="news", observed_at=1_700_000_000_000)
    assert [m.rule.name for m in found] == ["挤兑"]
