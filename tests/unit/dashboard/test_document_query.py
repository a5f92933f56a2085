"""Times and axes as people write and read them: what an address asks for, and the marks of an axis."""

from __future__ import annotations

import doctest
from zoneinfo import ZoneInfo

import pytest

import dashboard.components.series_chart as chart
from dashboard.services import document_query
from dashboard.services.document_query import NotSought, time_words, wanted

ZONE = ZoneInfo("Asia/Shanghai")
NOON = 1_795_492_800_000  # 2026-11-24 12:00 in Shanghai


@pytest.mark.parametrize("module", [document_query, chart])
def test_examples_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "ms"),
    [("2026-11-24 12:00", NOON), ("2026-11-24T12:00:00", NOON), ("2026-11-24 04:00+00:00", NOON), (str(NOON), NOON),
     ("2026-11-24", NOON - 12 * 3_600_000)],
)  # fmt: skip
def test_times_of_an_address(typed: str, ms: int) -> None:
    assert wanted({"from": typed}, 0, ZONE).from_ms == ms


def test_what_is_shown_of_a_time_is_understood_again() -> None:
    words = time_words(str(NOON + 5_000), ZONE)
    assert words == "2026-11-24 12:00:05"
    assert wanted({"to": words}, 0, ZONE).to_ms == NOON + 5_000
    assert time_words("2026-11-24", ZONE) == "2026-11-24"


@pytest.mark.parametrize("typed", ["yesterday", "2026-13-01", "12:00", "2026-11-24 25:00", "9" * 30])
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(NotSought, match="from:"):
        wanted({"from": typed}, 0, ZONE)
