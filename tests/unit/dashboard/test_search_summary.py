"""The bars of a search hold every match once, whatever its times."""

from __future__ import annotations

from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from dashboard.services.search_summary import BARS, bars

TIMES = st.integers(946_684_800_000, 4_102_444_800_000)
ZONES = st.sampled_from(["Asia/Shanghai", "UTC", "America/New_York", "Asia/Kathmandu"]).map(ZoneInfo)


@given(st.lists(TIMES, min_size=1, max_size=60), ZONES)
def test_every_match_is_in_one_bar(times: list[int], zone: ZoneInfo) -> None:
    found = bars([(at, i) for i, at in enumerate(times)], zone)
    assert len(found) <= BARS + 2
    assert all(a.end == b.begin for a, b in pairwise(found)), "no gap, no overlap"
    assert len({b.end - b.begin for b in found}) == 1
    for b in found:
        assert b.count == sum(b.begin <= at < b.end for at in times)
    assert sum(b.count for b in found) == len(times)
    assert found[0].count
    assert found[-1].count


def test_days_begin_at_midnight_of_the_zone() -> None:
    day = 86_400_000
    begin = 1_795_478_400_000  # 2026-11-24 08:00 in Shanghai
    found = bars([(begin + i * day, i) for i in range(30)], ZoneInfo("Asia/Shanghai"))
    assert {b.end - b.begin for b in found} == {day}
    assert found[0].begin == begin - 8 * 3_600_000


def test_nothing_found_has_no_bars() -> None:
    assert bars([], ZoneInfo("UTC")) == []
