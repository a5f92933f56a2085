"""Silences that people make and end, from the screens and from the API: one door, with the check of who may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_login import current_user
from sqlalchemy import Row

from barometer.errors import BarometerError
from barometer.hours import HoursError
from barometer.store.alerts import silences
from barometer.when import parse_when
from dashboard.context import DAY, context
from dashboard.services.acts import AGAIN_MS, MAX_SILENCE_MS, Malformed, NoSuchSilence, must_act


def make_silence(
    until: int | str,
    why: str,
    *,
    start: int | str | None = None,
    series: str | None = None,
    source: str | None = None,
    word: str | None = None,
    severity: str | None = None,
    hours: Sequence[str] = (),
) -> Row[Any]:
    """Make a silence in the name of who is logged in; the same one again within a moment is the one that was made.

    Args:
        until: epoch ms, or as people type it; a span counts from the start.
        start: likewise; None: now.
        hours: ``workday 22:00-08:00``; none: always.

    Returns:
        Columns of ``silences``.

    Raises:
        Forbidden: the role, or the token, only reads.
        Malformed: a field.
        SilenceError: what the store refuses beyond that.
    """
    must_act()
    ctx = context()
    with ctx.store.write() as c:
        now = ctx.store.now_ms(c)
        begin = now if start is None else _time("start", start, now)
        end = _time("until", until, begin)
        if end <= max(now, begin):
            raise Malformed("past", field="until")
        if end > now + MAX_SILENCE_MS:
            raise Malformed("too_far", field="until", days=MAX_SILENCE_MS // DAY)
        named = {"series": series, "source": source, "word": word}
        number = silences.made_just_now(c, current_user.name, why, now, AGAIN_MS, **named)
        try:
            if number is None:
                number = silences.add_silence(
                    c,
                    current_user.name,
                    why,
                    now,
                    starts_at=begin,
                    ends_at=end,
                    severity=severity,
                    windows=hours,
                    **named,
                )
        except HoursError:
            raise Malformed("hours", field="hours", value=", ".join(hours)[:80]) from None
        found = silences.find_silence(c, number)
        assert found is not None
        return found


def end_silence(silence_id: int, why: str | None = None) -> Row[Any]:
    """End a silence now; one that is over stays as it is.

    Raises:
        Forbidden: the role, or the token, only reads.
        NoSuchSilence: there is none.
    """
    must_act()
    ctx = context()
    with ctx.store.write() as c:
        now = ctx.store.now_ms(c)
        row = silences.find_silence(c, silence_id)
        if row is None:
            raise NoSuchSilence("no_silence", id=silence_id)
        if row.ends_at > now:
            silences.expire_silence(c, silence_id, current_user.name, why, now)
        found = silences.find_silence(c, silence_id)
        assert found is not None
        return found


def _time(field: str, value: int | str, now: int) -> int:
    if not isinstance(value, str):
        return value
    try:
        return parse_when(value, now, context().zone, field)
    except BarometerError:
        raise Malformed("when", field=field, value=value[:40]) from None
