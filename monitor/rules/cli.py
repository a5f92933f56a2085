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
from barometer.files import BadRow, Form, Source, options
from barometer.files.mapping import MISSING, Columns, Mapper, joined, parse_pairs
from barometer.files.preview import previewed_rows
from barometer.rules import Match, RuleSet, load_rules
from barometer.settings import load_settings
from barometer.times import check_format

app = typer.Typer(help="Red-line rules: test them on texts, show them.", add_completion=False, no_args_is_help=True)

Rules = Annotated[Path | None, typer.Option("--rules", help="A file of rules; the setting's if left out.")]
Kind = Annotated[str, typer.Option("--kind", help="news or comment, where the file doesn't say.")]
Said = Annotated[str | None, typer.Option("--source", help="Who says it, where the file doesn't say.")]


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
    file: Annotated[Path | None, typer.Argument(help="A file of texts; also kind, source, time; - is stdin.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="One text instead of a file.")] = None,
    kind: Kind = "news",
    source: Said = None,
    rules: Rules = None,
    map_: options.Map = [],  # noqa: B006
    set_: options.Set = [],  # noqa: B006
    time_column: Annotated[str, typer.Option(help="Column of the times, or DAY+TIME; default: time, if any.")] = "",
    time_format: options.TimeFormat = "",
    encoding: options.Encoding = "",
    form: options.Format = "",
    delimiter: options.Delimiter = "",
    escape: options.Escape = "",
    sheet: options.Sheet = "",
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
    if time_format:
        check_format(time_format)
    said = parse_pairs("--map", map_), parse_pairs("--set", set_)
    # An error is the file's own where a column of times was named; else `time` is read where there is one.
    columns = Columns(*said, time_column or "time", load_settings().zone, time_format or None)
    mapper, told = Mapper(columns), Console(stderr=True, markup=False, highlight=False)
    given = Form.from_options(encoding, form, delimiter, escape, sheet)

    def say(line: str) -> None:
        told.print(line, soft_wrap=True)

    rows = previewed_rows(Source(str(file), given), Mapper(Columns(*said)), say, kind=False)
    for row in rows:
        if isinstance(row, BadRow):
            raise row
        f = mapper.fields(row)
        if not isinstance(f.get("text"), str) or not f["text"].strip():
            raise BarometerError(f"rules test: {row.where}: no text")
        timed = time_column or joined(row, "time") not in (MISSING, "", None)
        if (its_kind := f.get("kind") or kind) not in ("news", "comment"):
            raise BarometerError(f"rules test: {row.where}: kind must be news or comment, not {its_kind!r:.40}")
        title, its_source, symbols = f.get("title"), f.get("source"), f.get("symbols") or []
        matches = found.match(
            f["text"],
            kind=its_kind,
            observed_at=mapper.time(row) if timed else now,
            title=title if isinstance(title, str) else None,
            source=its_source if isinstance(its_source, str) else source,
            symbols=symbols if isinstance(symbols, list) else [],
        )
        _show(matches, row.line)
    for line in mapper.tally.lines(kind=False):
        say(line)
    mapper.tally.check("stdin" if str(file) == "-" else str(file), kind=False)


def _show(matches: list[Match], number: int) -> None:
    for m in matches:
        line = {
            "row": number,
            "rule": m.rule.name,
            "title": m.rule.title.zh,
            "alert": m.series,
            "words": list(m.words),
            "company": m.company,
            "tier": m.tier,
            "severity": m.rule.severity,
            "level": m.rule.level,
        }
        typer.echo(json.dumps(line, ensure_ascii=False))
