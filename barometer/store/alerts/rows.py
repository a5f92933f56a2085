"""Rows of alerts and their events, for the modules that change alerts (``alerts``, ``handling``)."""

from __future__ import annotations

from typing import Any

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
