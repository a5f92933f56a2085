"""Hours of the week: across midnight, on working days and days off with 调休, where clocks change."""

from __future__ import annotations

import doctest
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer import workdays
from barometer.hours import HoursError, Window, end_of_hours
from barometer.settings import load_settings
from barometer.workdays import Sessions, Workdays

CHINA = ZoneInfo("Asia/Shanghai")
CALENDAR = Workdays("CN")


def ms(text: str, zone: ZoneInfo = CHINA) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def until(text: str, *windows: str, zone: ZoneInfo = CHINA, calendar: Workdays = CALENDAR) -> str | None:
    end = end_of_hours([Window.parse(w) for w in windows], ms(text, zone), zone, calendar)
    return None if end is None else datetime.fromtimestamp(end / 1000, zone).strftime("%Y-%m-%d %H:%M")


def test_a_night_ends_on_the_next_day() -> None:
    assert until("2026-11-18 21:59", "22:00-08:00") is None
    assert until("2026-11-18 22:00", "22:00-08:00") == "2026-11-19 08:00"
    assert until("2026-11-19 07:59", "22:00-08:00") == "2026-11-19 08:00"
    assert until("2026-11-19 08:00", "22:00-08:00") is None


def test_windows_that_follow_on_each_other_are_one() -> None:
    quiet = ("all 22:00-08:00", "day_off 00:00-24:00")
    assert until("2026-11-20 23:00", *quiet) == "2026-11-23 08:00"  # Friday night to Monday morning
    assert until("2026-11-18 23:00", *quiet) == "2026-11-19 08:00"
    assert until("2026-11-18 12:00", *quiet) is None


def test_holidays_are_days_off_and_their_working_weekends_are_not() -> None:
    off = "day_off 00:00-24:00"
    assert until("2026-10-01 00:00", off) == "2026-10-08 00:00"  # National Day
    assert until("2026-10-10 12:00", off) is None  # a Saturday that makes up for it
    assert until("2026-02-14 12:00", off) is None
    assert until("2026-02-14 12:00", "workday 09:00-18:00") == "2026-02-14 18:00"
    assert until("2026-02-17 12:00", "workday 09:00-18:00") is None  # Spring Festival
    assert until("2026-02-14 12:00", "sat 00:00-24:00") == "2026-02-15 00:00"  # the name of a day is a name


def test_ones_own_days_overrule_the_calendar() -> None:
    own = Workdays("CN", ["2026-10-03"], ["2026-11-18"])
    assert own.is_workday(date(2026, 10, 3))
    assert not own.is_workday(date(2026, 11, 18))
    none = Workdays("")
    assert none.is_workday(date(2026, 10, 1))
    assert not none.is_workday(date(2026, 10, 10))


def test_eight_is_eight_where_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert until("2026-03-28 23:00", "22:00-08:00", zone=berlin) == "2026-03-29 08:00"
    assert ms("2026-03-29 08:00", berlin) - ms("2026-03-28 23:00", berlin) == 8 * 3_600_000


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("22:00", "write like"), ("weekday 1:00-2:00", "days 'weekday'"), ("25:00-26:00", "at most 24:00"),
        ("1:60-2:00", "at most 24:00"), ("24:00-8:00", "next day"),
        ({"from": "1:00"}, "expected days, from and to"), (7, "expected"),
    ],
)  # fmt: skip
def test_mistakes_are_named(value: object, says: str) -> None:
    with pytest.raises(HoursError, match=says):
        Window.of(value)


def test_what_yaml_makes_of_hours_is_understood() -> None:
    assert Window.of({"days": ["sat", "sun"], "from": 1320, "to": "6:00"}) == Window(("sat", "sun"), 1320, 360)


minutes = st.integers(0, 1439)


windows_ = st.builds(Window, st.sampled_from([("all",), ("workday",), ("day_off",), ("mon", "sat")]), minutes, minutes)


@given(st.lists(windows_, max_size=3), st.integers(0, 60 * 24 * 60))
def test_the_end_is_the_first_time_that_is_outside(windows: list[Window], minute: int) -> None:
    start = ms("2026-09-20 00:00") + minute * 60_000
    end = end_of_hours(windows, start, CHINA, CALENDAR)
    if end is None:
        assert not any(_inside(w, start) for w in windows)
        return
    assert end > start
    for at in range(start, min(end, start + 3 * 86_400_000), 7 * 60_000):
        assert any(_inside(w, at) for w in windows)
    if end < start + 40 * 86_400_000:
        assert not any(_inside(w, end) for w in windows)


def _inside(w: Window, at: int) -> bool:
    """By going through the minutes of a day and of the night before."""
    local = datetime.fromtimestamp(at / 1000, CHINA).replace(tzinfo=None)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    now = (local - midnight).total_seconds() / 60
    today = w.fits(midnight, CALENDAR)
    if w.begin < w.end:
        return today and w.begin <= now < w.end
    return (today and now >= w.begin) or (w.fits(midnight - timedelta(days=1), CALENDAR) and now < w.end)


def test_an_exchange_is_closed_on_its_holidays_and_on_working_weekends() -> None:
    assert doctest.testmod(workdays).failed == 0
    settings = load_settings(exchange="XNYS", extra_days_off=["2026-11-30"])
    closed = Sessions.of(settings).is_closed
    assert [closed(date(2026, 11, d)) for d in (25, 26, 28, 30)] == [False, True, True, True]
    plain = Sessions("").is_closed
    assert [plain(date(2026, 10, d)) for d in (1, 10)] == [False, True]


def test_dates_of_the_settings_are_checked() -> None:
    assert load_settings(extra_workdays=[date(2027, 2, 6)]).extra_workdays == ["2027-02-06"]
    with pytest.raises(Exception, match="no date"):
        load_settings(extra_days_off=["soon"])
    with pytest.raises(Exception, match="no calendar"):
        load_settings(holiday_country="XX")
    with pytest.raises(Exception, match="use a code like XSHG"):
        load_settings(exchange="CN")
    with pytest.raises(Exception, match="step 'think'"):
        load_settings(level_steps={"major": {"think": 1}})
    assert load_settings(level_steps={"ordinary": {}}).level_steps["grave"]["assess"] == 30
