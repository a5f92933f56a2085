"""Incidents: alerts that share a cause. One story in several topics, or about several companies, is one incident, and
people are told once.

Alerts share a cause where the same documents, or near-copies, make up half of what either is about, counted by voices.
Only alerts that the detector still holds are looked at, so that the same log gives the same incidents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from barometer.store.likeness import alike, sketch
from barometer.store.tables import Alert, Incident

SHARE = 0.5
"""Of an alert's voices, or of the incident's, that must be common to both."""
MOST_TEXTS = 24
"""Texts that an incident is known by."""
MOST_OPEN = 50
"""Open incidents that a new alert is compared with, the newest first."""


def place(c: Connection, alert_id: int, evidence: Sequence[Mapping[str, Any]], at: int, now_ms: int) -> int | None:
    """Put a new alert, or one whose texts have changed, into the incident that it belongs to.

    Returns the incident if the alert has joined others in it, else None.

    Args:
        evidence: the alert's texts: ``text``, and ``row_id`` and ``copies`` where known.
        at: when the alert was detected.
    """
    own = c.execute(select(Alert.incident_id).where(Alert.id == alert_id)).scalar_one()
    texts = [_known_by(e) for e in evidence if e.get("text")]
    if own is not None and _members(c, own) > 1:
        _learn(c, own, texts, now_ms)
        return None
    held = select(Alert.incident_id).where(Alert.ended_at.is_(None), Alert.id != alert_id).distinct()
    others = c.execute(
        select(Incident.__table__)
        .where(Incident.id.in_(held), Incident.id != (own or 0))
        .order_by(Incident.id.desc())
        .limit(MOST_OPEN)
    ).all()
    best = max(others, key=lambda row: (_common(texts, row.sketches), -row.id), default=None) if texts else None
    if best is not None and _common(texts, best.sketches) >= SHARE:
        c.execute(update(Alert).where(Alert.id == alert_id).values(incident_id=best.id))
        _learn(c, best.id, texts, now_ms)
        return int(best.id)
    if own is None:
        made = insert(Incident).values(opened_at=at, sketches=texts[:MOST_TEXTS], updated_at=now_ms)
        own = c.execute(made.returning(Incident.id)).scalar_one()
        c.execute(update(Alert).where(Alert.id == alert_id).values(incident_id=own))
    else:
        _learn(c, own, texts, now_ms)
    return None


def incident_alerts(c: Connection, incident_id: int) -> Sequence[Any]:
    """The alerts of an incident, the first one first: id, fingerprint, state, severity, level, started_at, ended_at."""
    a = Alert
    return c.execute(
        select(a.id, a.fingerprint, a.state, a.severity, a.level, a.started_at, a.ended_at)
        .where(a.incident_id == incident_id)
        .order_by(a.id)
    ).all()


def _known_by(e: Mapping[str, Any]) -> list[Any]:
    """[row, voices, sketch]; rows are text, since they do not fit the numbers of JSON."""
    row = e.get("row_id")
    return [None if row is None else str(row), max(1, int(e.get("copies") or 1)), sketch(str(e["text"]))]


def _common(texts: list[list[Any]], others: list[list[Any]]) -> float:
    """Share of voices that both have, of the one that has less else."""
    if not texts or not others:
        return 0.0
    return max(_covered(texts, others), _covered(others, texts))


def _covered(texts: list[list[Any]], others: list[list[Any]]) -> float:
    rows = {t[0] for t in others if t[0] is not None}
    found = set(alike([t[2] for t in texts], [t[2] for t in others]))
    found |= {i for i, t in enumerate(texts) if t[0] in rows}
    return sum(texts[i][1] for i in found) / sum(t[1] for t in texts)


def _learn(c: Connection, incident_id: int, texts: list[list[Any]], now_ms: int) -> None:
    kept = c.execute(select(Incident.sketches).where(Incident.id == incident_id)).scalar_one()
    known = {t[0] for t in kept} - {None}
    copies = set(alike([t[2] for t in texts], [t[2] for t in kept]))
    new = [t for i, t in enumerate(texts) if i not in copies and t[0] not in known]
    if new and len(kept) < MOST_TEXTS:
        values = {"sketches": (kept + new)[:MOST_TEXTS], "updated_at": now_ms}
        c.execute(update(Incident).where(Incident.id == incident_id).values(**values))


def _members(c: Connection, incident_id: int) -> int:
    return int(c.execute(select(func.count()).where(Alert.incident_id == incident_id)).scalar_one())
