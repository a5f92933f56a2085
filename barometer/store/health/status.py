"""The state of the whole product in one report: for ``barometer status``, the System page and the line of truth.

It never guesses calm: what is unknown is None, and every reason to distrust the figures is a problem with a code.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from sqlalchemy import Connection, case, func, select

from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.processes import list_processes
from barometer.store.health.stream_state import stream_state
from barometer.store.leases import LEADER
from barometer.store.series.totals import sealed_until
from barometer.store.stream.log_epochs import current_log
from barometer.store.stream.sources import read_sources
from barometer.store.stream.topic_settings import topic_settings
from barometer.store.stream.watermark import watermark
from barometer.store.tables import (
    Alert,
    Document,
    Job,
    Lease,
    Notification,
    Offset,
    Rollup,
    Series,
)
from barometer.store.waiting import refuses_writes

HOUR_MS = 3_600_000
NAMED = 12
"""Names that a sentence lists."""
CLOCKS_APART_MS = 60_000
GONE_AFTER_MS = 30_000
"""A process without a heartbeat for so long counts as gone."""
WAITS_FOR_BROKER = ("broker away",)
REFUSALS = {"not authorised": "rights", "login failed": "login"}
"""States of whoever the broker does not serve, as :mod:`barometer.broker.errors` has them, and the problem's code."""
ALARMS_SAID = {"log_replaced": "replaced"}
"""Alarms that a problem of another name says already; the others are called alike, or are said as they are."""
MOST_ALARMS = 50
_COUNTS = ("records", "documents", "repeats", "dead_letters", "tombstones", "progress_records", "late")


def status(store: Store, settings: Settings, *, probe: bool = False) -> dict[str, Any]:
    """Everything that an operator asks first, as plain JSON values (times: epoch ms).

    Args:
        probe: also try a write that changes nothing: who cannot write cannot tell us so through the store.

    Returns:
        now, log, progress (everything written up to then has been read), watermark (progress less lateness:
        nothing older follows), sealed_until, lag {records, seconds, partitions}, throughput (documents a second
        over the last minute), counts (``difference``: records unaccounted for, 0 when all is well), unscored,
        sources (the silent and the busiest, of ``sources_known``), processes, leader, leases, jobs, topics (what is
        wrong with their settings in Kafka), alerts, alarms (running ones about the product), notifications, stream
        (:func:`barometer.store.health.stream_state.stream_state`), problems (each with a code, its figures and a text).
    """
    refused = refuses_writes(store) if probe else None
    with store.read() as c:
        report = read_status(c, store, settings)
    if refused is not None:
        report["database"] = refused
        judge(report, settings)
    return report


def read_status(c: Connection, store: Store, settings: Settings) -> dict[str, Any]:
    """:func:`status` inside a transaction of the caller's."""
    now = store.now_ms(c)
    log = current_log(c, settings.topic_documents)
    offsets = _offsets(c, log)
    through = None if log is None else watermark(c, log, settings, now)
    # What has not been read cannot be heard: a source is silent by the time that reading has come to, not by the clock.
    heard_until = now if through is None else min(now, through + settings.lateness_ms)
    sources = read_sources(c, heard_until, settings.silent_source_factor)
    report: dict[str, Any] = {
        "now": now,
        "log": None
        if log is None
        else {
            "id": log.id,
            "cluster_id": log.cluster_id,
            "topic": log.topic,
            "partitions": log.partitions,
            "replaced_reason": log.replaced_reason,
        },
        "watermark": through,
        "sealed_until": sealed_until(c),
        "last_observed_at": max((o["last_observed_at"] for o in offsets if o["last_observed_at"]), default=None),
        "counts": _counts(offsets),
        "unscored": _unscored(c, now),
        "sources": sources.listed,
        "sources_known": sources.known,
        "sources_active": sources.active,
        "sources_silent": sources.silent,
        "processes": _processes(c, now),
        "leases": [
            {"name": r.name, "holder": r.holder, "term": r.term, "expires_at": r.expires_at, "live": r.expires_at > now}
            for r in c.execute(select(Lease.__table__).order_by(Lease.name))
        ],
        "jobs": [dict(r._mapping) for r in c.execute(select(Job.__table__).order_by(Job.name))],
        "topics": topic_settings(c),
        "alerts": _by_state(c, Alert.state),
        "alarms": _alarms(c),
        "notifications": _by_state(c, Notification.state),
    }
    progress = report["progress"] = None if through is None else through + settings.lateness_ms
    report["lag"] = {
        "records": sum(o["lag"] for o in offsets if o["lag"] is not None),
        "seconds": None if progress is None else max(0.0, (now - progress) / 1000),
        "partitions": offsets,
    }
    report["throughput"] = _throughput(c, now, report["processes"])
    report["leader"] = next((x["holder"] for x in report["leases"] if x["name"] == LEADER and x["live"]), None)
    judge(report, settings)
    return report


