"""Documents as files: CSV, Parquet, Excel. What the stream brought is text in all of them, never a formula.

A spreadsheet program takes a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break for a formula, or
for something that becomes one (OWASP, "CSV Injection"; East Asian ones take the full-width signs as well). In CSV such
a cell gets an apostrophe before it; in Excel files all texts are stored as strings, which are shown as they are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

# pyarrow and plotly would import pandas at its first use, each in the thread that needs it: one of two that begin at
# once then sees half of it. So all that requests need is imported before the first of them.
import pandas  # noqa: F401
import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from barometer.records import Flag
from barometer.store.documents.listing import Text
from barometer.vocabulary import Kind, Sentiment

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Characters that XML 1.0 does not have.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MOST_OF_A_CELL = 32_767
"""Characters that a cell of Excel holds."""
_COUNTS = ("reads", "likes", "reposts", "replies", "followers")
_STRING, _FLOAT, _INT = pa.string(), pa.float64(), pa.int64()
_TIME = pa.timestamp("ms", tz="UTC")

COLUMNS: tuple[tuple[str, Any, Callable[[Text], Any], int], ...] = (
    # name, type in Parquet, value, width in Excel
    ("row_id", _STRING, lambda t: t.key, 20),
    ("observed_at", _TIME, lambda t: t.observed_at, 20),
    ("published_at", _TIME, lambda t: t.published_at, 20),
    ("kind", _STRING, lambda t: Kind(t.kind).label, 9),
    ("source", _STRING, lambda t: t.source, 14),
    ("title", _STRING, lambda t: t.title, 30),
    ("text", _STRING, lambda t: t.text, 80),
    ("url", _STRING, lambda t: t.url, 24),
    ("lang", _STRING, lambda t: t.lang, 6),
    ("sentiment", _STRING, lambda t: None if t.sentiment is None else Sentiment(t.sentiment).label, 10),
    ("confidence", _FLOAT, lambda t: _rounded(t.confidence), 10),
    ("p_negative", _FLOAT, lambda t: _rounded(t.p_negative), 10),
    ("p_neutral", _FLOAT, lambda t: _rounded(t.p_neutral), 10),
    ("p_positive", _FLOAT, lambda t: _rounded(t.p_positive), 10),
    ("topics", _STRING, lambda t: "; ".join(sorted(t.topics, key=lambda n: -t.topics[n])), 24),
    (
        "topic_probabilities",
        _STRING,
        lambda t: "; ".join(f"{p:.4f}" for p in sorted(t.topics.values(), reverse=True)),
        16,
    ),
    ("model", _STRING, lambda t: t.model, 18),
    ("unscored_reason", _STRING, lambda t: t.unscored_reason, 14),
    ("late", pa.bool_(), lambda t: t.late, 7),
    ("flags", _STRING, lambda t: "; ".join(f.name.lower() for f in Flag if f & t.flags and f.name), 14),
    ("symbols", _STRING, lambda t: "; ".join(map(str, t.symbols)), 14),
    *((n, _INT, lambda t, n=n: _count(t.engagement.get(n)), 9) for n in _COUNTS),
)
NAMES = tuple(name for name, *_ in COLUMNS)
CODES = ("kind", "sentiment", "topics", "flags", "unscored_reason")
"""Columns of our own codes, several of them parted by semicolons."""
_TIMES = {i for i, (_, kind, *_rest) in enumerate(COLUMNS) if kind is _TIME}
_SCHEMA = pa.schema([(name, kind) for name, kind, *_ in COLUMNS])


def as_csv(texts: Iterable[Text], zone: ZoneInfo) -> Iterator[str]:
    """Documents as :func:`csv_pieces`."""
    return csv_pieces(NAMES, map(_values, texts), _TIMES, zone)


def csv_pieces(
    names: Sequence[str], rows: Iterable[Sequence[Any]], times: Collection[int], zone: ZoneInfo
) -> Iterator[str]:
    """Pieces of a CSV file (RFC 4180) with the byte order mark that Excel wants.

    Args:
        times: the columns that are epoch ms: written as ISO 8601 of the zone.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    out.write("\ufeff")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_csv_cell(x, i in times, zone) for i, x in enumerate(row)])
        if out.tell() > 1 << 16:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def write_parquet(texts: Iterable[Text], file: Path, rows_a_group: int = 10_000) -> None:
    """A Parquet file (zstd); times are timestamps in UTC, missing values null."""
    with pq.ParquetWriter(file, _SCHEMA, compression="zstd") as writer:
        rows: list[list[Any]] = []
        for text in texts:
            rows.append(_values(text))
            if len(rows) == rows_a_group:
                writer.write_table(_group(rows))
                rows = []
        writer.write_table(_group(rows))


