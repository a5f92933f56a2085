"""What red lines found of late."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from barometer.store.tables import RuleHit


def hits_of_rules(c: Connection, since_ms: int) -> Mapping[str, tuple[int, int]]:
    """Name of a rule -> (texts that it matched since a time, when the last was observed), epoch ms."""
    h = RuleHit
    q = select(h.rule, func.count(), func.max(h.observed_at)).where(h.observed_at >= since_ms).group_by(h.rule)
    return {rule: (int(count), int(last)) for rule, count, last in c.execute(q)}
