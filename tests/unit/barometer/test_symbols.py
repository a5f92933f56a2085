"""One code, many spellings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.rules import Company, RuleSet
from barometer.symbols import canonical, symbols_in

SPELLINGS = [
    "600519",
    "600519.SH",
    "600519.SS",
    "SH600519",
    "sh600519",
    "sh.600519",
    "600519.XSHG",
    "SSE:600519",
    "６００５１９",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("listed", SPELLINGS)
def test_a_watched_company_is_known_by_every_spelling_of_its_code(spelling: str, listed: str) -> None:
    rules = RuleSet(companies=(Company(name="某某酒业", symbols=(listed,)),))
    assert rules.companies_of("没有提名字", [spelling]) == {"某某酒业"}


@pytest.mark.parametrize(
    ("spellings", "one"),
    [
        (["000001", "000001.SZ", "SZ000001", "sz.000001", "000001.XSHE"], "000001.SZ"),
        (["300750", "300750.sz"], "300750.SZ"),
        (["000001.SH", "sh000001"], "000001.SH"),
        (["0700.HK", "700.hk", "00700.HK", "HK.00700", "hk00700", "00700.XHKG"], "00700.HK"),
        (["830799", "830799.BJ", "bj830799"], "830799.BJ"),
        (["920002"], "920002.BJ"),
        (["900901"], "900901.SH"),
        (["AAPL", "aapl", "$AAPL"], "AAPL"),
        (["12345", "SH12"], None),
    ],
)
def test_spellings(spellings: list[str], one: str | None) -> None:
    assert {canonical(s) for s in spellings} == ({one} if one else {s.upper() for s in spellings})


@given(st.text(max_size=12))
def test_the_one_spelling_is_its_own(symbol: str) -> None:
    assert canonical(canonical(symbol)) == canonical(symbol)


def test_codes_in_a_text() -> None:
    assert symbols_in("$某某酒业(SH600519)$ 与某某银行（000001）、腾某 0700.HK 齐跌，共 600519 手") == {
        "600519.SH", "000001.SZ", "00700.HK",
    }  # fmt: skip
    assert symbols_in("电话 13800600519，编号 SH600519X，2024.05") == set()
