"""Alerts that the detector raised, with their figures."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from barometer.store.tables import Alert


@dataclass(frozen=True, slots=True)
class SurgeAlert:
    """One surge of negative texts in a series. Times are epoch milliseconds."""

    alert_id: int
    series: str
    severity: str
    state: str
    started_at: int
    detected_at: int
    seen_negative: int
    seen_total: int
    expected_negative: float


def surge_alerts(c: Connection) -> list[SurgeAlert]:
    """All surge alerts, the oldest first."""
    a = Alert
    columns = (
        a.id, a.fingerprint, a.severity, a.state, a.started_at, a.detected_at, a.seen_negative, a.seen_total,
        a.expected_negative,
    )  # fmt: skip
    rows = c.execute(select(*columns).where(a.type == "surge").order_by(a.id)).all()
    return [SurgeAlert(*row) for row in rows]
