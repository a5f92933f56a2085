"""Red-line alerts: the leader turns the matches that workers wrote into alerts, each once and within seconds."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from barometer.store import leases
from barometer.store.alerts.life_cycle import AlertChange
from barometer.store.alerts.rule_alerts import RuleFinding, end_rules, open_from_rule
from barometer.store.alerts.rule_hits import MatchedText, drop_handled, is_copy, mark_handled, waiting_hits
from barometer.store.engine import Store
from barometer.store.leases import Lease
from barometer.store.series.sealing import furthest_sealed

HOUR_MS = 3_600_000
PER_TRANSACTION = 200
"""Texts."""
OLD_MS = 24 * HOUR_MS
"""Older texts (an archive that is being imported) open an alert that is shown but not notified."""
KEPT_MS = 90 * 24 * HOUR_MS

OnChange = Callable[[Connection, AlertChange, int], None]


def raise_hits(store: Store, lease: Lease, on_change: OnChange, copy_window_ms: int, hold_ms: int, now_ms: int) -> int:
    """Raise what the rules matched since the last time, and let go of what nothing matched for ``hold_ms`` of the
    stream's time; returns how many texts were looked at.

    A copy of a text that raised the same alert within the copy window raises nothing again.

    Raises:
        StaleWrite: the lease is gone; nothing was written.
    """
    looked_at = 0
    while True:
        with store.write() as c:
            leases.check(store, c, lease)
            waiting = waiting_hits(c, PER_TRANSACTION)
            for matched in waiting:
                if not is_copy(c, matched, copy_window_ms):
                    change = open_from_rule(c, _hit(matched, now_ms), now_ms)
                    if change is not None:
                        on_change(c, change, now_ms)
                mark_handled(c, matched, now_ms)
            looked_at += len(waiting)
            if len(waiting) == PER_TRANSACTION:
                continue
            sealed = furthest_sealed(c)
            if sealed is not None:
                for change in end_rules(c, sealed, hold_ms, now_ms):
                    on_change(c, change, now_ms)
                drop_handled(c, sealed - KEPT_MS)
            return looked_at


def _hit(row: MatchedText, now_ms: int) -> RuleFinding:
    whom = [str(x) for x in row.about or ()]
    words = "：".join(filter(None, ["、".join(whom), "、".join(row.words)]))
    english = ": ".join(filter(None, [", ".join(whom), ", ".join(row.words)]))
    return RuleFinding(
        rule=row.rule,
        series=row.series,
        series_id=None,
        kind=row.kind,
        at=row.observed_at,
        text={
            "row_id": str(row.row_id),
            "observed_at": row.observed_at,
            "kind": row.kind,
            "text": row.text,
            "title": row.title,
            "url": row.url,
            "source": row.source,
            "copies": 1,
            "words": list(row.words),
        },
        severity=row.severity,
        level=row.level,
        words=tuple(row.words),
        summary=f"红线“{row.summary['zh']}”：{words} · Red line “{row.summary['en']}”: {english}",
        quiet=row.quiet or now_ms - row.observed_at > OLD_MS,
        about=tuple(whom),
        figures={
            "title": dict(row.summary),
            "company": row.company,
            "about": whom,
            "tier": row.tier,
            "source": row.source,
        },
    )
