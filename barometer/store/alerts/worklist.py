"""The work list: which alerts a person asks for, in which order, with whose they are, what is due next, and how many
are one incident."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, literal, select

from barometer.store.tables import Alert, AlertStep, Series
from barometer.vocabulary import ALERT_STATES, LEVELS, OPEN_STATES, SEVERITIES

STATES: Mapping[str, tuple[str, ...]] = {
    "open": OPEN_STATES,
    **{state: (state,) for state in ALERT_STATES},
    "all": ALERT_STATES,
}
WORST_FIRST = SEVERITIES[::-1]
GRAVEST_FIRST = LEVELS[::-1]
NONE = "none"
"""Of a level or an owner: not said, nobody."""
SORTS = ("id", "severity", "level", "started", "due", "owner")

OWNER = func.coalesce(Alert.assignee, Alert.acknowledged_by)
"""Whose an alert is: to whom it was given, or else who took it."""
_HIDDEN = ("evidence", "parameters")
_COLUMNS = tuple(column for column in Alert.__table__.columns if column.name not in _HIDDEN)


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """What a work list shows; None: any."""

    state: str = "open"
    severity: str | None = None
    level: str | None = None
    owner: str | None = None
    series: str | None = None
    """A fingerprint: ``topic:real_estate``, ``system:lag``."""

    def problem(self) -> tuple[str, str, Iterable[str]] | None:
        """The first field with an unknown value: its name, the value, what it may be."""
        offered = (("state", STATES), ("severity", WORST_FIRST), ("level", (*GRAVEST_FIRST, NONE)))
        for name, options in offered:
            value = getattr(self, name)
            if value is not None and value not in options:
                return name, value, options
        return None


def work_list(
    c: Connection,
    wanted: AlertFilter,
    sort: str = "",
    *,
    limit: int = 50,
    offset: int = 0,
    before_id: int | None = None,
) -> Sequence[Row[Any]]:
    """Alerts with ``series`` (its name), ``owner`` and ``due_at`` (the next deadline, epoch ms or None).

    Args:
        sort: one of :data:`SORTS`, ``-`` before it for the other way round; empty: what waits for somebody first,
            then the more severe, alarms about the product after others, then the newest. Where what is over is shown
            too, alarms about the product come after all critical alerts, those that are over included.
    """
    due = (
        select(AlertStep.alert_id, func.min(AlertStep.due_at).label("due_at"))
        .where(AlertStep.state == "open")
        .group_by(AlertStep.alert_id)
        .subquery()
    )
    q: Any = (
        select(*_COLUMNS, Series.name.label("series"), OWNER.label("owner"), due.c.due_at)
        .outerjoin(Series, Series.id == Alert.series_id)
        .outerjoin(due, due.c.alert_id == Alert.id)
        .where(*_conditions(wanted))
    )
    if before_id is not None:
        q = q.where(Alert.id < before_id)
    found: Sequence[Row[Any]] = c.execute(
        q.order_by(*_order(sort, due.c.due_at, wanted.state)).limit(limit).offset(offset)
    ).all()
    return found


def open_counts(c: Connection) -> dict[str, int]:
    """Open alerts by state."""
    q = select(Alert.state, func.count()).where(Alert.state.in_(STATES["open"])).group_by(Alert.state)
    return {state: int(n) for state, n in c.execute(q)}


def incident_sizes(c: Connection, incident_ids: Iterable[int]) -> dict[int, int]:
    """Alerts of incidents that have more than one."""
    ids = set(incident_ids)
    if not ids:
        return {}
    q = select(Alert.incident_id, func.count()).where(Alert.incident_id.in_(ids)).group_by(Alert.incident_id)
    return {int(i): int(n) for i, n in c.execute(q.having(func.count() > 1)) if i is not None}


def next_steps(c: Connection, alert_ids: Iterable[int]) -> dict[int, str]:
    """Which step is due next, of alerts that have open ones."""
    ids = list(alert_ids)
    if not ids:
        return {}
    s = AlertStep
    q = select(s.alert_id, s.step).where(s.alert_id.in_(ids), s.state == "open").order_by(s.due_at.desc())
    return {int(alert_id): step for alert_id, step in c.execute(q)}


def _conditions(wanted: AlertFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [Alert.state.in_(STATES[wanted.state])]
    if wanted.severity is not None:
        found.append(Alert.severity == wanted.severity)
    if wanted.level is not None:
        found.append(Alert.level.is_(None) if wanted.level == NONE else Alert.level == wanted.level)
    if wanted.owner is not None:
        found.append(OWNER.is_(None) if wanted.owner == NONE else literal(wanted.owner) == OWNER)
    if wanted.series is not None:
        found.append(Alert.fingerprint == wanted.series)
    return found


def _order(sort: str, due_at: Any, state: str) -> list[Any]:
    severity = _rank(Alert.severity, WORST_FIRST)
    name, down = sort.removeprefix("-"), sort.startswith("-")
    newest: list[Any] = [Alert.started_at.desc(), Alert.id.desc()]
    if name == "id":
        return [Alert.id.desc() if down else Alert.id]
    if name == "started":
        newest = [Alert.started_at.desc(), Alert.id.desc()]
        return newest if down else [Alert.started_at, Alert.id]
    if name in ("due", "owner"):  # what has none is last, either way
        by = due_at if name == "due" else OWNER
        return [case((by.is_(None), 1), else_=0), by.desc() if down else by, *newest]
    if name in ("severity", "level"):
        by = severity if name == "severity" else _rank(Alert.level, GRAVEST_FIRST)
        return [by if down else by.desc(), *newest]  # ranks count from the worst
    # At the same severity what the market does comes before what is wrong with the product.
    system = case((Alert.type == "system", 1), else_=0)
    waits = _rank(Alert.state, OPEN_STATES)
    if state != "all":
        return [waits, severity, system, *newest]
    # Sources that come and go are many: what was grave must not be looked for among them.
    market, still = Alert.type != "system", Alert.state.in_(OPEN_STATES)
    first = case((and_(market, still), 0), (and_(market, Alert.severity == "critical"), 1), (still, 2), else_=3)
    return [first, waits, severity, system, *newest]


def _rank(column: Any, names: Sequence[str]) -> Any:
    return case({name: i for i, name in enumerate(names)}, value=column, else_=len(names))