def judge(report: dict[str, Any], settings: Settings) -> None:
    """Say of a report what is wrong (``problems``) and whether it is of now (``stream``); again when more is known."""
    report["problems"] = problems(report, settings)
    report["stream"] = stream_state(report, settings)


def problems(report: dict[str, Any], settings: Settings) -> list[dict[str, Any]]:
    """What needs a person, worst first."""
    out: list[dict[str, Any]] = []

    def say(code: str, text: str, **values: Any) -> None:
        out.append({"code": code, "text": text, **values})

    log, lag, counts = report["log"], report["lag"], report["counts"]
    live = {p["role"] for p in report["processes"] if p["live"]}
    if log is not None and log["replaced_reason"]:
        say("replaced", f"the log was replaced: {log['replaced_reason']}", reason=log["replaced_reason"])
    if counts["difference"]:
        n = counts["difference"]
        say("unbalanced", f"the accounts of the log do not balance: {n} records", difference=n)
    stuck = {p["state"]: p["role"] for p in report["processes"] if p["live"] and p["state"].startswith("database ")}
    if report.get("database"):
        stuck.setdefault(report["database"], "status")
    for state, role in sorted(stuck.items()):
        say("database", f"{state}: nothing is written until that is mended (said by: {role})", state=state)
    for code, reasons in refusals(report).items():
        for reason, who in sorted(reasons.items()):
            say(code, f"{reason} (said by: {', '.join(who)})", reason=reason, names=", ".join(who))
    for p in report["processes"]:
        if p["live"] and p["state"] in WAITS_FOR_BROKER:
            say("broker", f"{p['role']} {p['id']}: {p['state']}{_reason(p)}", state=p["state"], process=p["id"])
        elif p["live"] and p["state"] == "not reading":
            say("not_reading", f"{p['id']} does not read what is there{_reason(p)}", process=p["id"])
    for f in (report.get("topics") or {}).get("findings", ()):
        if f["level"] == "problem":
            say("topic", f["text"], name=f["name"], topic=f["topic"], remedy=f["remedy"])
    if "worker" not in live:
        say("no_worker", "no worker is running")
    if "monitor" not in live:
        say("no_monitor", "no monitor is running")
    if log is None or not counts["records"]:
        say("empty", "nothing has been read yet")
    elif report["progress"] is None:
        say("no_progress", "a partition has no progress record: nothing can be sealed")
    elif lag["seconds"] > settings.lag_alarm_seconds:
        say("stale", f"progress in the log stopped {lag['seconds']:.0f} s ago", seconds=round(lag["seconds"]))
    ahead = progress_ahead(report, settings)
    if ahead is not None:
        say(
            "clock",
            f"progress in the log is {ahead} s ahead of the database's clock: texts count as late",
            seconds=ahead,
        )
    if lag["records"] > settings.lag_alarm_records:
        say("lag", f"{lag['records']} records are waiting to be read", records=lag["records"])
    if report["sources_silent"]:
        names = first_names((s["name"] for s in report["sources"] if s["silent"]), report["sources_silent"])
        say("silent", f"silent sources: {names}", names=names, n=report["sources_silent"])
    share = report["unscored"]["share"]
    if share is not None and share > settings.unscored_alarm_share:
        say("unscored", f"{share:.0%} of the last hour's texts are unscored", share=f"{share:.0%}")
    for job in report["jobs"]:
        if job["ok"] is False and refusal(job) is None:
            message = job["message"] or ""
            say("job", f"job {job['name']} failed: {message}", name=job["name"], message=message)
    said = {p["code"] for p in out}
    for alarm in report["alarms"]:
        if ALARMS_SAID.get(alarm["name"].partition(":")[0], alarm["name"].partition(":")[0]) not in said:
            say("alarm", f"an alarm runs: {alarm['name']} ({alarm['severity']})", name=alarm["name"])
    if report["notifications"].get("failed"):
        n = report["notifications"]["failed"]
        say("notifications", f"{n} notifications could not be delivered", failed=n)
    return out


