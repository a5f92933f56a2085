"""The life cycle of alerts: ``firing → acknowledged → resolved``, moved by the detector and by people.

A :class:`Finding` is what a detector, a rule or a system check says of one series (and kind) at one bucket.
:func:`apply_finding` turns findings into alerts: those of one fingerprint merge into one alert, which lasts until none
of its kinds fires any more. Every change writes an event: who, when, what and why. All functions run in the caller's
transaction and lock the alert's row, so that two people cannot both acknowledge.

What an alert says of the stream (``started_at``, ``detected_at``, ``peak_at``, ``ended_at``, figures) comes from the
findings alone; clocks only date events and what people did. The same log gives the same alerts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from barometer.matters import Matter, is_known, learnt
from barometer.store.alerts import handling, incidents
from barometer.store.alerts.handling import set_level
from barometer.store.alerts.rows import AlertError
from barometer.store.alerts.rows import event as _event
from barometer.store.alerts.rows import locked as _locked
from barometer.store.alerts.rows import put as _set
from barometer.store.tables import Alert
from barometer.vocabulary import FALSE_ALARM_REASONS, OPEN_STATES, SEVERITIES, AlertType, Severity

DETECTOR = "detector"
MAX_EVIDENCE = 12
KEPT = ("hits", "matters")
"""Of an explanation, what no later peak takes away: what rules were hit by, and which matters people were told of."""
MATTER = "matter"
"""The event of an alert that goes on and is about something else as well: people are told."""
MAX_SCORE = 1e6
"""An infinite score (a probability that underflowed) has no place in JSON."""
TELLING_RISE = 1.1
"""A new peak is worth an event once it is this many times the peak of the last one."""

ChangeReason = Literal["first", "worse", "matter", "resolved"]


@dataclass(slots=True)
class Finding:
    """What a detector says of one fingerprint and kind at one bucket. Times are epoch milliseconds.

    ``fingerprint`` is what merges into one alert: the series' name (``topic:real_estate``) or ``system:lag``. The kinds
    (news, comment) of one series are told apart by ``kind``. ``bucket_start`` may lie before the bucket judged, where
    a window's excess began earlier. ``score`` orders findings of one alert. What was seen and expected is of all kinds
    of the series together; shown are the figures of the latest peak of any kind.
    """

    type: AlertType
    fingerprint: str
    series_id: int | None
    kind: int | None
    firing: bool
    severity: Severity
    bucket_start: int
    bucket_end: int
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
    """Copies of telling texts: row_id, kind, text, title, url, source, observed_at, p_negative, copies."""
    summary: str | None = None
    quiet: bool = False
    """Shown, never notified (a trial topic, an archive that is replayed)."""
    level: str | None = None
    """ordinary, major or grave, where a rule says so; a person's level is never overwritten."""
    rule: str | None = None
    """The name of the rule, where ``type`` is rule."""
    matter: Matter | None = None
    """What the texts at hand are about; None: not known, or nothing new."""

    @property
    def part(self) -> str:
        """Which part of the alert this speaks for: ``surge:1`` for a surge of news, ``rule:1:run_on_bank``."""
        part = f"{self.type}:{'-' if self.kind is None else int(self.kind)}"
        return part if self.rule is None else f"{part}:{self.rule}"

    @property
    def says(self) -> str:
        """Who sets the level that this finding names."""
        return DETECTOR if self.rule is None else f"{handling.RULE}{self.rule}"


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What became of an alert. ``reason`` is why people should be told, or None where they need not be."""

    alert_id: int
    fingerprint: str
    reason: ChangeReason | None


# --- what detectors do -----------------------------------------------------------------------------------------------


def apply_finding(c: Connection, f: Finding, now_ms: int) -> AlertChange | None:
    """Open, carry on or end the alert of a finding's fingerprint; None if there is nothing to say.

    May be called for every bucket, or only where something changes. An alert that a person resolved while the detector
    still held it is not opened again by the same kinds at the same severity about the same matter
    (:mod:`barometer.matters`): it is followed until the detector lets go. Any other firing after a resolution opens a
    new alert, and a new matter in an alert that goes on is an event of its own, which people are told of.

    Raises:
        AlertError: the finding names an unknown severity or level, or ends before it starts.
    """
    if f.severity not in SEVERITIES:
        raise AlertError(f"finding {f.fingerprint}: severity {f.severity!r} is none of {', '.join(SEVERITIES)}")
    if f.level is not None:
        handling.known_level(f.level)
    if f.bucket_end < f.bucket_start:
        raise AlertError(f"finding {f.fingerprint}: it ends at {f.bucket_end}, before it starts at {f.bucket_start}")
    if f.score > MAX_SCORE:
        f = replace(f, score=MAX_SCORE)
    row = c.execute(
        select(Alert.__table__)
        .where(Alert.fingerprint == f.fingerprint, Alert.ended_at.is_(None))
        .order_by(Alert.id.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()
    if not f.firing:
        return _let_go(c, row, f, now_ms) if row is not None else None
    if row is None:
        return _open(c, f, {}, now_ms)
    known = row.explanation.get("matters", [])
    another = f.matter is not None and not f.quiet and not is_known(f.matter, known)
    if row.state in OPEN_STATES:
        return _carry_on(c, row, f, known, another, now_ms)
    parts = row.explanation["kinds"]
    if f.part in parts and parts[f.part]["firing"] and _rank(f.severity) <= _rank(row.severity) and not another:
        c.execute(
            update(Alert)
            .where(Alert.id == row.id)
            .values(last_bucket_end=max(row.last_bucket_end, f.bucket_end), updated_at=now_ms)
        )
        return AlertChange(row.id, row.fingerprint, None)
    # A person had closed it, and this is more than they knew: a new alert takes over what still fires.
    _set(c, row.id, now_ms, ended_at=f.bucket_end)
    _event(c, row.id, now_ms, DETECTOR, "ended", None, {"ended_at": f.bucket_end, "goes_on_in_a_new_alert": True})
    inherited = {key: part for key, part in parts.items() if part["firing"]}
    return _open(c, f, inherited, now_ms, known, row.incident_id if another else None)


def _open(
    c: Connection,
    f: Finding,
    inherited: dict[str, Any],
    now_ms: int,
    known: list[dict[str, Any]] | None = None,
    apart: int | None = None,
) -> AlertChange:
    """``known`` are matters that people have dealt with already, ``apart`` the incident of another matter."""
    parts = {**inherited, f.part: _part(f, None)}
    matters = learnt(known or [], f.matter) if f.matter is not None else known
    if matters:
        f = replace(f, explanation={**f.explanation, "matters": matters})
    alert_id = c.execute(
        insert(Alert)
        .values(
            type=f.type,
            fingerprint=f.fingerprint,
            series_id=f.series_id,
            kinds=_kinds(parts),
            state="firing",
            severity=f.severity,
            started_at=f.bucket_start,
            detected_at=f.bucket_end,
            last_bucket_end=f.bucket_end,
            evidence=f.evidence[:MAX_EVIDENCE],
            updated_at=now_ms,
            **_figures(f, parts, f.quiet),
        )
        .returning(Alert.id)
    ).scalar_one()
    _event(c, alert_id, now_ms, DETECTOR, "opened", f.summary, {"severity": f.severity, **_numbers(f)})
    if f.level is not None:
        set_level(c, alert_id, f.says, f.level, now_ms)
    if f.type != "system":
        _group(c, alert_id, f.evidence, f.bucket_end, now_ms, apart)
    return AlertChange(alert_id, f.fingerprint, "first")


def _group(
    c: Connection, alert_id: int, evidence: list[dict[str, Any]], at: int, now_ms: int, apart: int | None = None
) -> None:
    joined = incidents.place(c, alert_id, evidence, at, now_ms, apart)
    if joined is not None:
        others = [a.id for a in incidents.incident_alerts(c, joined) if a.id != alert_id]
        _event(c, alert_id, now_ms, DETECTOR, "grouped", None, {"incident": joined, "alerts": others})


def _carry_on(
    c: Connection, row: Row[Any], f: Finding, known: list[dict[str, Any]], another: bool, now_ms: int
) -> AlertChange:
    if another and f.matter is not None:
        f = replace(f, explanation={**f.explanation, "matters": learnt(known, f.matter)})
        another = bool(known)  # the first that can be told is no other one
    old = row.explanation["kinds"]
    before = old.get(f.part)
    parts = {**old, f.part: _part(f, before)}
    joined = before is None or not before["firing"]
    higher = f.score > row.score
    # The figures of a surge are those of its peak; of a system alarm people want what holds now.
    peak = higher or f.type == "system"
    worse = _rank(f.severity) > _rank(row.severity)
    quiet = bool(row.explanation.get("quiet")) and f.quiet
    heard = bool(row.explanation.get("quiet")) and not f.quiet
    values: dict[str, Any] = {
        "kinds": _kinds(parts),
        "started_at": min(row.started_at, f.bucket_start),
        "last_bucket_end": max(row.last_bucket_end, f.bucket_end),
        "severity": f.severity if worse else row.severity,
    }
    if worse:
        values["snoozed_until"] = None  # what got worse than what was put off is heard
    if peak:
        values |= _figures(f, parts, quiet, row.explanation)
    else:
        values["explanation"] = {**row.explanation, "kinds": parts, "quiet": quiet}
        if f.type == "surge" and (before is None or f.score > before["score"]):
            # A kind at its own peak, under that of another: the figures are of the event as a whole.
            values |= _counted(f)
            values["explanation"] = {**row.explanation, **f.explanation, "kinds": parts, "quiet": quiet}
        values["explanation"] |= {k: f.explanation[k] for k in KEPT if k in f.explanation}
    if f.evidence and (before is None or f.score > before["score"] or f.type == "rule"):
        values["evidence"] = _merged(row.evidence, f, first=peak)
    told = float(row.explanation.get("told_score", row.score))
    telling = worse or joined or heard or another or (higher and f.score >= told * TELLING_RISE)
    if telling:
        values.setdefault("explanation", row.explanation)
        values["explanation"] = {**values["explanation"], "told_score": max(row.score, f.score)}
        data = {"severity": f.severity, "joined": joined, **_numbers(f)}
        if another and f.matter is not None:
            data["matter"] = list(f.matter.names)
        action = "worse" if worse else MATTER if another else "updated"
        _event(c, row.id, now_ms, DETECTOR, action, f.summary, data)
    elif peak:
        values["explanation"] = {**values["explanation"], "told_score": told}
    _set(c, row.id, now_ms, **values)
    graver = f.level is not None and set_level(c, row.id, f.says, f.level, now_ms)
    if "evidence" in values and f.type != "system":
        _group(c, row.id, values["evidence"], row.detected_at, now_ms)
    reason: ChangeReason | None = "worse" if worse or heard or graver else "matter" if another else None
    return AlertChange(row.id, row.fingerprint, reason)


def _let_go(c: Connection, row: Row[Any], f: Finding, now_ms: int) -> AlertChange | None:
    parts = dict(row.explanation["kinds"])
    part = parts.get(f.part)
    if part is None or not part["firing"]:
        return None
    parts[f.part] = {**part, "firing": False, "until": f.bucket_end}
    values: dict[str, Any] = {
        "explanation": {**row.explanation, "kinds": parts},
        "last_bucket_end": max(row.last_bucket_end, f.bucket_end),
    }
    reason: ChangeReason | None = None
    if any(p["firing"] for p in parts.values()):
        _event(c, row.id, now_ms, DETECTOR, "updated", f.summary, {"let_go": f.part, "bucket_end": f.bucket_end})
    else:
        values["ended_at"] = f.bucket_end
        _event(c, row.id, now_ms, DETECTOR, "ended", f.summary, {"ended_at": f.bucket_end})
        if row.state in OPEN_STATES:
            values |= {"state": "resolved", "resolved_at": now_ms, "resolved_by": DETECTOR}
            _event(c, row.id, now_ms, DETECTOR, "resolved", None, {"was": row.state})
            reason = "resolved"
    _set(c, row.id, now_ms, **values)
    return AlertChange(row.id, row.fingerprint, reason)


def _part(f: Finding, before: dict[str, Any] | None) -> dict[str, Any]:
    """State of one kind within the alert: whether it fires, since when, and its own highest score."""
    since = f.bucket_start
    if before is not None and before["firing"]:
        since = min(since, before["since"])
    score = f.score if before is None else max(f.score, before["score"])
    return {
        "firing": True,
        "since": since,
        "until": None,
        "score": score,
        "severity": f.severity,
        "kind": f.kind,
        "last": f.bucket_end,
    }


def _kinds(parts: dict[str, Any]) -> list[int]:
    return sorted({int(p["kind"]) for p in parts.values() if p["kind"] is not None})


def _figures(f: Finding, parts: dict[str, Any], quiet: bool, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """The columns that show the finding with the highest score."""
    kept = {k: before[k] for k in KEPT if before and k in before}
    explanation = {**kept, **f.explanation, "kinds": parts, "quiet": quiet, "told_score": f.score}
    if f.summary:
        explanation["summary"] = f.summary
    return {
        **_counted(f),
        "peak_at": f.bucket_end,
        "score": f.score,
        "arm": f.arm,
        "detector_version": f.detector_version,
        "model_id": f.model_id,
        "parameters": f.parameters,
        "explanation": explanation,
    }


def _counted(f: Finding) -> dict[str, Any]:
    return {
        "expected_negative": f.expected_negative,
        "seen_negative": f.seen_negative,
        "seen_total": f.seen_total,
        "window_seconds": f.window_seconds,
    }


def _numbers(f: Finding) -> dict[str, Any]:
    return {
        "kind": f.kind,
        "score": round(f.score, 3),
        "seen_negative": f.seen_negative,
        "seen_total": f.seen_total,
        "expected_negative": round(f.expected_negative, 3),
        "window_seconds": f.window_seconds,
        "bucket_end": f.bucket_end,
        **({"rule": f.rule} if f.rule is not None else {}),
    }


def _merged(kept: list[dict[str, Any]], f: Finding, *, first: bool) -> list[dict[str, Any]]:
    """The finding's texts beside those of other kinds: each side keeps room for half, the higher score leads."""
    if f.type == "rule":
        rows = {e.get("row_id") for e in f.evidence} - {None}
        return (f.evidence + [e for e in kept if e.get("row_id") not in rows])[:MAX_EVIDENCE]
    others = [e for e in kept if (f.kind is not None and e.get("kind") != f.kind) or e.get("rule")]
    own = f.evidence[: MAX_EVIDENCE - min(len(others), MAX_EVIDENCE // 2)]
    others = others[: MAX_EVIDENCE - len(own)]
    return own + others if first else others + own


# --- what people do --------------------------------------------------------------------------------------------------


def acknowledge(c: Connection, alert_id: int, actor: str, comment: str | None, now_ms: int) -> AlertChange:
    """Somebody takes the alert in hand, and the others of its incident that fire: none is repeated any more.

    Raises:
        AlertError: there is no such alert, or it is acknowledged or resolved already; says by whom.
    """
    row = _locked(c, alert_id)
    if row.state == "acknowledged":
        raise AlertError(f"alert {alert_id} was acknowledged already, by {row.acknowledged_by}")
    if row.state == "resolved":
        raise AlertError(f"alert {alert_id} was resolved already, by {row.resolved_by}: nothing to acknowledge")
    same = [alert_id]
    if row.incident_id is not None:
        found = incidents.incident_alerts(c, row.incident_id)
        same += [a.id for a in found if a.state == "firing" and a.id != alert_id]
    for i in same:
        _set(c, i, now_ms, state="acknowledged", acknowledged_at=now_ms, acknowledged_by=actor, snoozed_until=None)
        _event(c, i, now_ms, actor, "acknowledged", comment, {"with": alert_id} if i != alert_id else {})
    return AlertChange(alert_id, row.fingerprint, None)


def resolve(
    c: Connection,
    alert_id: int,
    actor: str,
    resolution: str | None,
    comment: str | None,
    now_ms: int,
    reason: str | None = None,
) -> AlertChange:
    """Somebody closes the alert, acknowledged or not; the detector may still hold it (see :func:`apply_finding`).

    Args:
        resolution: real, false_alarm, known or other.
        reason: why it was a false alarm, one of :data:`barometer.vocabulary.FALSE_ALARM_REASONS`; kept in the event.

    Raises:
        AlertError: there is no such alert, it is resolved already (says by whom), or there is no such reason.
    """
    if reason is not None and reason not in FALSE_ALARM_REASONS:
        raise AlertError(f"reason {reason!r}: use one of {', '.join(FALSE_ALARM_REASONS)}")
    row = _locked(c, alert_id)
    if row.state == "resolved":
        raise AlertError(f"alert {alert_id} was resolved already, by {row.resolved_by}")
    _set(c, alert_id, now_ms, state="resolved", resolved_at=now_ms, resolved_by=actor, resolution=resolution)
    data = {"was": row.state, "resolution": resolution, **({"reason": reason} if reason else {})}
    _event(c, alert_id, now_ms, actor, "resolved", comment, data)
    if resolution == "false_alarm":
        handling.waive_open_steps(c, alert_id, actor, "a false alarm", now_ms)
    return AlertChange(alert_id, row.fingerprint, "resolved")


def comment(c: Connection, alert_id: int, actor: str, text: str, now_ms: int) -> None:
    """A remark, in any state.

    Raises:
        AlertError: there is no such alert, or the remark is empty.
    """
    _locked(c, alert_id)
    if not text.strip():
        raise AlertError("comment: say something")
    _event(c, alert_id, now_ms, actor, "commented", text, {})


def assign(c: Connection, alert_id: int, actor: str, assignee: str | None, now_ms: int) -> None:
    """Give an open alert to somebody; None takes it away.

    Raises:
        AlertError: there is no such alert, or it is resolved.
    """
    row = _locked(c, alert_id)
    if row.state == "resolved":
        raise AlertError(f"alert {alert_id} is resolved: it cannot be assigned")
    if row.assignee != assignee:
        _set(c, alert_id, now_ms, assignee=assignee)
        _event(c, alert_id, now_ms, actor, "assigned", None, {"from": row.assignee, "to": assignee})


def record_event(
    c: Connection, alert_id: int, now_ms: int, actor: str, action: str, comment: str | None, data: dict[str, Any]
) -> None:
    """Add to an alert's history what happened around it (silenced, notification_failed ...)."""
    _event(c, alert_id, now_ms, actor, action, comment, data)


# --- rows ------------------------------------------------------------------------------------------------------------


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity)


__all__ = [
    "DETECTOR",
    "AlertChange",
    "AlertError",
    "Finding",
    "Severity",
    "acknowledge",
    "apply_finding",
    "assign",
    "comment",
    "record_event",
    "resolve",
    "set_level",
]
