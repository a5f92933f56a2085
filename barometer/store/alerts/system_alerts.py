"""Alerts about the product itself that run: what has been raised before decides what is raised next."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from barometer.store.tables import Alert


class RunningAlarm(NamedTuple):
    """A system alert that has not ended."""

    fingerprint: str
    state: str
    names: tuple[str, ...]
    """Of the things that it is about, where it is about several."""


def running_alarms(c: Connection, prefix: str) -> list[RunningAlarm]:
    """System alerts that have not ended and whose fingerprints begin so, in the order in which they began."""
    a = Alert
    rows = c.execute(
        select(a.fingerprint, a.state, a.explanation)
        .where(a.type == "system", a.ended_at.is_(None), a.fingerprint.startswith(prefix, autoescape=True))
        .order_by(a.id)
    )
    return [RunningAlarm(r.fingerprint, r.state, tuple(r.explanation.get("names") or ())) for r in rows]


def running_since(c: Connection, fingerprint: str) -> int | None:
    """When an alert that has not ended started (epoch ms); None if there is none."""
    return c.execute(
        select(Alert.started_at).where(Alert.fingerprint == fingerprint, Alert.ended_at.is_(None))
    ).scalar()


def not_confirmed_since(c: Connection, at_ms: int) -> list[str]:
    """Fingerprints of system alerts that have not ended, and that no check has confirmed after a time; sorted."""
    found = c.execute(
        select(Alert.fingerprint)
        .where(Alert.type == "system", Alert.ended_at.is_(None), Alert.last_bucket_end <= at_ms)
        .distinct()
    )
    return sorted(found.scalars())
