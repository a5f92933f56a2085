"""Alarms about the product itself: lag, missing ticks, silent sources, unscored texts, a replaced log, no worker.

Each is a condition that is looked at every few seconds and becomes a finding of type ``system``; it opens an alert when
it holds and resolves it when it no longer does. What each means and what to do is in ``docs/monitor.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from barometer.settings import Settings
from barometer.store.alerts import AlertChange, Finding, Severity, apply_finding
from barometer.store.engine import Store
from barometer.store.leases import Lease, check, progress_lease
from barometer.store.status import read_status
from barometer.store.tables import Alert
from barometer.store.tables import Lease as LeaseRow
from monitor import metrics

PREFIX = "system:"
IMPORT_WRITERS = "produce"


@dataclass(frozen=True, slots=True)
class Condition:
    """One alarm: its name, how bad it is, what to say, the figures behind it."""

    name: str
    severity: Severity
    summary: str
    figures: dict[str, Any]


class Alarms:
    """Looks at the store and opens or resolves system alerts.

    Args:
        on_change: called inside the transaction for every change of an alert (the outbox).
    """

    def __init__(self, store: Store, settings: Settings, on_change: Any = None) -> None:
        self._store, self._settings, self._on_change = store, settings, on_change

    def check(self, lease: Lease) -> list[AlertChange]:
        """Look once.

        Raises:
            StaleWrite: the lease is gone.
        """
        with self._store.read() as c:
            report = read_status(c, self._store, self._settings)
            importing = self._importing(c, report["now"])
        now = int(report["now"])
        if report["watermark"] is not None:
            metrics.WATERMARK_AGE.set((now - report["watermark"]) / 1000)
        holding = {x.name: x for x in self._conditions(report, importing)}
        changes: list[AlertChange] = []
        with self._store.write() as c:
            check(self._store, c, lease)
            fingerprints = c.execute(
                select(Alert.fingerprint).where(Alert.type == "system", Alert.ended_at.is_(None))
            ).scalars()
            over = [f for f in sorted(set(fingerprints)) if f.removeprefix(PREFIX) not in holding]
            for condition in holding.values():
                self._apply(c, _finding(condition, now, True), now, changes)
            for fingerprint in over:
                gone = Condition(fingerprint.removeprefix(PREFIX), "info", "over", {})
                self._apply(c, _finding(gone, now, False), now, changes)
        return changes

    def _apply(self, c: Connection, finding: Finding, now: int, changes: list[AlertChange]) -> None:
        change = apply_finding(c, finding, now)
        if change is not None:
            changes.append(change)
            if self._on_change is not None:
                self._on_change(c, change, now)

    def _importing(self, c: Connection, now: int) -> bool:
        """Whether somebody other than the leader writes the topic's progress: then it is no live topic just now."""
        row = c.execute(
            select(LeaseRow).where(LeaseRow.name == progress_lease(self._settings.topic_documents))
        ).one_or_none()
        return row is not None and row.expires_at > now and not row.holder.startswith("monitor-")

    def _conditions(self, report: dict[str, Any], importing: bool) -> Iterator[Condition]:
        s, log, lag = self._settings, report["log"], report["lag"]
        if log is None:
            return
        if log["replaced_reason"]:
            yield Condition("log_replaced", "critical", log["replaced_reason"], {"topic": log["topic"]})
            return
        if lag["records"] > s.lag_alarm_records:
            yield Condition(
                "lag", "warning", f"{lag['records']:,} records wait to be read", {"records": lag["records"]}
            )
        if not importing and s.progress_from == "records":
            yield from self._ticks(report, lag["partitions"])
        if not any(p["role"] == "worker" and p["live"] for p in report["processes"]):
            yield Condition("no_worker", "critical", "no worker has been heard of for half a minute", {})
        share = report["unscored"]["share"]
        if share is not None and report["unscored"]["documents"] >= 50 and share > s.unscored_alarm_share:
            figures = {"share": round(share, 3), "documents": report["unscored"]["documents"]}
            yield Condition(
                "unscored", "warning", f"{share:.0%} of the last hour's texts could not be labelled", figures
            )
        for source in report["sources"]:
            if source["silent"]:
                figures = {"source": source["name"], "last_observed_at": source["last_observed_at"]}
                yield Condition(f"silent:{source['name']}", "warning", f"{source['name']} has fallen silent", figures)

    def _ticks(self, report: dict[str, Any], partitions: list[dict[str, Any]]) -> Iterator[Condition]:
        """Progress that does not come: the leader cannot write it, or nobody reads it."""
        now = report["now"]
        allowed = 10 * self._settings.progress_interval_seconds * 1000 + self._settings.lateness_ms
        old = [p["partition"] for p in partitions if p["progress_t"] is None or now - p["progress_t"] > allowed]
        missing = report["log"]["partitions"] - len(partitions)
        if not old and not missing:
            return
        # Records that wait explain old progress; then the age of what is read counts as lag.
        behind = sum(p["lag"] or 0 for p in partitions)
        age = report["lag"]["seconds"]
        if behind and age is not None and age > self._settings.lag_alarm_seconds:
            figures = {"seconds": round(age), "records": behind}
            yield Condition("lag", "warning", f"reading is {age:.0f} s behind the present", figures)
        elif not behind:
            figures = {"partitions": old, "never_read": missing}
            yield Condition("missing_ticks", "critical", f"no progress in {len(old) + missing} partitions", figures)


def _finding(condition: Condition, now: int, firing: bool) -> Finding:
    return Finding(
        type="system",
        fingerprint=PREFIX + condition.name,
        series_id=None,
        kind=None,
        firing=firing,
        severity=condition.severity,
        bucket_start=now,
        bucket_end=now,
        explanation=condition.figures,
        summary=condition.summary,
    )
