"""The options by which commands are told how to read a file: the same words for all."""

from __future__ import annotations

from typing import Annotated

import typer

Map = Annotated[
    list[str], typer.Option("--map", metavar="FIELD=COLUMN", help="Take a field from a column, or a path like a.b.")
]
Set = Annotated[list[str], typer.Option("--set", metavar="FIELD=VALUE", help="A constant, where the field is empty.")]
Encoding = Annotated[str, typer.Option("--encoding", help="Of the text, like gb18030; default: by evidence.")]
Format = Annotated[str, typer.Option("--format", help="csv, jsonl, json, parquet or xlsx, where the name doesn't say.")]
Delimiter = Annotated[str, typer.Option("--delimiter", help="Of CSV: , ; tab | ...; default: by the first rows.")]
Escape = Annotated[str, typer.Option("--escape", help="Before quotes inside quotes, as MySQL writes: backslash.")]
Sheet = Annotated[str, typer.Option("--sheet", help="Of an Excel workbook; default: the first.")]
TimeFormat = Annotated[
    str, typer.Option("--time-format", help="Of times: a pattern like %d/%m/%Y %H:%M, or s, ms, us, ns, excel.")
]
