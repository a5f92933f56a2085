"""Cutting time: every time is in exactly one bucket, whatever the zone does to its clocks."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.buckets import Buckets

TIMES = st.integers(946_684_800_000, 4_102_444_800_000)
WIDTHS = st.sampled_from([10, 60, 600, 3600, 86_400])
ZONES = st.sampled_from(["Asia/Shanghai", "America/New_York", "UTC", "Australia/Lord_Howe", "Asia/Kolkata"])


@given(TIMES, WIDTHS, ZONES)
def test_buckets_tile_time(time_ms: int, width: int, zone: str) -> None:
    b = Buckets(width, ZoneInfo(zone))
    start = b.start_of(time_ms)
    end = b.end_of(start)
    assert start <= time_ms < end
    assert b.start_of(start) == start
    assert b.start_of(end - 1) == start
    assert b.start_of(end) == end


@given(st.lists(TIMES, min_size=2, max_size=30), ZONES)
def test_what_was_asked_before_does_not_matter(times: list[int], zone: str) -> None:
    used = Buckets(86_400, ZoneInfo(zone))
    for t in times:
        assert used.start_of(t) == Buckets(86_400, ZoneInfo(zone)).start_of(t)


def test_a_day_is_cut_at_midnight_of_the_zone() -> None:
    b = Buckets(86_400, ZoneInfo("Asia/Shanghai"))
    noon = int(datetime(2024, 9, 30, 4, tzinfo=UTC).timestamp() * 1000)
    assert datetime.fromtimestamp(b.start_of(noon) / 1000, UTC).isoformat() == "2024-09-29T16:00:00+00:00"


@pytest.mark.parametrize(("day", "hours"), [((2024, 3, 10), 23), ((2024, 11, 3), 25), ((2024, 7, 1), 24)])
def test_days_are_as_long_as_they_are(day: tuple[int, int, int], hours: int) -> None:
    zone = ZoneInfo("America/New_York")
    b = Buckets(86_400, zone)
    start = b.start_of(int(datetime(*day, 12, tzinfo=zone).timestamp() * 1000))
    assert b.end_of(start) - start == hours * 3_600_000
