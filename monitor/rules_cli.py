"""``barometer rules``: what the red lines are, and what they say of a text."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from barometer.errors import BarometerError
from barometer.files import BadRow, parse_time, read_rows
from barometer.rules import Match, RuleSet, load_rules
from barometer.settings import load_settings

app = typer.Typer(help="Red-line rules: test them on texts, show them.", add_completion=False, no_args_is_help=True)

Rules = Annotated[Path | None, typer.Option("--rules", help="A file of rules; the setting's if left out.")]
Kind = Annotated[str, typer.Option("--kind", help="news or comment, where the file doesn't say.")]
Source = Annotated[str | None, typer.Option("--source", help="Who says it, where the file doesn't say.")]


def _rules(path: Path | None) -> RuleSet:
    return load_rules(path or load_settings().rules_file)


@app.command("list")
def list_rules(rules: Rules = None) -> None:
    """The rules in force."""
    found = _rules(rules)
    table = Table("rule", "名称 title", "severity", "level", "tiers", "companies", "words")
    for r in found.rules:
        tiers = ",".join(map(str, r.tiers))
        table.add_row(
            r.name, f"{r.title.zh} {r.title.en}", r.severity, r.level or "", tiers, r.companies, str(len(r.any))
        )
    Console().print(table)
    Console().print(f"{len(found.companies)} watched companies")


@app.command("test")
def try_rules(
    file: Annotated[
        Path | None, typer.Argument(help="CSV or JSONL (or .gz) with text; also kind, source, time.")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="One text instead of a file.")] = None,
    kind: Kind = "news",
    source: Source = None,
    rules: Rules = None,
) -> None:
    """Which rule a text matches, and why: one JSON line for each match."""
    found = _rules(rules)
    if (file is None) == (text is None):
        raise BarometerError("rules test: name a file, or give one text with --text")
    if kind not in ("news", "comment"):
        raise BarometerError(f"rules test: --kind must be news or comment, not {kind!r}")
    now = time.time_ns() // 1_000_000
    if text is not None:
        _show(found.match(text, kind=kind, observed_at=now, source=source), 1)
        return
    zone = load_settings().zone
    for row in read_rows(str(file)):
        if isinstance(row, BadRow):
            raise row
        f = row.fields
        if not isinstance(f.get("text"), str):
            raise BarometerError(f"rules test: {row.where}: no text")
        at = parse_time(f["time"], zone) if f.get("time") else now
        symbols = f.get("symbols") or []
        matches = found.match(
            f["text"], kind=f.get("kind") or kind, observed_at=now if at is None else at, title=f.get("title"),
            source=f.get("source") or source, symbols=symbols if isinstance(symbols, list) else str(symbols).split("|"),
        )  # fmt: skip
        _show(matches, row.line)


def _show(matches: list[Match], number: int) -> None:
    for m in matches:
        line = {"row": number, "rule": m.rule.name, "title": m.rule.title.zh, "alert": m.series, "words": list(m.words),
                "company": m.company, "tier": m.tier, "severity": m.rule.severity, "level": m.rule.level}  # fmt: skip
        typer.echo(json.dumps(line, ensure_ascii=False))
