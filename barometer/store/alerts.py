"""The life of an alert: firing, acknowledged, resolved; and the trail of who did what, when and why.

What detectors and alarms find comes in as a :class:`Finding`; people act by :func:`acknowledge` and its like. Each
returns an :class:`AlertChange`, which the outbox turns into notifications in the same transaction. Times that say when
something happened in the stream come from buckets, so the same log gives the same alerts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from barometer.errors import StoreError
from barometer.records import Kind
from barometer.store.tables import Alert, AlertEvent, Notification

SEVERITIES = ("info", "warning", "critical")
LEVELS = ("ordinary", "major", "grave")
"""一般, 较大, 重大."""
OPEN = ("firing", "acknowledged")
DETECTOR = "detector"


@dataclass(slots=True)
class Finding:
    """What a detector, a rule or an alarm says of one bucket, while it is on and once when it goes off."""

    type: str
    """surge, rule or system."""
    fingerprint: str
    """What merges: the series' name, or ``system:lag`` and the like."""
    firing: bool
    severity: str
    bucket_start: int
    bucket_end: int
    series_id: int | None = None
    kind: int | None = None
    score: float = 0.0
    expected_negative: float = 0.0
    seen_negative: int = 0
    seen_total: int = 0
    window_seconds: int = 0
    arm: str | None = None
    detector_version: str | None = None
    model_id: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    explanation: dict[str, Any] = field(default_factory=dict)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    summary: str | None = None
    quiet: bool = False
    """True: shown, never told to anybody."""


@dataclass(slots=True)
class AlertChange:
    """What became of an alert, for the outbox."""

    alert_id: int
    reason: str | None
    """first, worse, resolved: worth telling; None: only worth keeping."""
    quiet: bool = False


def apply_finding(c: Connection, f: Finding, now_ms: int) -> AlertChange | None:
    """Open an alert, or merge the finding into the one that runs; None if nothing changed.

    News and comments of a series are one alert, from the earlier start to the later end. An alert that a person
    resolved while the detector still fires does not open again until the detector has let go once.
    """
    a = _latest(c, f.fingerprint)
    running = a is not None and (a.state in OPEN or a.ended_at is None)
    if not running:
        return _open(c, f, now_ms) if f.firing else None
    assert a is not None
    key = _kind_name(f.kind)
    on = dict(a.parameters.get("firing", {}))
    if not f.firing and not on.get(key):
        return None
    on[key] = f.firing
    values: dict[str, Any] = {
        "last_bucket_end": max(a.last_bucket_end, f.bucket_end),
        "parameters": {**a.parameters, "firing": on},
        "updated_at": now_ms,
    }
    reason = None
    if f.firing:
        if key not in a.kinds:
            values["kinds"] = sorted([*a.kinds, key])
        values["started_at"] = min(a.started_at, f.bucket_start)
        if f.score > a.score:
            values |= _peak(f)
            values["parameters"] = {**f.parameters, "firing": on}
        if a.state in OPEN and SEVERITIES.index(f.severity) > SEVERITIES.index(a.severity):
            values["severity"] = f.severity
            reason = "worse"
            _event(c, a.id, now_ms, DETECTOR, "worse", None, {"from": a.severity, "to": f.severity, "score": f.score})
    elif not any(on.values()):
        values["ended_at"] = f.bucket_end
        if a.state in OPEN:
            values |= {"state": "resolved", "resolved_at": now_ms, "resolved_by": DETECTOR, "resolution": "ended"}
            reason = "resolved"
            _event(c, a.id, now_ms, DETECTOR, "resolved", f.summary, {"ended_at": f.bucket_end})
        else:
            _event(c, a.id, now_ms, DETECTOR, "ended", f.summary, {"ended_at": f.bucket_end})
    c.execute(update(Alert).where(Alert.id == a.id).values(**values))
    return AlertChange(a.id, reason, f.quiet) if reason or values.keys() - {"updated_at"} else None


def acknowledge(c: Connection, alert_id: int, actor: str, comment: str | None = None, *, now_ms: int) -> AlertChange:
    """Somebody looks after it: no repeats, no escalation.

    Raises:
        StoreError: no such alert, or it is not firing (somebody else was faster, or it is over).
    """
    a = _locked(c, alert_id)
    if a.state != "firing":
        raise StoreError(f"alert {alert_id} is {a.state}{_by(a)}: only a firing alert can be acknowledged")
    values = {"state": "acknowledged", "acknowledged_at": now_ms, "acknowledged_by": actor, "updated_at": now_ms}
    if a.assignee is None:
        values["assignee"] = actor
    c.execute(update(Alert).where(Alert.id == alert_id).values(**values))
    _event(c, alert_id, now_ms, actor, "acknowledged", comment, {})
    return AlertChange(alert_id, None)


def resolve(
    c: Connection, alert_id: int, actor: str, resolution: str, comment: str | None = None, *, now_ms: int
) -> AlertChange:
    """A person closes it, with a word on how it ended.

    Raises:
        StoreError: no such alert, it is resolved already, or the resolution is empty.
    """
    if not resolution.strip():
        raise StoreError("resolution: say in a word how it ended, for example handled or false_alarm")
    a = _locked(c, alert_id)
    if a.state == "resolved":
        raise StoreError(f"alert {alert_id} is resolved already{_by(a)}")
    c.execute(
        update(Alert)
        .where(Alert.id == alert_id)
        .values(state="resolved", resolved_at=now_ms, resolved_by=actor, resolution=resolution, updated_at=now_ms)
    )
    _event(c, alert_id, now_ms, actor, "resolved", comment, {"resolution": resolution})
    return AlertChange(alert_id, "resolved")


