"""Alerts as notification rules see them: the row, with what silences, steps and the series add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, exists, func, select

from barometer.store.alerts import handling
from barometer.store.alerts.life_cycle import MATTER
from barometer.store.alerts.silences import Silenced, Silencer
from barometer.store.tables import Alert, AlertEvent, AlertStep, Series
from barometer.vocabulary import OPEN_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiableAlert:
    """One alert. Times are epoch ms; the columns are described in :class:`barometer.store.tables.Alert`."""

    id: int
    type: str
    fingerprint: str
    kinds: Sequence[int]
    state: str
    severity: str
    level: str | None = None
    level_at: int | None = None
    incident_id: int | None = None
    snoozed_until: int | None = None
    started_at: int
    detected_at: int
    peak_at: int
    ended_at: int | None = None
    acknowledged_by: str | None = None
    resolved_at: int | None = None
    resolved_by: str | None = None
    resolution: str | None = None
    score: float
    expected_negative: float
    seen_negative: int
    seen_total: int
    window_seconds: int
    arm: str | None = None
    explanation: Mapping[str, Any]
    evidence: Sequence[Mapping[str, Any]]
    trial: bool = False
    """Its series is on trial."""
    silenced: Silenced | None = None
    overdue_steps: tuple[str, ...] = ()
    """Steps past their deadline that nobody was notified of."""
    matter_at: int | None = None
    """When it was last found to be about another matter as well."""

    @property
    def audible(self) -> bool:
        """Whether anybody may be notified of it at all."""
        return not (self.explanation.get("quiet") or self.trial or self.severity == "info")

    def snoozed(self, now_ms: int) -> bool:
        return self.snoozed_until is not None and self.snoozed_until > now_ms


_COLUMNS = tuple(Alert.__table__.c[f.name] for f in fields(NotifiableAlert) if f.name in Alert.__table__.c)


class UnplannedAlert(NamedTuple):
    """An open alert whose level has no steps yet."""

    id: int
    level: str
    level_at: int | None


def notifiable_alert(
    c: Connection, alert_id: int, silencer: Silencer | None = None, now_ms: int = 0
) -> NotifiableAlert | None:
    """One alert; None if there is no such alert. Without a silencer ``silenced``, ``overdue_steps`` and ``matter_at``
    are left out."""
    if silencer is not None:
        return next(iter(_load(c, Alert.id == alert_id, silencer, now_ms)), None)
    row = c.execute(_query(Alert.id == alert_id)).one_or_none()
    return None if row is None else _alert(row)


def alerts_of_same_incident(c: Connection, alert_id: int, silencer: Silencer, now_ms: int) -> list[NotifiableAlert]:
    """An alert with the others of its incident, by number."""
    incident = select(Alert.incident_id).where(Alert.id == alert_id).scalar_subquery()
    return _load(c, (Alert.id == alert_id) | (Alert.incident_id == incident), silencer, now_ms)


def alerts_to_review(c: Connection, silencer: Silencer, now_ms: int, resolved_within_ms: int) -> list[NotifiableAlert]:
    """Alerts that are open, were resolved lately, or have an overdue step that nobody was notified of; by number."""
    late = select(AlertStep.alert_id).where(
        AlertStep.state == "open", AlertStep.due_at <= now_ms, AlertStep.overdue_at.is_(None)
    )
    recent = (Alert.state == "resolved") & (Alert.resolved_at > now_ms - resolved_within_ms)
    return _load(c, Alert.state.in_(OPEN_STATES) | recent | Alert.id.in_(late), silencer, now_ms)


def unplanned_alerts(c: Connection) -> list[UnplannedAlert]:
    """Open alerts whose level was set without planning its steps."""
    found = c.execute(
        select(Alert.id, Alert.level, Alert.level_at).where(
            Alert.state.in_(OPEN_STATES), Alert.level.is_not(None), ~exists().where(AlertStep.alert_id == Alert.id)
        )
    )
    return [UnplannedAlert(row[0], str(row[1]), row[2]) for row in found]


def was_held(c: Connection, alert_id: int, receiver: str, until_ms: int | None) -> bool:
    """Whether the alert's history says already that a receiver's quiet hours keep it back until then."""
    before = c.execute(select(AlertEvent.data).where(AlertEvent.alert_id == alert_id, AlertEvent.action == "held"))
    return any((d.get("receiver"), d.get("until")) == (receiver, until_ms) for d in before.scalars())


def _query(which: ColumnElement[bool]) -> Any:
    joined = select(*_COLUMNS, Series.trial).outerjoin(Series, Series.id == Alert.series_id)
    return joined.where(which).order_by(Alert.id)


def _alert(row: Row[Any], **more: Any) -> NotifiableAlert:
    return NotifiableAlert(**{**row._mapping, "trial": bool(row.trial), **more})


def _load(c: Connection, which: ColumnElement[bool], silencer: Silencer, now_ms: int) -> list[NotifiableAlert]:
    rows = c.execute(_query(which)).all()
    overdue: dict[int, list[str]] = {}
    for step in handling.overdue(handling.steps_of(c, [row.id for row in rows if row.level]), now_ms):
        if step.overdue_at is None:
            overdue.setdefault(step.alert_id, []).append(step.step)
    latest = c.execute(
        select(AlertEvent.alert_id, func.max(AlertEvent.at))
        .where(AlertEvent.alert_id.in_([row.id for row in rows]), AlertEvent.action == MATTER)
        .group_by(AlertEvent.alert_id)
    )
    matters: dict[int, int] = {row[0]: row[1] for row in latest}
    found = []
    for row in rows:
        alert = _alert(row, overdue_steps=tuple(overdue.get(row.id, ())), matter_at=matters.get(row.id))
        found.append(replace(alert, silenced=silencer.of(dict(row._mapping))) if alert.audible else alert)
    return found