def write_xlsx(
    texts: Iterable[Text],
    file: Path,
    zone: ZoneInfo,
    sheet: str,
    heads: Sequence[str],
    about: tuple[str, Sequence[tuple[str, str]]],
    say: Callable[[str, str], str],
) -> None:
    """An Excel file: the documents, and a second sheet that says what they are.

    Args:
        heads: the columns' names for people, in the order of ``COLUMNS``.
        about: the second sheet's name, and its rows.
        say: what people call a code (``negative``) of a column (one of :data:`CODES`).
    """
    book = Workbook(write_only=True)
    main = book.create_sheet(sheet)
    main.freeze_panes = "A2"
    for i, (*_, width) in enumerate(COLUMNS):
        main.column_dimensions[_letter(i)].width = width
    main.append([_bold(main, h) for h in heads])
    for text in texts:
        main.append([_xlsx_cell(main, _said(x, i, say), i, zone) for i, x in enumerate(_values(text))])
    more = book.create_sheet(about[0])
    more.column_dimensions["A"].width, more.column_dimensions["B"].width = 24, 90
    for name, value in about[1]:
        more.append([_bold(more, name), _xlsx_cell(more, value, -1, zone)])
    book.save(file)


def _values(text: Text) -> list[Any]:
    return [get(text) for _, _, get, _ in COLUMNS]


def _said(value: Any, column: int, say: Callable[[str, str], str]) -> Any:
    name = NAMES[column]
    if name not in CODES or not isinstance(value, str):
        return value
    return "; ".join(say(name, code) for code in value.split("; ") if code)


def _group(rows: Sequence[Sequence[Any]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    return pa.table([pa.array(x, kind) for x, (_, kind, *_rest) in zip(columns, COLUMNS, strict=True)], schema=_SCHEMA)


def _csv_cell(value: Any, is_time: bool, zone: ZoneInfo) -> Any:
    if value is None:
        return ""
    if is_time:
        return _at(value, zone).isoformat(timespec="milliseconds")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        kept = value.replace("\x00", "\ufffd")
        return "'" + kept if kept.startswith(_FORMULA) else kept
    return value


def _xlsx_cell(sheet: Any, value: Any, column: int, zone: ZoneInfo) -> Any:
    if column in _TIMES and value is not None:
        return _at(value, zone).replace(tzinfo=None, microsecond=0)  # Excel knows no zones; the second sheet names it
    if not isinstance(value, str):
        return value
    kept = _NOT_XML.sub("\ufffd", value)[:_MOST_OF_A_CELL]
    if not kept.startswith(("=", "#")):
        return kept
    cell = WriteOnlyCell(sheet, kept)
    cell.data_type = "s"  # or it would be taken for a formula, or for the name of an error
    return cell


def _bold(sheet: Any, value: str) -> Any:
    cell = WriteOnlyCell(sheet, value)
    cell.font = Font(bold=True)
    return cell


def _letter(column: int) -> str:
    return chr(ord("A") + column) if column < 26 else "A" + chr(ord("A") + column - 26)


def _at(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _count(value: int | None) -> int | None:
    return None if value is None else min(int(value), 2**63 - 1)
