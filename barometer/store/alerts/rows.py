"""Rows of alerts and their events, for the modules that change alerts (:mod:`~barometer.store.alerts.life_cycle`,
:mod:`~barometer.store.alerts.handling`)."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, insert, select, update

from barometer.errors import BarometerError
from barometer.store.tables import Alert, AlertEvent


class AlertError(BarometerError):
    """An alert does not exist, or is not in a state for what was asked of it."""


def locked(c: Connection, alert_id: int) -> Row[Any]:
    """The alert's row, which nobody else may change until the commit.

    Raises:
        AlertError: there is no such alert.
    """
    row = c.execute(select(Alert.__table__).where(Alert.id == alert_id).with_for_update()).one_or_none()
    if row is None:
        raise AlertError(f"there is no alert {alert_id}")
    return row


def put(c: Connection, alert_id: int, now_ms: int, **values: Any) -> None:
    """Change columns of an alert."""
    c.execute(update(Alert).where(Alert.id == alert_id).values(updated_at=now_ms, **values))


def event(
    c: Connection, alert_id: int, at: int, actor: str, action: str, comment: str | None, data: dict[str, Any]
) -> None:
    """Add to an alert's history: when, who, what, why."""
    row = {"alert_id": alert_id, "at": at, "actor": actor, "action": action, "comment": comment, "data": data}
    c.execute(insert(AlertEvent).values(**row))


class LastEvent(NamedTuple):
    """The newest entry of an alert's history. ``at`` is epoch ms."""

    action: str
    actor: str | None
    at: int
    comment: str | None
    data: dict[str, Any]


def last_event(c: Connection, alert_id: int) -> LastEvent | None:
    """None: nothing has happened to it."""
    e = AlertEvent
    q = select(e.action, e.actor, e.at, e.comment, e.data).where(e.alert_id == alert_id)
    found = c.execute(q.order_by(e.id.desc()).limit(1)).one_or_none()
    return LastEvent(*found) if found else None


def state_of(c: Connection, alert_id: int) -> str:
    """``firing``, ``acknowledged`` or ``resolved``."""
    return str(c.execute(select(Alert.state).where(Alert.id == alert_id)).scalar_one())


def lock_incident(c: Connection, alert_id: int) -> None:
    """Lock all alerts of an alert's incident: an act may change all of them. In one order, so that two people at two of
    them do not deadlock."""
    of = select(Alert.incident_id).where(Alert.id == alert_id).scalar_subquery()
    c.execute(select(Alert.id).where(Alert.incident_id == of).order_by(Alert.id).with_for_update()).all()
