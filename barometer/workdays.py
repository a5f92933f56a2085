"""Working days of a country, with its holidays and the working weekends that make up for them (调休); days on which an
exchange is closed."""

from __future__ import annotations

from datetime import date
from functools import cache, cached_property
from typing import Any

import structlog

from barometer.settings import Settings

log = structlog.get_logger(__name__)


class Workdays:
    """Tells working days from days off.

    Holidays come from the package ``holidays``, which follows the notices of China's State Council; a year whose
    notice its installed version does not know yet has its legal holidays only, until ``extra_workdays`` and
    ``extra_days_off`` say more.

    >>> w = Workdays("CN")
    >>> [w.is_workday(date(2026, 10, d)) for d in (5, 9, 10, 11)]  # holiday, Friday, working Saturday, Sunday
    [False, True, True, False]

    Args:
        country: ISO 3166 code, or empty: Monday to Friday, no holidays.
        extra_workdays, extra_days_off: ISO dates that overrule the calendar.
    """

    def __init__(self, country: str = "CN", extra_workdays: list[str] = [], extra_days_off: list[str] = []) -> None:  # noqa: B006
        self._country = country
        self._work = {date.fromisoformat(d) for d in extra_workdays}
        self._off = {date.fromisoformat(d) for d in extra_days_off}
        self._asked: set[int] = set()

    @classmethod
    def of(cls, settings: Settings) -> Workdays:
        return cls(settings.holiday_country, settings.extra_workdays, settings.extra_days_off)

    @cached_property
    def _calendar(self) -> Any:
        import holidays  # some 30 ms that most commands need not wait for

        return holidays.country_holidays(self._country)

    def is_workday(self, day: date) -> bool:
        if day in self._work:
            return True
        if day in self._off:
            return False
        if not self._country:
            return day.weekday() < 5
        if day.year not in self._asked:
            self._asked.add(day.year)
            self._calendar.get(day)  # fills in the year
            if self._country == "CN" and not any(d.year == day.year for d in self._calendar.weekend_workdays):
                _warn_unknown_year(day.year)
        return bool(self._calendar.is_working_day(day))


@cache
def _warn_unknown_year(year: int) -> None:
    log.warning(
        "calendar_unknown",
        year=year,
        so="its working weekends are taken for days off",
        what_to_do="update the package holidays, or name days in extra_workdays and extra_days_off",
    )


class Sessions:
    """Tells trading days from days on which an exchange is closed. Make-up weekends (调休) are not trading days.

    >>> s = Sessions("XSHG")
    >>> [s.is_closed(date(2026, 10, d)) for d in (5, 9, 10)]  # holiday, Friday, working Saturday
    [True, False, True]

    Args:
        exchange: ISO 10383 code that the package ``holidays`` knows, or empty: closed on Saturdays and Sundays.
        extra_days_off: ISO dates on which it is closed besides.
    """

    def __init__(self, exchange: str = "XSHG", extra_days_off: list[str] = []) -> None:  # noqa: B006
        self._exchange = exchange
        self._off = {date.fromisoformat(d) for d in extra_days_off}

    @classmethod
    def of(cls, settings: Settings) -> Sessions:
        return cls(settings.exchange, settings.extra_days_off)

    @cached_property
    def _calendar(self) -> Any:
        import holidays

        return holidays.financial_holidays(self._exchange)

    def is_closed(self, day: date) -> bool:
        if day.weekday() >= 5 or day in self._off:
            return True
        return bool(self._exchange) and day in self._calendar
