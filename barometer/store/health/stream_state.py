"""Freshness of the stream (live, quiet, behind, stale, empty), judged once for the status line, Home, Overview and
``barometer status``."""

from __future__ import annotations

from typing import Any, Literal

from barometer.settings import Settings

FRESH_MS = 60_000
"""Progress that is older than this is behind; beyond ``lag_alarm_seconds`` it is stale."""
QUIET_MS = 3_600_000
"""Without a text for so long, or for three buckets where these are wide, nothing on the screens is of now."""
BLIND = frozenset(("broker", "rights", "login", "not_reading", "database", "clock", "unbalanced"))
"""Codes of problems with which texts may exist that are not counted."""

StreamState = Literal["live", "quiet", "behind", "stale", "empty"]


def stream_state(report: dict[str, Any], settings: Settings) -> StreamState:
    """Of a report of :func:`barometer.store.health.status.status`: ``live`` only where all that is in the log has been
    read a moment ago, somebody reads and judges, and texts do come."""
    if report["log"] is None or not report["counts"]["records"]:
        return "empty"
    now, progress = report["now"], report["progress"]
    if report["log"]["replaced_reason"] or progress is None or now - progress > settings.lag_alarm_seconds * 1000:
        return "stale"
    at_work = {p["role"] for p in report["processes"] if p["live"]}
    waiting = report["lag"]["records"] > settings.lag_alarm_records
    blind = any(problem["code"] in BLIND for problem in report["problems"])
    if now - progress > FRESH_MS or not {"worker", "monitor"} <= at_work or waiting or blind:
        return "behind"
    last = report["last_observed_at"]
    return "quiet" if last is None or now - last > max(QUIET_MS, 3 * settings.bucket_ms) else "live"
