"""Hours of the week: ``workday 22:00-08:00``. Quiet hours, maintenance windows and routes by time are made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from barometer.errors import BarometerError
from barometer.workdays import Workdays

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAYS = ("all", "workday", "day_off", *WEEKDAYS)
MINUTE_MS = 60_000
DAY_MINUTES = 24 * 60
LONGEST_DAYS = 40
"""No chain of windows is followed further."""
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")
_TEXT = re.compile(r"(?:(?P<days>[a-z_,]+)\s+)?(?P<from>\d{1,2}:\d{2})\s*-\s*(?P<to>\d{1,2}:\d{2})")


class HoursError(BarometerError):
    """A window is malformed; says what it was and what is expected."""


@dataclass(frozen=True, slots=True)
class Window:
    """From a minute of a day to a later one, on certain days. One that ends at or before its begin ends on the next
    day; its days are those on which it begins.

    >>> Window.parse("workday 22:00-8:00")
    Window(days=('workday',), begin=1320, end=480)
    >>> str(Window.parse("sat,sun 0:00-24:00"))
    'sat,sun 00:00-24:00'
    """

    days: tuple[str, ...]
    begin: int
    end: int
    """Minutes of the day."""

    @classmethod
    def parse(cls, text: str) -> Window:
        """Raises:
        HoursError: not ``[DAYS] HH:MM-HH:MM``.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise HoursError(f"{text!r}: write like 'workday 22:00-08:00' or 'sat,sun 00:00-24:00'")
        return cls.of({"days": (found["days"] or "all").split(","), "from": found["from"], "to": found["to"]})

    @classmethod
    def of(cls, value: object) -> Window:
        """From text, or a mapping of ``days``, ``from`` and ``to``.

        Raises:
            HoursError: unknown days or hours.
        """
        if isinstance(value, Window):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if not isinstance(value, Mapping) or not {"from", "to"} <= set(value) <= {"days", "from", "to"}:
            raise HoursError(f"{value!r}: expected days, from and to, or text like 'workday 22:00-08:00'")
        days = value.get("days") or "all"
        named = tuple(days.split(",") if isinstance(days, str) else days)
        if unknown := [d for d in named if d not in DAYS]:
            raise HoursError(f"days {unknown[0]!r}: use {', '.join(DAYS)}")
        begin, end = _minutes(value["from"]), _minutes(value["to"])
        if begin == DAY_MINUTES:
            raise HoursError("from 24:00: write 00:00 of the next day")
        return cls(named, begin, end)

    def __str__(self) -> str:
        return f"{','.join(self.days)} {_clock(self.begin)}-{_clock(self.end)}"

    def fits(self, day: datetime, workdays: Workdays) -> bool:
        """Whether the window begins on a day."""
        named = {"all", WEEKDAYS[day.weekday()], "workday" if workdays.is_workday(day.date()) else "day_off"}
        return bool(named & set(self.days))


def end_of_hours(windows: Sequence[Window], at_ms: int, zone: ZoneInfo, workdays: Workdays) -> int | None:
    """When the hours that hold at a time are over (epoch ms), windows that follow on each other taken as one; None if
    none holds. The zone's clocks on the wall decide, so that 08:00 is 08:00 where clocks change."""
    at, limit = at_ms, at_ms + LONGEST_DAYS * DAY_MINUTES * MINUTE_MS
    while at < limit:
        ends = [end for w in windows if (end := _end(w, at, zone, workdays)) is not None]
        if not ends:
            break
        at = max(ends)
    return at if at > at_ms else None


def _end(w: Window, at_ms: int, zone: ZoneInfo, workdays: Workdays) -> int | None:
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    for day in (midnight - timedelta(days=1), midnight):
        length = w.end - w.begin if w.end > w.begin else w.end - w.begin + DAY_MINUTES
        if not w.fits(day, workdays):
            continue
        begin, end = (_epoch(day + timedelta(minutes=m), zone) for m in (w.begin, w.begin + length))
        if begin <= at_ms < end:
            return end
    return None


def _epoch(local: datetime, zone: ZoneInfo) -> int:
    return int(local.replace(tzinfo=zone).timestamp() * 1000)


def _minutes(value: object) -> int:
    # YAML 1.1 reads 22:00 without quotes as a number of base 60.
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"{value // 60}:{value % 60:02}"
    found = _CLOCK.fullmatch(str(value).strip())
    if found is None or int(found[2]) > 59 or int(found[1]) * 60 + int(found[2]) > DAY_MINUTES:
        raise HoursError(f"{value!r}: expected an hour like 22:00, at most 24:00")
    return int(found[1]) * 60 + int(found[2])


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
