"""Silences: for a while nobody is told of alerts that match; they are shown as silenced. Maintenance windows are
silences that hold at certain hours only.

All that a silence names must fit: the series, the source and a word of most texts (two thirds of the voices), the
severity (up to its own, so that what gets worse is heard), the hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from barometer.errors import BarometerError
from barometer.hours import Window, end_of_hours
from barometer.settings import Settings
from barometer.store.alerts.rows import event
from barometer.store.tables import Alert, AlertEvent, AuditEntry, Silence
from barometer.vocabulary import OPEN_STATES, SEVERITIES
from barometer.workdays import Workdays

MOST = 2 / 3
"""Share of an alert's voices that a silence by source or word must cover."""


class SilenceError(BarometerError):
    """A silence is malformed, or there is no such silence."""


@dataclass(frozen=True, slots=True)
class Silenced:
    """Which silence covers an alert, and until when."""

    id: int
    until: int
    by: str
    why: str


def add_silence(
    c: Connection,
    actor: str,
    why: str,
    now_ms: int,
    *,
    starts_at: int,
    ends_at: int,
    series: str | None = None,
    source: str | None = None,
    word: str | None = None,
    severity: str | None = None,
    windows: Sequence[Window | str] = (),
) -> int:
    """Make a silence; returns its number. Kept in the audit log.

    Args:
        series, source: names or patterns with ``*``.
        severity: the worst that is still silenced; None: all.
        windows: hours at which it holds, of the days of the settings' zone; none: always.

    Raises:
        SilenceError: nothing is named, no reason is given, or the times do not fit.
    """
    if not why.strip():
        raise SilenceError("say why: who finds the silence needs to know")
    if not (series or source or word):
        raise SilenceError("name a series, a source or a word; '*' as series silences everything")
    if severity is not None and severity not in SEVERITIES:
        raise SilenceError(f"severity {severity!r}: use one of {', '.join(SEVERITIES)}")
    if ends_at <= max(starts_at, now_ms):
        raise SilenceError("a silence ends after it starts, and in the time to come")
    hours = [Window.of(w) for w in windows]
    values: dict[str, Any] = {
        "series": series,
        "source": source,
        "word": word,
        "severity": severity,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "comment": why,
        "windows": [{"days": ",".join(w.days), "from": w.begin, "to": w.end} for w in hours] or None,
    }
    made = insert(Silence).values(created_by=actor, created_at=now_ms, **values).returning(Silence.id)
    silence_id = int(c.execute(made).scalar_one())
    _audit(c, now_ms, actor, "silence.add", silence_id, values)
    return silence_id


def made_just_now(
    c: Connection,
    actor: str,
    why: str,
    now_ms: int,
    within_ms: int,
    *,
    series: str | None = None,
    source: str | None = None,
    word: str | None = None,
) -> int | None:
    """The number of the same silence that the same person made a moment ago and that still holds: a second click."""
    s = Silence
    named = ((s.series, series), (s.source, source), (s.word, word))
    same = select(s.id).where(
        s.created_by == actor,
        s.created_at >= now_ms - within_ms,
        s.ends_at > now_ms,
        s.comment == why,
        *(column.is_not_distinct_from(value) for column, value in named),
    )
    return c.execute(same.limit(1)).scalar()


def expire_silence(c: Connection, silence_id: int, actor: str, why: str | None, now_ms: int) -> None:
    """End a silence now; what still fires is told.

    Raises:
        SilenceError: there is no such silence, or it is over.
    """
    row = c.execute(select(Silence.__table__).where(Silence.id == silence_id).with_for_update()).one_or_none()
    if row is None:
        raise SilenceError(f"there is no silence {silence_id}")
    if row.ends_at <= now_ms:
        raise SilenceError(f"silence {silence_id} is over already")
    c.execute(update(Silence).where(Silence.id == silence_id).values(ends_at=now_ms, expired_by=actor))
    _audit(c, now_ms, actor, "silence.expire", silence_id, {"why": why, "was_to_end_at": row.ends_at})


def find_silence(c: Connection, silence_id: int) -> Row[Any] | None:
    return c.execute(select(Silence.__table__).where(Silence.id == silence_id)).one_or_none()


