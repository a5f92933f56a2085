"""Alarms about the product itself: lag, missing ticks, silent sources, unscored texts, a replaced log, no worker,
sealing that is behind, jobs that fail.

Each is a condition that is looked at every few seconds and becomes a finding of type ``system``; it opens an alert when
it holds and resolves it when it has not held for a while: what comes and goes is one alert. One cause, one alarm: what
another alarm explains is not said again. What each means and what to do is in ``docs/monitor.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import Connection

from barometer.settings import Settings
from barometer.store.alerts.life_cycle import AlertChange, Finding, apply_finding
from barometer.store.alerts.system_alerts import not_confirmed_since
from barometer.store.engine import Store
from barometer.store.health.status import WAITS_FOR_BROKER, progress_ahead, read_status, refusal, refusals
from barometer.store.leases import Lease, check, last_lease, progress_lease
from barometer.store.stream.sources import MOST_SOURCES, OTHERS
from monitor import metrics
from monitor.alarms.conditions import PREFIX, Condition
from monitor.alarms.silent_sources import SilentAlarm, fallen_silent, silent_alarms

HOLD_SECONDS = 60.0
"""An alarm ends when its condition has not held for so long."""
PATIENCE_SECONDS = 60.0
"""How long a condition that may pass by itself must hold before it is an alarm."""
FIRST_READ = 2.0
"""At a first start every partition has to be assigned, written to and read: patience times this."""
MOST_BEHIND_MS = 600_000
"""Sealing may be two buckets behind the watermark, or so much."""


class Alarms:
    """Looks at the store and opens or resolves system alerts.

    Args:
        on_change: called inside the transaction for every change of an alert (the outbox).
        more: yields conditions that other parts check.
        hold_seconds, patience_seconds: 0 in tests, which do not wait.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        on_change: Callable[[Connection, AlertChange, int], None] | None = None,
        *,
        more: Callable[[Connection, int], Iterable[Condition]] | None = None,
        hold_seconds: float = HOLD_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._store, self._settings, self._on_change, self._more = store, settings, on_change, more
        self._hold_ms, self._patience = int(hold_seconds * 1000), patience_seconds
        self._since: dict[str, int] = {}
        """When each condition that holds was first seen to."""

    def check(self, lease: Lease) -> list[AlertChange]:
        """Look once.

        Raises:
            StaleWrite: the lease is gone.
        """
        with self._store.read() as c:
            report = read_status(c, self._store, self._settings)
            silent = silent_alarms(c)
            importing = self._importing(c, report["now"])
            more = list(self._more(c, report["now"])) if self._more is not None else []
        now = int(report["now"])
        if report["watermark"] is not None:
            metrics.WATERMARK_AGE.set((now - report["watermark"]) / 1000)
        holding = self._holding(report, importing, silent, more)
        changes: list[AlertChange] = []
        with self._store.write() as c:
            check(self._store, c, lease)
            lapsed = not_confirmed_since(c, now - self._hold_ms)
            over = [f for f in lapsed if f.removeprefix(PREFIX) not in holding]
            for condition in holding.values():
                self._apply(c, _finding(condition, now, True), now, changes)
            for fingerprint in over:
                gone = Condition(fingerprint.removeprefix(PREFIX), "info", "over", {})
                self._apply(c, _finding(gone, now, False), now, changes)
        return changes

    def _holding(
        self, report: dict[str, Any], importing: bool, silent: list[SilentAlarm], more: list[Condition]
    ) -> dict[str, Condition]:
        now = int(report["now"])
        found = {x.name: x for x in [*self._conditions(report, importing, silent), *more]}
        self._since = {name: self._since.get(name, now) for name in found}
        return {name: x for name, x in found.items() if now - self._since[name] >= x.patience * 1000}

    def _apply(self, c: Connection, finding: Finding, now: int, changes: list[AlertChange]) -> None:
        change = apply_finding(c, finding, now)
        if change is not None:
            changes.append(change)
            if self._on_change is not None:
                self._on_change(c, change, now)

    def _importing(self, c: Connection, now: int) -> bool:
        """Whether somebody other than the leader writes the topic's progress: then it is no live topic just now."""
        lease = last_lease(c, progress_lease(self._settings.topic_documents))
        return lease is not None and lease.expires_at > now and not lease.holder.startswith("monitor-")

    def _conditions(self, report: dict[str, Any], importing: bool, silent: list[SilentAlarm]) -> Iterator[Condition]:
        s, log, lag = self._settings, report["log"], report["lag"]
        yield from self._broker(report)
        if log is None:
            return
        if log["replaced_reason"]:
            yield Condition("log_replaced", "critical", log["replaced_reason"], {"topic": log["topic"]})
            return
        alive = any(p["role"] == "worker" and p["live"] for p in report["processes"])
        stuck = sorted({p["state"] for p in report["processes"] if p["live"] and p["state"].startswith("database ")})
        if stuck:
            text = f"a process cannot write: {', '.join(stuck)}"
            yield Condition("database", "critical", text, {"states": stuck}, self._patience)
        for f in (report.get("topics") or {}).get("findings", ()):
            if f["level"] == "problem":
                figures = {"found": f["found"], "needed": f["needed"], "remedy": f["remedy"]}
                yield Condition(f"topic:{f['topic']} {f['name']}", "critical", f["text"], figures, self._patience)
        yield from self._rule_files(report["processes"])
        ahead = progress_ahead(report, self._settings)
        if ahead is not None:
            text = f"progress in the log is {ahead} s ahead of the database's clock: texts until then count as late"
            yield Condition("clock", "critical", text, {"seconds": ahead})
        if not alive:
            yield Condition("no_worker", "critical", "no worker has been heard of for half a minute", {})
        behind = self._lag(lag, importing)
        if behind is not None:
            yield behind
        elif alive and not lag["records"] and not importing and not refusals(report):
            yield from self._ticks(report, lag["partitions"])
        yield from self._own_work(report)
        share = report["unscored"]["share"]
        if share is not None and report["unscored"]["documents"] >= 50 and share > s.unscored_alarm_share:
            figures = {"share": round(share, 3), "documents": report["unscored"]["documents"]}
            yield Condition(
                "unscored", "warning", f"{share:.0%} of the last hour's texts could not be labelled", figures
            )
        if report["sources_known"] >= MOST_SOURCES:
            text = f"{MOST_SOURCES:,} names of sources are known: texts under new ones count as {OTHERS}"
            yield Condition("source_names", "warning", text, {"sources": report["sources_known"]})
        if alive and behind is None:  # what is not read cannot be heard
            yield from fallen_silent(report, silent)

    def _broker(self, report: dict[str, Any]) -> Iterator[Condition]:
        """The broker refuses us, or workers run and do not read: it is away, or the group keeps their partitions from
        them. True before there is a log, too: who has no rights never sees one."""
        for code, reasons in refusals(report).items():
            text = "; ".join(f"{reason} (said by: {', '.join(who)})" for reason, who in sorted(reasons.items()))
            yield Condition(code, "critical", text, {"reasons": sorted(reasons)})
        workers = [p for p in report["processes"] if p["role"] == "worker" and p["live"]]
        away = sorted(p["id"] for p in workers if p["state"] in WAITS_FOR_BROKER)
        if away:
            why = {str(p["info"]["reason"]) for p in workers if p["id"] in away and (p["info"] or {}).get("reason")}
            text = f"no broker answers {', '.join(away)}{': ' if why else ''}{'; '.join(sorted(why))}"
            yield Condition("broker", "critical", text, {"workers": away}, self._patience)
        idle = {p["id"]: (p["info"] or {}).get("reason", "") for p in workers if p["state"] == "not reading"}
        if idle:
            text = "; ".join(f"{name} does not read: {reason}" for name, reason in sorted(idle.items()))
            yield Condition("not_reading", "critical", text, {"workers": sorted(idle)})

    def _rule_files(self, processes: list[dict[str, Any]]) -> Iterator[Condition]:
        """A worker whose new file of red lines is refused: texts are held against the last good one."""
        faults = {(p["info"] or {}).get("rules_fault") for p in processes if p["live"]} - {None}
        for fault in sorted(map(str, faults))[:1]:
            yield Condition("rules_file", "warning", "the new file of red lines is refused", {"message": fault})

    def _lag(self, lag: dict[str, Any], importing: bool) -> Condition | None:
        """Records wait: too many of them, or for too long. An archive that is being imported is old by itself."""
        records, seconds = lag["records"], lag["seconds"]
        if records > self._settings.lag_alarm_records:
            return Condition("lag", "warning", f"{records:,} records wait to be read", {"records": records})
        if records and not importing and seconds is not None and seconds > self._settings.lag_alarm_seconds:
            figures = {"records": records, "seconds": round(seconds)}
            return Condition("lag", "warning", f"reading is {seconds:.0f} s behind the present", figures)
        return None

    def _ticks(self, report: dict[str, Any], partitions: list[dict[str, Any]]) -> Iterator[Condition]:
        """Progress that does not come though all is read: it cannot be written, or a partition is not read."""
        s, now = self._settings, report["now"]
        never = report["log"]["partitions"] - len(partitions)
        if s.progress_from == "timestamps":
            if never:
                text = f"{never} partitions have never had a record: nothing can be sealed"
                yield Condition("missing_ticks", "critical", text, {"never_read": never}, self._patience)
            return
        allowed = 10 * s.progress_interval_seconds * 1000 + s.lateness_ms
        old = [p["partition"] for p in partitions if p["progress_t"] is None or now - p["progress_t"] > allowed]
        if old or never:
            figures = {"partitions": old, "never_read": never}
            text = f"no progress in {len(old) + never} partitions"
            yield Condition("missing_ticks", "critical", text, figures, FIRST_READ * self._patience)

    def _own_work(self, report: dict[str, Any]) -> Iterator[Condition]:
        """The leader's own work: sealing that is behind, jobs that fail."""
        through, sealed = report["watermark"], report["sealed_until"]
        if through is not None and sealed is not None:
            behind = through - sealed
            if behind > max(2 * self._settings.bucket_ms, MOST_BEHIND_MS):
                text = f"sealing is {behind // 60_000} min behind what has been read"
                yield Condition("sealing", "critical", text, {"seconds": behind // 1000}, self._patience)
        for job in report["jobs"]:
            # Progress that cannot be written shows as missing ticks.
            if job["ok"] is False and job["name"] != "progress" and refusal(job) is None:
                text = f"the job {job['name']} fails: {job['message']}"
                figures = {"job": job["name"], "message": job["message"]}
                yield Condition(f"job:{job['name']}", "warning", text, figures, self._patience)


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
