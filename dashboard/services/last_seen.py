"""What a person has seen: since when things count as new to them, and which series they watch. Kept with the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from flask_login import current_user
from sqlalchemy.exc import DBAPIError

from barometer.store.accounts.users import change_preferences
from dashboard.context import DAY, MINUTE, context

log = structlog.get_logger(__name__)
PAUSE_MS = 30 * MINUTE
"""Who comes back within so long is still looking: what was new to them stays new."""
REMEMBER_MS = 5 * MINUTE
"""A look is written down at most so often."""
LONGEST_MS = 7 * DAY
MOST_WATCHED = 100


@dataclass(frozen=True, slots=True)
class Visit:
    """``since``: when this person last looked before the present sitting; None on a first visit."""

    since: int | None
    at: int

    def begin(self, now: int) -> int:
        """From when on to tell what changed: a day back on a first visit, a week at most."""
        return max(now - DAY, 0) if self.since is None else max(self.since, now - LONGEST_MS)


def look(kept: Mapping[str, Any] | None, now: int) -> Visit:
    """The visit that goes on or begins now, from what is kept of the last one (``{"since": ms, "at": ms}``).

    >>> look(None, 1000)
    Visit(since=None, at=1000)
    >>> look({"since": None, "at": 0}, PAUSE_MS + 1)
    Visit(since=0, at=1800001)
    """
    at = (kept or {}).get("at")
    if not isinstance(at, int) or at > now:
        return Visit(None, now)
    since = (kept or {}).get("since")
    return Visit(at if now - at > PAUSE_MS else since if isinstance(since, int) else None, now)


def arrive(now: int) -> Visit:
    """Somebody opens the page: their visit, noted."""
    kept = current_user.preferences.get("visit") or {}
    visit = look(kept, now)
    if visit.since != kept.get("since") or now - (kept.get("at") or 0) > REMEMBER_MS:
        _keep(visit)
    return visit


def all_seen(now: int) -> Visit:
    """They say that they have seen everything."""
    visit = Visit(now, now)
    _keep(visit)
    return visit


def _keep(visit: Visit) -> None:
    seen = {"visit": {"since": visit.since, "at": visit.at}}
    try:
        change_preferences(context().store, current_user.user.id, seen)
    except DBAPIError as e:  # a page that can be read is worth more than the note that it was
        log.warning("visit_not_noted", user=current_user.name, error=str(e.orig))


def watched() -> list[str]:
    """Names of the series that this person chose, in the order of choosing."""
    kept = current_user.preferences.get("watched")
    return [name for name in kept if isinstance(name, str)] if isinstance(kept, list) else []


def watch(name: str, on: bool) -> list[str]:
    """Choose a series, or no longer; returns all that are chosen."""
    names = [x for x in watched() if x != name]
    if on:
        names = [*names, name][-MOST_WATCHED:]
    change_preferences(context().store, current_user.user.id, {"watched": names})
    current_user.preferences["watched"] = names
    return names


def by_default(alerting: Iterable[str], by_volume: Iterable[str], count: int) -> list[str]:
    """What to show to whom has chosen nothing: what alerts, then what is busiest.

    >>> by_default(["b"], ["a", "b", "c"], 2)
    ['b', 'a']
    """
    return list(dict.fromkeys([*alerting, *by_volume]))[:count]