def refusals(report: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """What the broker refuses us: code (``rights``, ``login``) -> reason -> who says it."""
    out: dict[str, dict[str, list[str]]] = {}
    for p in report["processes"]:
        if p["live"] and p["state"] in REFUSALS:
            reason = str((p["info"] or {}).get("reason") or p["state"])
            out.setdefault(REFUSALS[p["state"]], {}).setdefault(reason, []).append(p["role"])
    for job in report["jobs"]:
        found = refusal(job)
        if found is not None:
            out.setdefault(found[0], {}).setdefault(found[1], []).append(f"job {job['name']}")
    return out


def refusal(job: dict[str, Any]) -> tuple[str, str] | None:
    """(code, reason) if a job of the leader fails because the broker refuses it."""
    state, _, reason = str(job["message"] or "").partition(": ")
    code = REFUSALS.get(state)
    return None if job["ok"] is not False or code is None else (code, reason)


def first_names(names: Iterable[str], n: int) -> str:
    """The first few names of ``n``, and how many more there are.

    >>> first_names(["a", "b"], 2)
    'a, b'
    >>> first_names((f"s{i}" for i in range(20)), 200)[-13:]
    ' s11 … (+188)'
    """
    shown = list(islice(names, NAMED))
    return ", ".join(shown) + (f" … (+{n - len(shown)})" if n > len(shown) else "")


def _reason(process: dict[str, Any]) -> str:
    reason = (process["info"] or {}).get("reason")
    return f": {reason}" if reason else ""


def progress_ahead(report: dict[str, Any], settings: Settings) -> int | None:
    """By how many seconds a partition's progress is ahead of the present, if by more than clocks may differ: whoever
    wrote it had a wrong clock, and what is said until then comes too late for its bucket."""
    if settings.progress_from != "records":
        return None
    latest = max((o["progress_t"] for o in report["lag"]["partitions"] if o["progress_t"] is not None), default=None)
    if latest is None or latest - report["now"] <= settings.lateness_ms + CLOCKS_APART_MS:
        return None
    return int((latest - report["now"]) // 1000)


def _offsets(c: Connection, log: Any) -> list[dict[str, Any]]:
    if log is None:
        return []
    rows = c.execute(select(Offset.__table__).where(Offset.log_id == log.id).order_by(Offset.partition))
    out = [dict(r._mapping) for r in rows]
    for o in out:
        o["lag"] = None if o["high_water"] is None else max(0, o["high_water"] - o["next_offset"])
    return out


def _counts(offsets: list[dict[str, Any]]) -> dict[str, int]:
    out = {name: sum(o[name] for o in offsets) for name in _COUNTS}
    parts = ("documents", "repeats", "dead_letters", "tombstones", "progress_records")
    out["difference"] = out["records"] - sum(out[name] for name in parts)
    return out


def _unscored(c: Connection, now: int) -> dict[str, Any]:
    total, unscored = c.execute(
        select(func.sum(Rollup.total), func.sum(Rollup.unscored))
        .join(Series, Series.id == Rollup.series_id)
        .where(Series.name == "all", Rollup.bucket >= now - HOUR_MS, Rollup.bucket <= now + HOUR_MS)
    ).one()
    return {
        "documents": int(total or 0),
        "unscored": int(unscored or 0),
        "share": int(unscored or 0) / int(total) if total else None,
    }


def _processes(c: Connection, now: int) -> list[dict[str, Any]]:
    return [
        {**p._asdict(), "live": now - p.seen_at <= GONE_AFTER_MS and p.state != "stopped"} for p in list_processes(c)
    ]


def _throughput(c: Connection, now: int, processes: list[dict[str, Any]]) -> float:
    """Documents a second over the last minute: what the live workers say of themselves, else the texts of that
    minute (the same on a live stream)."""
    rates = [p["info"].get("documents_per_second") for p in processes if p["role"] == "worker" and p["live"]]
    known = [float(x) for x in rates if x is not None]
    if known:
        return sum(known)
    recent = c.execute(
        select(func.count())
        .select_from(Document)
        .where(Document.observed_at > now - 60_000, Document.observed_at <= now)
    ).scalar_one()
    return int(recent) / 60


def _alarms(c: Connection) -> list[dict[str, Any]]:
    """Alarms about the product that run, acknowledged or not, the worst first."""
    a = Alert
    worst = case({"critical": 0, "warning": 1}, value=a.severity, else_=2)
    rows = c.execute(
        select(a.id, a.fingerprint, a.severity, a.state, a.started_at)
        .where(a.type == "system", a.ended_at.is_(None), a.state != "resolved")
        .order_by(worst, a.id.desc())
        .limit(MOST_ALARMS)
    )
    return [
        {
            "id": r.id,
            "name": r.fingerprint.removeprefix("system:"),
            "severity": r.severity,
            "state": r.state,
            "started_at": r.started_at,
        }
        for r in rows
    ]


def _by_state(c: Connection, column: Any) -> dict[str, int]:
    return {str(state): int(n) for state, n in c.execute(select(column, func.count()).group_by(column))}
