"""Sources: what each sent in a day and a week, and which have fallen silent.

Anybody who can write to the topic can make up names. So the store takes a limited number of them, the database judges
them all in one statement, and a report names the first few and counts the rest.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, case, desc, func, select

from barometer.store.tables import Source, SourceRollup

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
MOST_SOURCES = 20_000
"""Names that the store takes; what comes under others counts as :data:`OTHERS`."""
OTHERS = "(other sources)"
MOST_LISTED = 500
"""Sources that a report names."""


class Sources(NamedTuple):
    """The silent sources and the busiest (at most :data:`MOST_LISTED`), and how many there are in all."""

    listed: list[dict[str, Any]]
    known: int
    active: int
    """Sent something within the week."""
    silent: int


def read_sources(c: Connection, now: int, silent_factor: float) -> Sources:
    """Sources with what they sent (last_observed_at, last_day, last_week) and whether they are silent.

    Silent: nothing came since its last text, but in the same hours of the week before it had sent at least
    ``silent_factor`` texts. So nights and weekends are no silence, a source of less than a week is not judged, and one
    that has been quiet for more than a week has ended rather than fallen silent.
    """
    r = SourceRollup

    def of(source: Any, what: Any, *where: Any) -> Any:
        """Source by source along the key: nothing leads from an hour to its rows."""
        return select(what).where(r.source_id == source, *where).scalar_subquery()

    week = r.hour >= now - WEEK_MS
    # Materialized, or PostgreSQL would work out each figure anew wherever it is named.
    seen = (
        select(
            Source.id,
            Source.name,
            Source.muted,
            of(Source.id, func.max(r.last_observed_at), week).label("last"),
            of(Source.id, func.sum(r.total), week).label("week"),
            of(Source.id, func.sum(case((r.hour >= now - DAY_MS, r.total), else_=0)), week).label("day"),
        )
        .cte("seen")
        .prefix_with("MATERIALIZED")
    )
    # Texts of the week before in the whole hours between the last text and now.
    missed = of(seen.c.id, func.sum(r.total), r.hour >= seen.c.last - WEEK_MS, r.hour <= now - WEEK_MS - HOUR_MS)
    judge = and_(~seen.c.muted, seen.c.last <= now - HOUR_MS)
    judged = (
        select(seen, case((judge, func.coalesce(missed, 0)), else_=0).label("missed"))
        .cte("judged")
        .prefix_with("MATERIALIZED")
    )
    silent = judged.c.missed >= silent_factor
    fallen_of = func.coalesce(func.sum(case((silent, 1), else_=0)), 0)
    known, active, fallen = c.execute(
        select(func.count(), func.count(judged.c.last), fallen_of).select_from(judged)
    ).one()
    rows = c.execute(
        select(judged, silent.label("silent"))
        .order_by(desc("silent"), func.coalesce(judged.c.week, 0).desc(), judged.c.id)
        .limit(MOST_LISTED)
    )
    listed = [
        {
            "name": x.name,
            "muted": bool(x.muted),
            "last_observed_at": None if x.last is None else int(x.last),
            "last_day": int(x.day or 0),
            "last_week": int(x.week or 0),
            "silent": bool(x.silent),
        }
        for x in rows
    ]
    return Sources(listed, int(known), int(active), int(fallen))
