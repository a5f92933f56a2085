"""Times and counts as people and programs write them; what is not sure is refused with its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.counts import read_count
from barometer.errors import BarometerError
from barometer.times import NoTime, check_format, is_clock, is_day, parse_rfc3339, parse_time, read_time

ZONE = ZoneInfo("Asia/Shanghai")
MOMENTS = st.datetimes(datetime(2001, 9, 10), datetime(2099, 1, 1)).map(lambda d: d.replace(microsecond=0, tzinfo=ZONE))


def local(text: Any, **kw: Any) -> str:
    return datetime.fromtimestamp(read_time(text, ZONE, **kw) / 1000, ZONE).isoformat()[:-6]


@pytest.mark.parametrize(
    "text",
    [
        "2023/4/7 8:05",
        "2023-4-7 08:05:00",
        "2023.04.07 08:05",
        "２０２３-０４-０７ ０８:０５",
        "2023年4月7日 8点5分",
        "2023年04月07日08:05",
        "2023年4月7日 上午8时05分00秒",
        "2023年4月7日（周五）上午8:05",
        "2023年4月7号 早上8点05",
        "2023-04-07T08:05:00+0800",
        "2023-04-07T00:05:00Z",
        "2023-04-07 00:05:00 UTC",
        "2023-04-07 08:05:00 GMT+8",
        "20230407 08:05",
        "20230407T080500",
        "20230407T000500Z",
        "20230407080500",
        "202304070805",
        "20230407080500000",
        "1680825900",
        "1680825900000",
        "1680825900000000",
        "1680825900000000000",
        "1680825900.0",
        1680825900,
        1680825900.0,
        1680825900000,
        "1680825900000.0",
        "Fri, 07 Apr 2023 00:05:00 GMT",
        "Fri, 7 Apr 2023 08:05:00 +0800",
        "7 Apr 2023 08:05",
        "07-Apr-2023 08:05",
        "Fri Apr 07 08:05:00 +0800 2023",
        "Fri Apr  7 08:05:00 2023",
        "Apr 7, 2023 8:05 AM",
        "April 7th, 2023, 8:05 a.m.",
        "Fri Apr 07 2023 08:05:00 GMT+0800 (中国标准时间)",
        "2023-04-07 08:05 北京时间",
        "'2023-04-07 08:05'",
        " 2023-04-07  08:05 ",
        "2023-04-07 08:05:00,000",
        "2023-04-07 0805",
        "Thu Apr 06 20:05:00 EDT 2023",
    ],
)
def test_one_time_in_many_ways(text: Any) -> None:
    assert local(text) == "2023-04-07T08:05:00"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("20230407101500123", "2023-04-07T10:15:00.123000"),
        ("2023年4月7日 下午3点半", "2023-04-07T15:30:00"),
        ("2023年4月7日 中午12:10", "2023-04-07T12:10:00"),
        ("2023年4月7日 中午1点", "2023-04-07T13:00:00"),
        ("2023-04-07 12:30 AM", "2023-04-07T00:30:00"),
        ("2023年4月7日凌晨0:30", "2023-04-07T00:30:00"),
        ("2023-04-07 24:00", "2023-04-08T00:00:00"),
        ("2023-04-07", "2023-04-07T00:00:00"),
        ("20230407", "2023-04-07T00:00:00"),
        ("2023年4月7日", "2023-04-07T00:00:00"),
        ("2023-04-07 08:05:00.123456789", "2023-04-07T08:05:00.123000"),
        ("2023-W14-5", "2023-04-07T00:00:00"),
    ],
)
def test_times_of_their_own(text: str, wanted: str) -> None:
    assert local(text) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5分钟前", "relative"),
        ("刚刚", "relative"),
        ("昨天 10:00", "relative"),
        ("今天 10:20", "relative"),
        ("3小时前", "relative"),
        ("2 hours ago", "relative"),
        ("Yesterday 10:00", "relative"),
        ("半小时前", "relative"),
        ("前天", "relative"),
        ("04-07 08:05", "no year"),
        ("4月7日 08:05", "no year"),
        ("04/07/2023 08:05", "--time-format"),
        ("23/4/7", "--time-format"),
        ("08:05:00", "time of day"),
        ("下午3点", "time of day"),
        ("2023-04-07 08:05 CST", "China or Chicago"),
        ("2023-04-07 08:05 XYZ", "zone"),
        ("45023.3368", "Excel"),
        ("1.68083E+12", "rounded"),
        ("2023-13-01", "use ISO"),
        ("2023-04-07 25:00", "use ISO"),
        ("2023-04-07108:05", "use ISO"),
        ("2023040708", "use ISO"),
        ("", "empty"),
        (None, "empty"),
        (True, "use ISO"),
        ([], "use ISO"),
        ("2023年4月7日晚上12点", "midnight"),
        ("x" * 10_000, "use ISO"),
        ("2023-02-29", "use ISO"),
    ],
)
def test_what_is_not_sure_is_refused_with_its_reason(text: Any, why: str) -> None:
    if text == "2023040708":  # ten digits are epoch seconds, whatever they look like
        assert local(text).startswith("2034-")
        return
    with pytest.raises(NoTime, match=why):
        read_time(text, ZONE)


@given(MOMENTS)
def test_all_ways_of_writing_agree(at: datetime) -> None:
    wanted = int(at.timestamp()) * 1000
    written = [
        at.isoformat(),
        at.strftime("%Y/%m/%d %H:%M:%S"),
        f"{at.year}年{at.month}月{at.day}日 {at.hour}点{at.minute}分{at.second}秒",
        format_datetime(at),
        format_datetime(at.astimezone(UTC), usegmt=True),
        at.strftime("%a %b %d %H:%M:%S %z %Y"),
        at.strftime("%Y%m%d%H%M%S"),
        at.strftime("%Y%m%d%H%M%S") + "000",
        str(wanted),
        wanted,
        wanted // 1000,
        wanted * 1000,
        at.strftime("%B %d, %Y %I:%M:%S %p"),
    ]
    assert {read_time(x, ZONE) for x in written} == {wanted}


@given(
    st.text()
    | st.text("0123456789:-/年月日时点分TZ +.eE上下午ago", max_size=30)
    | st.integers()
    | st.floats()
    | st.none()
)
def test_it_never_fails_otherwise(value: Any) -> None:
    found = parse_time(value, ZONE)
    assert found is None or isinstance(found, int)
    parse_rfc3339(str(value))
    is_day(value)
    is_clock(value)


def test_formats() -> None:
    assert local("07/04/2023 08:05", time_format="%d/%m/%Y %H:%M") == "2023-04-07T08:05:00"
    assert local("2023-04-07 08:05 CST", time_format="%Y-%m-%d %H:%M CST") == "2023-04-07T08:05:00"
    assert local("1680825900", time_format="s") == local(1680825900000.0, time_format="ms") == "2023-04-07T08:05:00"
    assert local(45023.3368055556, time_format="excel") == "2023-04-07T08:05:00"
    with pytest.raises(NoTime, match="does not fit --time-format"):
        read_time("2023-04-07", ZONE, "%d/%m/%Y")
    for good in ("%d/%m/%y", "%Y%m%d %H", "us", "excel"):
        check_format(good)
    for wrong in ("%H:%M", "%Q %Y", "text", "%Y-%m"):
        with pytest.raises(BarometerError, match="--time-format"):
            check_format(wrong)


def test_a_digit_between_day_and_time_is_none() -> None:
    assert parse_rfc3339("2023-04-07T08:05:00+08:00") == 1680825900000
    assert parse_rfc3339("2023040710805+08:00") is None


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("2.7万", 27_000),
        ("4.1亿", 410_000_000),
        ("12,345", 12_345),
        ("20w+", 200_000),
        ("999+", 999),
        ("1.5k", 1_500),
        ("８８", 88),
        ("3千", 3_000),
        (" 7 ", 7),
        ("7.0", 7),
        (7, 7),
        (7.0, 7),
        ("1.23456万", 12_346),
        ("100万+", 1_000_000),
        ("5,000万", 50_000_000),
        ("12 次", 12),
        (0, 0),
        ("赞", None),
        ("", None),
        ("1.5", None),
        (1.5, None),
        ("1,23", None),
        (-1, None),
        ("-1", None),
        (True, None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        ([], None),
        ("万", None),
    ],
)
def test_counts(value: Any, count: int | None) -> None:
    assert read_count(value) == count


@given(st.integers(0, 10**15))
def test_counts_come_back(n: int) -> None:
    assert read_count(n) == read_count(str(n)) == read_count(f"{n:,}") == read_count(f"{n}.0") == n
    assert read_count(f"{n}万") == n * 10_000 or n >= 10**19


@given(st.text() | st.floats() | st.binary())
def test_counts_never_fail(value: Any) -> None:
    found = read_count(value)
    assert found is None or found >= 0
