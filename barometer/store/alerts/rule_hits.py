"""Texts that red-line rules matched: workers write them with the text, the leader makes alerts of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, func, select, update

from barometer.store.alerts.life_cycle import Severity
from barometer.store.tables import RuleHit


@dataclass(frozen=True, slots=True)
class MatchedText:
    """A text and the rule that it matched; columns of :class:`barometer.store.tables.RuleHit`."""

    row_id: int
    rule: str
    observed_at: int
    series: str
    kind: int
    severity: Severity
    level: str | None
    quiet: bool
    words: Sequence[str]
    company: str | None
    tier: int
    fingerprint: int
    text: str
    title: str | None
    url: str | None
    source: str | None
    summary: Mapping[str, str]
    about: Sequence[str] | None


_COLUMNS = tuple(RuleHit.__table__.c[name] for name in MatchedText.__dataclass_fields__)


def hits_of_rules(c: Connection, since_ms: int) -> Mapping[str, tuple[int, int]]:
    """Name of a rule -> (texts that it matched since a time, when the last was observed), epoch ms."""
    h = RuleHit
    q = select(h.rule, func.count(), func.max(h.observed_at)).where(h.observed_at >= since_ms).group_by(h.rule)
    return {rule: (int(count), int(last)) for rule, count, last in c.execute(q)}


def waiting_hits(c: Connection, limit: int) -> list[MatchedText]:
    """Matches that no alert was made of yet, the oldest first."""
    h = RuleHit
    waiting = select(*_COLUMNS).where(h.handled_at.is_(None)).order_by(h.observed_at, h.row_id, h.rule)
    return [MatchedText(*row) for row in c.execute(waiting.limit(limit))]


def mark_handled(c: Connection, hit: MatchedText, now_ms: int) -> None:
    h = RuleHit
    c.execute(update(h).where(h.row_id == hit.row_id, h.rule == hit.rule).values(handled_at=now_ms))


def is_copy(c: Connection, hit: MatchedText, window_ms: int) -> bool:
    """Whether a copy of the text was handled for the same rule and alert within so long before it."""
    h = RuleHit
    found = exists().where(
        h.series == hit.series,
        h.rule == hit.rule,
        h.fingerprint == hit.fingerprint,
        h.handled_at.is_not(None),
        h.observed_at.between(hit.observed_at - window_ms, hit.observed_at),
    )
    return bool(c.execute(select(found)).scalar())


def drop_handled(c: Connection, before_ms: int) -> None:
    """Delete what was handled and observed before a time."""
    c.execute(delete(RuleHit).where(RuleHit.handled_at.is_not(None), RuleHit.observed_at < before_ms))
