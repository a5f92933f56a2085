"""Tables that are no text: Parquet, and workbooks of Excel."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO
from zipfile import BadZipFile

from barometer.errors import BarometerError
from barometer.files.rows import FileRow, Rows

_EXACT = 10**15
"""A cell of Excel is a double of 15 digits: of longer numbers the last ones are lost."""


def parquet(path: str, file: BinaryIO) -> Rows:
    """Raises:
    BarometerError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches(1000):
            for row in batch.to_pylist():
                number += 1
                yield FileRow(path, number, {k: _plain(v) for k, v in row.items()}, True)
    except (pa.ArrowException, OSError, ValueError) as e:
        raise BarometerError(f"{path}: cannot be read as Parquet: {str(e).splitlines()[0]}") from None


def workbook(path: str, file: BinaryIO, sheet: str | None) -> Rows:
    """The rows of a sheet under its first row that holds anything.

    Raises:
        BarometerError: it cannot be read, has no such sheet, or a column comes twice.
    """
    from openpyxl import load_workbook

    from barometer.files.delimited import _check_header

    try:
        book = load_workbook(file, read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError, EOFError) as e:
        raise BarometerError(f"{path}: cannot be read as .xlsx: {e}") from None
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise BarometerError(f"{path}: no sheet {sheet!r} (--sheet); there are: {', '.join(book.sheetnames)}")
        found = book[sheet] if sheet is not None else book.worksheets[0]
        found.reset_dimensions()  # some writers state them wrongly
        header: list[str] | None = None
        for number, cells in enumerate(found.iter_rows(), 1):
            values = [_cell(c) for c in cells]
            if all(v in (None, "") for v in values):
                continue
            if header is None:
                header = ["" if v is None else str(v).strip() for v in values]
                _check_header(path, number, header)
                continue
            values += [None] * (len(header) - len(values))
            yield FileRow(path, number, {k: v for k, v in zip(header, values, strict=False) if k}, True)
    except (BadZipFile, ValueError, EOFError) as e:
        raise BarometerError(f"{path}: cannot be read as .xlsx: {e}") from None
    finally:
        book.close()


def _cell(cell: Any) -> Any:
    if cell.data_type == "e":  # #N/A, #REF!
        return None
    value = cell.value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _EXACT:
        return float(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime | date | time):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value
