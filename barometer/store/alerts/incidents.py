"""Incidents: alerts that share a cause. One story in several topics, or about several companies, is one incident, and
people are told once.

Alerts share a cause where the same documents, or near-copies, make up half of what either is about, counted by voices.
The same words about another institution are no copy: two banks that are run on are two incidents.
Only alerts that the detector still holds are looked at, so that the same log gives the same incidents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, insert, select, update

from barometer.matters import named, same_name
from barometer.near_duplicates import alike, matches, sketch
from barometer.store.tables import Alert, Incident

SHARE = 0.5
"""Of an alert's voices, or of the incident's, that must be common to both."""
MOST_TEXTS = 24
"""Texts that an incident is known by."""
MOST_OPEN = 50
"""Open incidents that a new alert is compared with, the newest first."""


def place(
    c: Connection, alert_id: int, evidence: Sequence[Mapping[str, Any]], at: int, now_ms: int, apart: int | None = None
) -> int | None:
    """Put a new alert, or one whose texts have changed, into the incident that it belongs to.

    Returns the incident if the alert has joined others in it, else None.

    Args:
        evidence: the alert's texts: ``text``, and ``row_id`` and ``copies`` where known.
        at: when the alert was detected.
        apart: the incident of another matter, which it does not belong to.
    """
    own = c.execute(select(Alert.incident_id).where(Alert.id == alert_id)).scalar_one()
    texts = [_known_by(e) for e in evidence if e.get("text")]
    if own is not None and _members(c, own) > 1:
        _learn(c, own, texts, now_ms)
        return None
    held = select(Alert.incident_id).where(Alert.ended_at.is_(None), Alert.id != alert_id).distinct()
    others = c.execute(
        select(Incident.__table__)
        .where(Incident.id.in_(held), Incident.id.not_in([own or 0, apart or 0]))
        .order_by(Incident.id.desc())
        .limit(MOST_OPEN)
    ).all()
    best = _closest(texts, others)
    if best is not None:
        c.execute(update(Alert).where(Alert.id == alert_id).values(incident_id=best))
        _learn(c, best, texts, now_ms)
        return best
    if own is None:
        made = insert(Incident).values(opened_at=at, sketches=texts[:MOST_TEXTS], updated_at=now_ms)
        own = c.execute(made.returning(Incident.id)).scalar_one()
        c.execute(update(Alert).where(Alert.id == alert_id).values(incident_id=own))
    else:
        _learn(c, own, texts, now_ms)
    return None


def incident_alerts(c: Connection, incident_id: int) -> Sequence[Any]:
    """The alerts of an incident, the first one first: id, fingerprint, state, severity, level, started_at, ended_at,
    explanation."""
    a = Alert
    return c.execute(
        select(a.id, a.fingerprint, a.state, a.severity, a.level, a.started_at, a.ended_at, a.explanation)
        .where(a.incident_id == incident_id)
        .order_by(a.id)
    ).all()


def _known_by(e: Mapping[str, Any]) -> list[Any]:
    """[row, voices, sketch, names]; rows are text, since they do not fit the numbers of JSON."""
    row, text = e.get("row_id"), str(e["text"])
    return [None if row is None else str(row), max(1, int(e.get("copies") or 1)), sketch(text), named(text)]


def _closest(texts: list[list[Any]], incidents: Sequence[Any]) -> int | None:
    """The incident that shares most with these texts, if that is enough: of the voices that both have, the share of the
    one that has less else. Of several, the oldest."""
    theirs = [(n, t) for n, row in enumerate(incidents) for t in row.sketches]
    if not texts or not theirs:
        return None
    common = matches([t[2] for t in texts], [t[2] for _, t in theirs])  # (own texts, texts of all incidents)
    for i, j in zip(*np.nonzero(common), strict=True):
        common[i, j] = _of_one(texts[i], theirs[j][1])
    rows = {t[0]: i for i, t in enumerate(texts) if t[0] is not None}
    for j, (_, t) in enumerate(theirs):
        if t[0] in rows:
            common[rows[t[0]], j] = True
    owner = np.array([n for n, _ in theirs])
    own, other = (np.array([float(t[1]) for t in ts]) for ts in (texts, [t for _, t in theirs]))
    best: tuple[float, int] | None = None
    for n in sorted(set(owner[common.any(axis=0)])):
        part, weights = common[:, owner == n], other[owner == n]
        share = max(own[part.any(axis=1)].sum() / own.sum(), weights[part.any(axis=0)].sum() / weights.sum())
        found = (float(share), -int(incidents[n].id))
        best = found if best is None else max(best, found)
    return -best[1] if best is not None and best[0] >= SHARE else None


def _of_one(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two texts that are alike name the same, or one of them names nobody (older ones were kept without)."""
    left, right = a[3] if len(a) > 3 else (), b[3] if len(b) > 3 else ()
    return not left or not right or any(same_name(x, y) for x in left for y in right)


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