def add_comment(c: Connection, alert_id: int, actor: str, comment: str, *, now_ms: int) -> None:
    """Raises:
    StoreError: no such alert, or an empty comment.
    """
    if not comment.strip():
        raise StoreError("comment: it is empty")
    _locked(c, alert_id)
    _event(c, alert_id, now_ms, actor, "commented", comment, {})


def assign(c: Connection, alert_id: int, actor: str, assignee: str | None, *, now_ms: int) -> None:
    """Give it to somebody, or to nobody (None).

    Raises:
        StoreError: no such alert.
    """
    a = _locked(c, alert_id)
    c.execute(update(Alert).where(Alert.id == alert_id).values(assignee=assignee, updated_at=now_ms))
    _event(c, alert_id, now_ms, actor, "assigned", None, {"from": a.assignee, "to": assignee})


def set_level(c: Connection, alert_id: int, actor: str, level: str | None, *, now_ms: int) -> None:
    """Raises:
    StoreError: no such alert or level.
    """
    if level is not None and level not in LEVELS:
        raise StoreError(f"level is {level!r}; use one of {', '.join(LEVELS)}")
    a = _locked(c, alert_id)
    c.execute(update(Alert).where(Alert.id == alert_id).values(level=level, updated_at=now_ms))
    _event(c, alert_id, now_ms, actor, "level", None, {"from": a.level, "to": level})


def record_event(c: Connection, alert_id: int, at: int, actor: str, action: str, data: dict[str, Any]) -> None:
    """An entry in the trail that changes nothing else (a notification given up, a silence that held one back)."""
    _event(c, alert_id, at, actor, action, None, data)


def list_alerts(c: Connection, states: Sequence[str] | None = None, limit: int = 100) -> Sequence[Row[Any]]:
    """Alerts (columns of ``alerts``), the newest first."""
    q = select(Alert.__table__).order_by(Alert.id.desc()).limit(limit)
    return c.execute(q.where(Alert.state.in_(states)) if states else q).all()


def get_alert(c: Connection, alert_id: int) -> tuple[Row[Any], Sequence[Row[Any]], Sequence[Row[Any]]]:
    """(alert, its events in order, its notifications).

    Raises:
        StoreError: no such alert.
    """
    a = c.execute(select(Alert.__table__).where(Alert.id == alert_id)).one_or_none()
    if a is None:
        raise StoreError(f"there is no alert {alert_id}")
    events = c.execute(
        select(AlertEvent.__table__).where(AlertEvent.alert_id == alert_id).order_by(AlertEvent.id)
    ).all()
    sent = c.execute(
        select(Notification.__table__).where(Notification.alert_id == alert_id).order_by(Notification.id)
    ).all()
    return a, events, sent


def _open(c: Connection, f: Finding, now_ms: int) -> AlertChange:
    key = _kind_name(f.kind)
    values = {
        "type": f.type,
        "fingerprint": f.fingerprint,
        "series_id": f.series_id,
        "kinds": [key],
        "state": "firing",
        "severity": f.severity,
        "started_at": f.bucket_start,
        "detected_at": f.bucket_end,
        "last_bucket_end": f.bucket_end,
        "updated_at": now_ms,
        **_peak(f),
        "parameters": {**f.parameters, "firing": {key: True}},
    }
    alert_id = int(c.execute(insert(Alert).values(**values).returning(Alert.id)).scalar_one())
    data = {"score": f.score, "severity": f.severity, "seen": f.seen_negative, "expected": f.expected_negative}
    _event(c, alert_id, now_ms, DETECTOR, "opened", f.summary, data)
    return AlertChange(alert_id, "first", f.quiet)


def _peak(f: Finding) -> dict[str, Any]:
    return {
        "peak_at": f.bucket_end,
        "score": f.score,
        "expected_negative": f.expected_negative,
        "seen_negative": f.seen_negative,
        "seen_total": f.seen_total,
        "window_seconds": f.window_seconds,
        "arm": f.arm,
        "detector_version": f.detector_version,
        "model_id": f.model_id,
        "explanation": f.explanation,
        "evidence": f.evidence,
    }


def _latest(c: Connection, fingerprint: str) -> Row[Any] | None:
    return c.execute(
        select(Alert.__table__)
        .where(Alert.fingerprint == fingerprint)
        .order_by(Alert.id.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()


def _locked(c: Connection, alert_id: int) -> Row[Any]:
    a = c.execute(select(Alert.__table__).where(Alert.id == alert_id).with_for_update()).one_or_none()
    if a is None:
        raise StoreError(f"there is no alert {alert_id}")
    return a


def _event(
    c: Connection, alert_id: int, at: int, actor: str, action: str, comment: str | None, data: dict[str, Any]
) -> None:
    c.execute(
        insert(AlertEvent).values(alert_id=alert_id, at=at, actor=actor, action=action, comment=comment, data=data)
    )


def _kind_name(kind: int | None) -> str:
    return "any" if kind is None else Kind(kind).name.lower()


def _by(a: Row[Any]) -> str:
    who = a.resolved_by if a.state == "resolved" else a.acknowledged_by
    return f" (by {who})" if who else ""
