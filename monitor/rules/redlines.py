"""The leader's part of red-line rules: what workers found becomes alerts, within seconds, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, exists, select, update
from sqlalchemy.orm import aliased

from barometer.store import leases
from barometer.store.alerts.life_cycle import AlertChange
from barometer.store.alerts.rule_alerts import RuleHit as Hit
from barometer.store.alerts.rule_alerts import end_rules, open_from_rule
from barometer.store.engine import Store
from barometer.store.leases import Lease
from barometer.store.series.sealing import furthest_sealed
from barometer.store.tables import RuleHit

HOUR_MS = 3_600_000
STEP = 200
"""Texts taken in a transaction."""
OLD_MS = 24 * HOUR_MS
"""Older texts open an alert that is shown and told to nobody: an archive that is being imported."""
KEPT_MS = 90 * 24 * HOUR_MS

OnChange = Callable[[Connection, AlertChange, int], None]


def raise_hits(store: Store, lease: Lease, on_change: OnChange, copy_window_ms: int, hold_ms: int, now_ms: int) -> int:
    """Raise what the rules matched since the last time, and let go of what nothing matched for ``hold_ms`` of the
    stream's time; returns how many texts were looked at.

    A copy of a text that raised the same alert within the copy window raises nothing again.

    Raises:
        StaleWrite: the lease is gone; nothing was written.
    """
    looked = 0
    while True:
        with store.write() as c:
            leases.check(store, c, lease)
            waiting = c.execute(
                select(RuleHit.__table__)
                .where(RuleHit.handled_at.is_(None))
                .order_by(RuleHit.observed_at, RuleHit.row_id, RuleHit.rule)
                .limit(STEP)
            ).all()
            for row in waiting:
                if not _told_before(c, row, copy_window_ms):
                    change = open_from_rule(c, _hit(row, now_ms), now_ms)
                    if change is not None:
                        on_change(c, change, now_ms)
                c.execute(
                    update(RuleHit)
                    .where(RuleHit.row_id == row.row_id, RuleHit.rule == row.rule)
                    .values(handled_at=now_ms)
                )
            looked += len(waiting)
            if len(waiting) == STEP:
                continue
            sealed = furthest_sealed(c)
            if sealed is not None:
                for change in end_rules(c, sealed, hold_ms, now_ms):
                    on_change(c, change, now_ms)
                c.execute(
                    delete(RuleHit).where(RuleHit.handled_at.is_not(None), RuleHit.observed_at < sealed - KEPT_MS)
                )
            return looked


def _told_before(c: Connection, row: Any, window_ms: int) -> bool:
    other = aliased(RuleHit)
    return bool(
        c.execute(
            select(
                exists().where(
                    other.series == row.series, other.rule == row.rule, other.fingerprint == row.fingerprint,
                    other.handled_at.is_not(None),
                    other.observed_at.between(row.observed_at - window_ms, row.observed_at),
                )
            )
        ).scalar()
    )  # fmt: skip


def _hit(row: Any, now_ms: int) -> Hit:
    whom = [str(x) for x in row.about or ()]
    words = "：".join(filter(None, ["、".join(whom), "、".join(row.words)]))
    english = ": ".join(filter(None, [", ".join(whom), ", ".join(row.words)]))
    return Hit(
        rule=row.rule, series=row.series, series_id=None, kind=row.kind, at=row.observed_at,
        text={"row_id": str(row.row_id), "observed_at": row.observed_at, "kind": row.kind, "text": row.text,
              "title": row.title, "url": row.url, "source": row.source, "copies": 1, "words": list(row.words)},
        severity=row.severity, level=row.level, words=tuple(row.words),
        summary=f"红线“{row.summary['zh']}”：{words} · Red line “{row.summary['en']}”: {english}",
        quiet=row.quiet or now_ms - row.observed_at > OLD_MS,
        about=tuple(whom),
        figures={"title": dict(row.summary), "company": row.company, "about": whom, "tier": row.tier,
                 "source": row.source},
    )  # fmt: skip
