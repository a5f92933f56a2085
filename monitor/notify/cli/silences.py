"""``barometer silences``: keep alerts quiet for a while, or at certain hours (maintenance windows)."""

# ruff: noqa: T201

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from barometer.hours import Window
from barometer.settings import settings
from barometer.store.alerts import silences
from barometer.store.migrate import open_store
from barometer.when import minute, parse_when
from monitor.notify.cli.acts import me, transaction

app = typer.Typer(add_completion=False)
group = typer.Typer(help="Keep alerts quiet for a while.", no_args_is_help=True)
app.add_typer(group, name="silences")


@group.command()
def add(
    why: str = typer.Option(..., help="For whoever finds the silence."),
    until: str = typer.Option(..., help="Its end: a time, or a span like 90m, 6h, 2d."),
    series: str = typer.Option("", help="A series or a pattern: topic:credit_*; * for all."),
    source: str = typer.Option("", help="A source or a pattern: alerts that come mostly from it."),
    word: str = typer.Option("", help="Alerts most of whose texts have this word."),
    severity: str = typer.Option("", help="The worst that is kept quiet: info, warning or critical. Default: all."),
    start: str = typer.Option("now", "--from", help="Its begin."),
    hours: list[str] = typer.Option([], help="Only at these hours: 'sat,sun 00:00-06:00', 'workday 22:00-08:00'."),
) -> None:
    """Make a silence. All that it names must fit. Alerts are shown as silenced; what fires at its end is told."""
    zone = settings().zone
    with transaction() as (c, now):
        begin, end = parse_when(start, now, zone, "--from"), parse_when(until, now, zone, "--until")
        number = silences.add_silence(
            c,
            me(),
            why,
            now,
            starts_at=begin,
            ends_at=end,
            series=series or None,
            source=source or None,
            word=word or None,
            severity=severity or None,
            windows=[Window.parse(h) for h in hours],
        )
    print(f"silence {number} from {minute(begin, zone)} to {minute(end, zone)}")


@group.command("list")
def list_(
    past: bool = typer.Option(False, "--all", help="Those that are over, too."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line, for machines."),
) -> None:
    """Silences that hold or will, with who made them and why, and the alerts that they keep quiet now."""
    store = open_store(settings())
    with store.read() as c:
        now = store.now_ms(c)
        rows = silences.list_silences(c, now, past=past)
        covered: dict[int, list[int]] = {}
        for alert_id, s in silences.silenced_alerts(c, settings(), now).items():
            covered.setdefault(s.id, []).append(alert_id)
    if as_json:
        for row in rows:
            print(json.dumps({**row._mapping, "alerts": covered.get(row.id, [])}, ensure_ascii=False))
        return
    if not rows:
        print("no silences")
        return
    zone = settings().zone
    table = Table("#", "what", "from", "to", "hours", "by", "why", "keeps quiet", box=None)
    for row in rows:
        hours = "; ".join(str(Window.of(w)) for w in row.windows or []) or "always"
        quiet = ", ".join(f"#{n}" for n in covered.get(row.id, []))
        by = row.created_by + (f", ended by {row.expired_by}" if row.expired_by else "")
        period = minute(row.starts_at, zone), minute(row.ends_at, zone)
        table.add_row(*(escape(x) for x in (str(row.id), _what(row), *period, hours, by, row.comment, quiet)))
    Console().print(table)


@group.command()
def expire(
    number: int = typer.Argument(help="The silence's number."), why: str = typer.Option("", help="For colleagues.")
) -> None:
    """End a silence now; what still fires is told."""
    with transaction() as (c, now):
        silences.expire_silence(c, number, me(), why or None, now)
    print(f"silence {number} is over")


def _what(row: Any) -> str:
    parts = [f"{name} {value}" for name in ("series", "source", "word") if (value := getattr(row, name))]
    return ", ".join(parts) + (f", up to {row.severity}" if row.severity else "")
