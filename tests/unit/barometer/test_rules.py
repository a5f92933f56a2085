"""Red lines: what matches, what is denied, old or refuted, and files that are wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.errors import SettingsError
from barometer.rules import Company, RuleSet, load_rules

NOW = 1_767_225_600_000  # 2026-01-01
RULES = load_rules()


def names(
    text: str, kind: str = "news", source: str | None = "新华社", rules: RuleSet = RULES, **more: object
) -> list[str]:
    found = rules.match(text, kind=kind, observed_at=NOW, source=source, **more)  # type: ignore[arg-type]
    return [m.rule.name for m in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("某村镇银行出现挤兑，储户连夜排队取钱", ["挤兑"]),
        ("恒信地产公告，未能兑付到期债券本息", ["违约兑付"]),
        ("平台实控人失联，办公室人去楼空", ["跑路失联"]),
        ("公司因涉嫌信披违规被立案调查", ["立案调查"]),
        ("储户在支行门口拉横幅，集体维权", ["涉众维权"]),
        ("Depositors fear a bank run after the lender halted withdrawals", ["挤兑"]),
        ("The builder missed a coupon payment on Friday", ["违约兑付"]),
        ("ＢＡＮＫ ＲＵＮ at the lender", ["挤兑"]),
        ("该行经营一切正常，今日股价平稳", []),
        ("The rabbit absconded from the garden", []),
        ("The bank runs a branch in Leeds", []),
    ],
)
def test_one_text_suffices(text: str, expected: list[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    "text",
    ["该行没有出现挤兑，网点秩序正常", "公司否认债券违约", "监管部门要求防范挤兑风险", "网传挤兑系谣言，已报警",
     "银行举行挤兑应急演练", "2008年的挤兑至今让人记忆犹新", "The bank denied that it had halted withdrawals",
     "There was no bank run at the lender",
     "In 1929 a bank run closed hundreds of lenders", "A new movie tells of a bank run"],
)  # fmt: skip
def test_denied_refuted_rehearsed_or_long_past_is_no_match(text: str) -> None:
    assert names(text) == []


def test_a_denial_covers_its_own_sentence_only() -> None:
    assert names("公司否认债券违约。但储户已在门口拉横幅，集体维权。") == ["涉众维权"]
    assert names("2008年挤兑重演？今日该行门口出现挤兑。") == ["挤兑"]
    assert names("2025年12月31日该行出现挤兑") == ["挤兑"]


def test_tiers_of_sources() -> None:
    text = "恒信地产未能兑付到期债券"
    assert names(text, source="财新网") == ["违约兑付"]
    assert names(text, source="某论坛") == []
    assert names(text, source=None) == []
    assert RULES.tier("Reuters UK") == 1
    assert names("储户排队取钱", source=None, kind="comment") == ["挤兑"], "this one asks for no tier"


def test_watched_companies_by_words_and_symbols() -> None:
    company = Company(name="恒信地产", words=("HX Estates",), symbols=("600001",))
    rules = RuleSet(**RULES.model_dump(by_alias=True) | {"companies": [company.model_dump()]})
    text = "听说要爆雷了，快跑"
    assert names(text, "comment", None, rules) == []
    found = rules.match(text, kind="comment", observed_at=NOW, symbols=["600001"])
    assert [(m.rule.name, m.company, m.series) for m in found] == [("违约兑付传闻", "恒信地产", "watch:恒信地产")]
    assert names("HX Estates is going under", "comment", None, rules) == ["违约兑付传闻"]
    assert RULES.match("银行挤兑", kind="news", observed_at=NOW)[0].series == "rule:挤兑"


def test_the_title_is_read_too() -> None:
    assert names("详情见正文", title="多地出现挤兑") == ["挤兑"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("rules: [{name: a}]", r"rules\.0\.title"),
     ("rules: [{name: 'a:b', title: {zh: x, en: x}, any: [x]}]", r"rules\.0\.name"),
     ("{colour: red, rules: []}", "colour"), ("rules: [", "cannot read"),
     ("rules: [{name: a, title: {zh: x, en: x}, any: [x]}, {name: a, title: {zh: x, en: x}, any: [y]}]", "two rules"),
     ("{sources: {4: [x]}, rules: []}", "sources")],
)  # fmt: skip
def test_a_wrong_file_is_named_with_the_field(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(content, "utf-8")
    with pytest.raises(SettingsError, match=rf"rules_file: .*{said}"):
        load_rules(file)
    with pytest.raises(SettingsError, match="cannot read"):
        load_rules(tmp_path / "none.yaml")


def test_rules_are_switched_off_by_saying_so_only(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    for content in ("", "# nothing yet", "companies: [{name: 甲}]", "- 挤兑"):
        file.write_text(content, "utf-8")
        with pytest.raises(SettingsError, match="all red lines would be off"):
            load_rules(file)
    file.write_text("rules: []", "utf-8")
    assert load_rules(file).match("挤兑", kind="news", observed_at=NOW) == []


def test_a_file_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: " + "[" * 5_000, "utf-8")
    with pytest.raises(SettingsError, match="rules_file"):
        load_rules(file)


@given(st.text(max_size=300), st.sampled_from(["news", "comment"]))
def test_any_text_can_be_asked(text: str, kind: str) -> None:
    for match in RULES.match(text, kind=kind, observed_at=NOW):
        assert match.words


def test_texts_that_match_nothing_cost_little() -> None:
    text = "今日大盘震荡，成交量略有放大，板块轮动加快，投资者观望情绪较浓" * 3
    began = time.process_time()
    for _ in range(2000):
        RULES.match(text, kind="comment", observed_at=NOW)
    assert (time.process_time() - began) / 2000 < 100e-6
