"""``barometer status`` for people: what needs them first, then the figures."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from barometer.alarm_runbook import RUNBOOK
from barometer.vocabulary import Lang
from barometer.when import in_zone

SOURCES = 50
"""Sources that the table names: the silent ones, then the busiest."""
_STREAM = {
    "live": "live: the last text is of {at}",
    "quiet": "quiet: no text since {at}",
    "behind": "behind: what is shown is not of now; the last text is of {at}",
    "stale": "stale: nothing has been read for long; the last text is of {at}",
    "empty": "empty: nothing was read yet",
}
SPELT_OUT = ("replaced", "clock")
"""Neither mends itself, and a hasty act does harm: what to do is said at once."""


def print_status(report: dict[str, Any], zone: ZoneInfo) -> None:
    """Print a report of :func:`barometer.store.health.status.status`, with times of ``zone``. Names from the stream are
    plain text."""

    def at(ms: int | None) -> str:
        return _time(ms, now, zone)

    console = Console(highlight=False, markup=False)
    now = report["now"]
    for problem in report["problems"]:
        console.print(Text(f"! {problem['text']}", style="red"), soft_wrap=True)  # a command can be copied
        if problem["code"] in SPELT_OUT:
            _what_to_do(console, problem["code"])
    running = report["alerts"].get("firing", 0) + report["alerts"].get("acknowledged", 0)
    if not report["problems"]:
        beside = f"; {running} alerts about the stream are open" if running else ""
        fine = not running and report["stream"] == "live"
        console.print(Text(f"nothing is wrong with Barometer itself{beside}", style="green" if fine else "yellow"))
    log, lag, counts = report["log"], report["lag"], report["counts"]
    console.print()
    if log:
        console.print(f"log         {log['topic']} of cluster {log['cluster_id']}, {log['partitions']} partitions")
    console.print(f"stream      {_STREAM[report['stream']].format(at=at(report['last_observed_at']))}", soft_wrap=True)
    console.print(f"leader      {report['leader'] or 'none'}")
    console.print(f"watermark   {at(report['watermark'])}")
    console.print(f"sealed to   {at(report['sealed_until'])}")
    reading = any(p["role"] == "worker" and p["live"] for p in report["processes"])
    waiting = f"{lag['records']:,} records"
    if not reading:  # what came since nobody has counted
        waiting = f"unknown, since no worker reads ({waiting} when one last did)"
    console.print(f"lag         {waiting}, progress {_span(lag['seconds'])} old", soft_wrap=True)
    console.print(f"throughput  {report['throughput']:.1f} documents a second")
    console.print(
        f"records     {counts['records']:,} = {counts['documents']:,} documents + {counts['repeats']:,} repeats + "
        f"{counts['dead_letters']:,} dead letters + {counts['tombstones']:,} tombstones + "
        f"{counts['progress_records']:,} progress records; {counts['late']:,} of the documents late"
    )
    share = report["unscored"]["share"]
    console.print(f"unscored    {'no texts' if share is None else f'{share:.1%}'} in the last hour")
    alerts = report["alerts"]
    console.print(f"alerts      {alerts.get('firing', 0)} firing, {alerts.get('acknowledged', 0)} acknowledged")
    _topics(console, report)
    _table(
        console,
        "processes",
        ("role", "host", "pid", "state", "last seen"),
        [(p["role"], p["host"], str(p["pid"]), p["state"], at(p["seen_at"])) for p in report["processes"]],
    )
    _table(
        console,
        "jobs",
        ("job", "last run", "outcome"),
        [(j["name"], at(j["started_at"]), _outcome(j)) for j in report["jobs"]],
    )
    _table(
        console,
        "sources",
        ("source", "last text", "last day", "last week"),
        [
            (
                f"{s['name']}{' (SILENT)' if s['silent'] else ''}",
                at(s["last_observed_at"]),
                f"{s['last_day']:,}",
                f"{s['last_week']:,}",
            )
            for s in report["sources"][:SOURCES]
        ],
    )
    more = report["sources_known"] - SOURCES
    if more > 0:
        console.print(f"… and {more:,} sources more; --json has {len(report['sources']):,} of them")


def _topics(console: Console, report: dict[str, Any]) -> None:
    """Settings of the topics that are worth knowing; what endangers texts stands among the problems."""
    known = report["topics"]
    if known is None:
        why = report.get("topics_not_asked", "nobody has looked yet")
        console.print(Text(f"topics      not looked at: {why}"))
        return
    age = f" {_span((report['now'] - known['at']) / 1000)} ago" if report.get("topics_not_asked") else ""
    lines = [f["text"] for f in known["findings"] if f["level"] == "note"] + known["unchecked"]
    if not known["findings"] and not lines:
        console.print(f"topics      settings as they must be{age}")
    for line in lines:
        console.print(Text(f"topics      {line}{age}"), soft_wrap=True)


def _what_to_do(console: Console, code: str) -> None:
    langs: tuple[Lang, ...] = ("zh", "en")
    for lang in langs:
        meaning, steps = RUNBOOK[code][lang]
        console.print(Text(f"  {meaning}"))
        for n, step in enumerate(steps, 1):
            console.print(Text(f"    {n}. {step}"))


def _table(console: Console, title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, header_style="dim")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print()
    console.print(table)


def _outcome(job: dict[str, Any]) -> str:
    if job["ok"] is None:
        return "running"
    return "ok" if job["ok"] else f"FAILED: {job['message'] or ''}"


def _time(ms: int | None, now: int, zone: ZoneInfo) -> str:
    if ms is None:
        return "-"
    return f"{in_zone(ms, zone)} ({_span((now - ms) / 1000)} ago)"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
