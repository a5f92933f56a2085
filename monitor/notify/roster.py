"""Who is on duty: turns of days or weeks, with exceptions. Pure: the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.notify.policy import Roster


@dataclass(frozen=True, slots=True)
class Duty:
    """Who is on duty from when to when (epoch ms), and why."""

    roster: str
    who: str
    since: int
    until: int
    why: str


def on_duty(roster: Roster, at_ms: int, zone: ZoneInfo) -> Duty:
    """Who is on duty at a time. An exception (the last one in the file, where several hold) goes before the turn; a
    turn is counted in days of the calendar, so that hands change at the same hour where clocks change."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).replace(tzinfo=None)
    days = roster.turns * (7 if roster.turn == "week" else 1)
    turn = (local - roster.start) // timedelta(days=days)
    since = roster.start + timedelta(days=turn * days)
    until = since + timedelta(days=days)
    for o in reversed(roster.overrides):
        if o.begin <= local < o.end:
            return Duty(roster.name, o.who, _epoch(o.begin, zone), _epoch(o.end, zone), o.why or "exception")
        # The turn is cut where an exception begins or has ended.
        if local < o.begin < until:
            until = o.begin
        if since < o.end <= local:
            since = o.end
    number = turn % len(roster.people)
    why = f"turn {number + 1} of {len(roster.people)}"
    return Duty(roster.name, roster.people[number], _epoch(since, zone), _epoch(until, zone), why)


def _epoch(local: datetime, zone: ZoneInfo) -> int:
    return int(local.replace(tzinfo=zone).timestamp() * 1000)
