"""What the screens read about alerts: the work list, and one alert with its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, case, func, not_, or_, select

from barometer.store.alerts.handling import steps_of
from barometer.store.alerts.incidents import incident_alerts
from barometer.store.tables import Alert, AlertEvent, ModelVersion, Notification, Series
from barometer.vocabulary import OPEN_STATES

_LIST = tuple(column for column in Alert.__table__.columns if column.name not in ("evidence", "parameters"))


def open_alerts(c: Connection, limit: int = 200) -> Sequence[Row[Any]]:
    """Alerts that wait for somebody: unacknowledged first, then by severity, then the newest."""
    rank = case({"critical": 0, "warning": 1}, value=Alert.severity, else_=2)
    return c.execute(
        select(*_LIST)
        .where(Alert.state.in_(OPEN_STATES))
        .order_by(case((Alert.state == "firing", 0), else_=1), rank, Alert.started_at.desc(), Alert.id.desc())
        .limit(limit)
    ).all()


def past_alerts(
    c: Connection, *, states: Sequence[str] = ("resolved",), before_id: int | None = None, limit: int = 50
) -> Sequence[Row[Any]]:
    """Alerts of some states, the newest first; ``before_id`` is the last one of the page before."""
    q = select(*_LIST).where(Alert.state.in_(states))
    if before_id is not None:
        q = q.where(Alert.id < before_id)
    return c.execute(q.order_by(Alert.id.desc()).limit(limit)).all()


def alerts_between(c: Connection, series_id: int, from_ms: int, to_ms: int, limit: int = 100) -> Sequence[Row[Any]]:
    """Alerts of a series that touch a period, the newest first."""
    return c.execute(
        select(*_LIST)
        .where(
            Alert.series_id == series_id,
            Alert.started_at < to_ms,
            func.coalesce(Alert.ended_at, Alert.resolved_at, to_ms) > from_ms,
        )
        .order_by(Alert.started_at.desc())
        .limit(limit)
    ).all()


class AlertPage(NamedTuple):
    """One alert, with all that belongs to it."""

    alert: Row[Any]
    """Columns of ``alerts``."""
    series: str | None
    model: str | None
    events: Sequence[Row[Any]]
    notifications: Sequence[Row[Any]]
    steps: Sequence[Row[Any]]
    """What its level asks for: columns of ``alert_steps``."""
    together: Sequence[Any]
    """The other alerts of its incident, see :func:`barometer.store.alerts.incidents.incident_alerts`."""


def alert_page(c: Connection, alert_id: int) -> AlertPage | None:
    """Everything about one alert; None if there is no such alert."""
    row = c.execute(
        select(Alert.__table__, Series.name.label("series"), ModelVersion.name.label("model"))
        .outerjoin(Series, Series.id == Alert.series_id)
        .outerjoin(ModelVersion, ModelVersion.id == Alert.model_id)
        .where(Alert.id == alert_id)
    ).one_or_none()
    if row is None:
        return None
    events = c.execute(
        select(AlertEvent.__table__).where(AlertEvent.alert_id == alert_id).order_by(AlertEvent.at, AlertEvent.id)
    ).all()
    told = c.execute(
        select(Notification.__table__)
        .where(Notification.alert_id == alert_id)
        .order_by(Notification.created_at, Notification.id)
    ).all()
    together = [] if row.incident_id is None else [a for a in incident_alerts(c, row.incident_id) if a.id != alert_id]
    return AlertPage(row, row.series, row.model, events, told, steps_of(c, [alert_id]), together)


def changed_since(c: Connection, since_ms: int, limit: int = 20) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
    """Alerts that opened since a time and still go on, and those that were resolved or let go since then, each the
    newest first."""
    over = or_(Alert.resolved_at >= since_ms, Alert.ended_at >= since_ms)
    is_over = or_(Alert.state == "resolved", Alert.ended_at.is_not(None))
    opened = c.execute(
        select(*_LIST)
        .where(Alert.detected_at >= since_ms, not_(is_over))
        .order_by(Alert.detected_at.desc(), Alert.id.desc())
        .limit(limit)
    ).all()
    ended = c.execute(
        select(*_LIST)
        .where(over, is_over)
        .order_by(func.coalesce(Alert.resolved_at, Alert.ended_at).desc(), Alert.id.desc())
        .limit(limit)
    ).all()
    return opened, ended