def list_silences(c: Connection, now_ms: int, *, past: bool = False, limit: int = 200) -> Sequence[Row[Any]]:
    """Silences that hold or will (columns of ``silences``), the first to end first; with ``past`` those that are over,
    too, the newest first."""
    q = select(Silence.__table__)
    q = q.order_by(Silence.id.desc()) if past else q.where(Silence.ends_at > now_ms).order_by(Silence.ends_at)
    return c.execute(q.limit(limit)).all()


class Silencer:
    """The silences that hold at a time; says of alerts whether they are silenced."""

    def __init__(self, c: Connection, settings: Settings, now_ms: int) -> None:
        rows = c.execute(
            select(Silence.__table__)
            .where(Silence.starts_at <= now_ms, Silence.ends_at > now_ms)
            .order_by(Silence.ends_at.desc(), Silence.id)
        ).all()
        self._holding: list[tuple[Row[Any], int]] = []
        workdays = Workdays.of(settings)
        for row in rows:
            until: int | None = row.ends_at
            if row.windows:
                until = end_of_hours([Window.of(w) for w in row.windows], now_ms, settings.zone, workdays)
            if until is not None:
                self._holding.append((row, min(until, row.ends_at)))
        self._holding.sort(key=lambda x: (-x[1], x[0].id))

    def of(self, alert: Mapping[str, Any]) -> Silenced | None:
        """The silence that covers an alert: the one that lasts longest, or None.

        Args:
            alert: columns of ``alerts``; ``evidence`` only where silences name sources or words.
        """
        for row, until in self._holding:
            if _covers(row, alert):
                return Silenced(row.id, until, row.created_by, row.comment)
        return None

    def note(self, c: Connection, alert_id: int, silenced: Silenced, data: dict[str, Any], now_ms: int) -> None:
        """Write on the alert that a silence keeps it quiet, once a silence."""
        before = c.execute(
            select(AlertEvent.data).where(AlertEvent.alert_id == alert_id, AlertEvent.action == "silenced")
        ).scalars()
        if any(d.get("silence") == silenced.id for d in before):
            return
        data = {"silence": silenced.id, "until": silenced.until, **data}
        event(c, alert_id, now_ms, silenced.by, "silenced", silenced.why, data)


def silenced_alerts(c: Connection, settings: Settings, now_ms: int) -> dict[int, Silenced]:
    """The open alerts that are silenced now, by number: for screens and lists."""
    silencer = Silencer(c, settings, now_ms)
    if not silencer._holding:
        return {}
    rows = c.execute(select(Alert.__table__).where(Alert.state.in_(OPEN_STATES))).all()
    found = {row.id: silencer.of(dict(row._mapping)) for row in rows}
    return {alert_id: s for alert_id, s in found.items() if s is not None}


def _covers(silence: Row[Any], alert: Mapping[str, Any]) -> bool:
    if silence.series is not None and not fnmatchcase(alert["fingerprint"], silence.series):
        return False
    if silence.severity is not None and SEVERITIES.index(alert["severity"]) > SEVERITIES.index(silence.severity):
        return False
    if silence.source is not None and not _source_fits(silence.source, alert):
        return False
    if silence.word is not None:
        word = silence.word.casefold()
        return _voices(alert, lambda e: word in f"{e.get('title') or ''} {e.get('text') or ''}".casefold())
    return True


def _source_fits(pattern: str, alert: Mapping[str, Any]) -> bool:
    name = alert["fingerprint"]
    if name.startswith("system:silent:"):
        return fnmatchcase(name.removeprefix("system:silent:"), pattern)
    listed = alert["explanation"].get("names") if name.startswith("system:silent_sources") else None
    if listed:
        return sum(fnmatchcase(str(x), pattern) for x in listed) >= MOST * len(listed)
    return _voices(alert, lambda e: fnmatchcase(str(e.get("source") or ""), pattern))


def _voices(alert: Mapping[str, Any], fits: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether most of an alert's voices fit; one without texts does not."""
    weights = [(max(1, int(e.get("copies") or 1)), fits(e)) for e in alert["evidence"]]
    total = sum(n for n, _ in weights)
    return total > 0 and sum(n for n, fit in weights if fit) >= MOST * total


def _audit(c: Connection, at: int, actor: str, action: str, silence_id: int, data: dict[str, Any]) -> None:
    c.execute(insert(AuditEntry).values(at=at, actor=actor, action=action, object=str(silence_id), data=data))
