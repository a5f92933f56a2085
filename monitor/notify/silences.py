"""Silences: for a while nobody is told of alerts that match; they stay on the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Connection, Row, select

from barometer.store.alerts import SEVERITIES
from barometer.store.tables import Silence


def silence_of(c: Connection, alert: Mapping[str, Any], now_ms: int) -> Row[Any] | None:
    """The silence that covers an alert now: the one that lasts longest, or None.

    A silence with a severity covers alerts up to that severity, so that what gets worse than it is heard.
    """
    rows = c.execute(
        select(Silence.__table__)
        .where(Silence.starts_at <= now_ms, Silence.ends_at > now_ms)
        .order_by(Silence.ends_at.desc(), Silence.id)
    )
    return next((row for row in rows if _covers(row, alert)), None)


def _covers(silence: Row[Any], alert: Mapping[str, Any]) -> bool:
    if silence.series is not None and not fnmatchcase(alert["fingerprint"], silence.series):
        return False
    if silence.severity is None:
        return True
    return SEVERITIES.index(alert["severity"]) <= SEVERITIES.index(silence.severity)
