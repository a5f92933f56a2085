"""``barometer backtest``."""

from __future__ import annotations

import json
import os
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from barometer.errors import BarometerError
from barometer.files import Form, options
from barometer.files.mapping import Columns, parse_pairs
from barometer.settings import settings
from barometer.times import check_format
from barometer.workdays import Sessions

app = typer.Typer(add_completion=False)
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
SHOWN_BAD = 10


@app.command()
def backtest(
    file: str = typer.Argument(help="CSV, JSONL, JSON, Parquet or .xlsx, also .gz; - for standard input."),
    map_: options.Map = [],  # noqa: B006
    set_: options.Set = [],  # noqa: B006
    time_column: str = typer.Option("time", help="Column with the texts' times, or DAY+TIME."),
    time_format: options.TimeFormat = "",
    text_column: str = typer.Option("", help="Column with the texts; the same as --map text=COLUMN."),
    encoding: options.Encoding = "",
    form: options.Format = "",
    delimiter: options.Delimiter = "",
    escape: options.Escape = "",
    sheet: options.Sheet = "",
    tz: str = typer.Option("", help="Zone of bare dates and of buckets of a day; default: the setting timezone."),
    kind: str = typer.Option("", help="news or comment, of every text; default: the file's column kind, else unknown."),
    bucket: str = typer.Option("1d", help="Width of buckets: 10s to 1d."),
    series: str = typer.Option("", help="Only this series, for example topic:market."),
    model: Path | None = typer.Option(
        None, help="Model folder; default: the setting model_path, else the shipped one."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line for each alert."),
) -> None:
    """What would have been alerted on a dated file of texts, judged without look-ahead."""
    from models.scoring.scorer import load_scorer
    from monitor.backtest import backtest as run
    from monitor.backtest import read_texts

    s = settings()
    width = _width(bucket)
    if kind not in ("", "news", "comment"):
        raise BarometerError(f"--kind: {kind!r}; use news or comment")
    zone = _zone(tz or s.timezone)
    if time_format:
        check_format(time_format)
    rename = parse_pairs("--map", [*map_, *([f"text={text_column}"] if text_column else [])])
    columns = Columns(rename, parse_pairs("--set", set_), time_column, zone, time_format or None)
    given = Form.from_options(encoding, form, delimiter, escape, sheet)
    console = Console(stderr=True, highlight=False)
    scorer = load_scorer(model or s.model_path, s.scorer_threads or None, s.scorer_backend)
    size = os.path.getsize(file) if file != "-" and Path(file).is_file() else None
    shown = (TextColumn("scoring"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    progress: Any = Progress(*shown, console=console, transient=True) if console.is_terminal else nullcontext()
    with progress:
        task = progress.add_task("scoring", total=size) if console.is_terminal else None
        on_bytes = None if task is None else lambda n: progress.advance(task, n)
        read = read_texts(
            file,
            scorer,
            columns,
            kind=kind or None,
            form=given,
            on_bytes=on_bytes,
            say=lambda line: console.print(Text(line), soft_wrap=True),
        )
    how: dict[str, Any] = {"open_at": s.detector_open, "is_day_off": Sessions.of(s).is_closed}
    alerts = list(run(read.texts, bucket_seconds=width, zone=zone, series=series or None, **how))
    alerts.sort(key=lambda a: (a.detected_at, a.series))
    if as_json:
        for a in alerts:
            print(json.dumps(a.as_dict(), ensure_ascii=False))
    else:
        _table([a.as_dict() for a in alerts])
    for line in read.bad[:SHOWN_BAD]:
        console.print(Text(line, style="yellow"))
    console.print(
        f"{len(read.texts):,} texts judged, {read.unscored:,} unscored, "
        f"{len(read.bad):,} rows left out, {len(alerts)} alerts"
    )
    if not read.texts:
        raise BarometerError(
            f"{file}: not one text could be judged; the columns and their times must be as --help says"
        )


def _width(text: str) -> int:
    m = re.fullmatch(r"(\d+)\s*(s|m|min|h|d)", text.strip())
    seconds = int(m[1]) * _UNITS[m[2]] if m else 0
    if not 10 <= seconds <= 86_400 or 86_400 % seconds:
        raise BarometerError(f"--bucket: {text!r}; use a width from 10s to 1d that divides a day")
    return seconds


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BarometerError(f"--tz: unknown time zone {name!r}; use a name like Asia/Shanghai") from None


def _table(alerts: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("series", "kinds", "started", "ended", "severity", "score", "negative", "expected", "of", "text"):
        table.add_column(heading, header_style="dim")
    for a in alerts:
        table.add_row(
            a["series"],
            " ".join(a["kinds"]),
            a["started_at"],
            a["ended_at"] or "-",
            a["severity"],
            f"{a['score']:.1f}",
            str(a["seen_negative"]),
            f"{a['expected_negative']:.1f}",
            str(a["seen_total"]),
            Text(a["top_texts"][0][:60] if a["top_texts"] else ""),
        )
    Console(highlight=False).print(table)
