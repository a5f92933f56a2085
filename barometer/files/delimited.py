"""CSV and similar: the delimiter is detected from the header and the first rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from barometer.errors import BarometerError
from barometer.files.encodings import NOT_DECODED
from barometer.files.rows import BadRow, FileRow, Form, Rows

MAX_CELL = 32 * 1024 * 1024
DELIMITERS = (",", "\t", ";", "|", "\x01")
"""Hive writes the last one."""
_SEP = re.compile(r"\ufeff?sep=(.)\r?\n?", re.I)
_LOOKED_AT = 50
_NONE = "\x1f"
"""In place of a delimiter where there is one column: whatever stands in a line is its text."""


def named(delimiter: str | None) -> str:
    """A delimiter as messages say it."""
    names = {None: "one column", "\t": "tab", "\x01": "\\x01"}
    return names.get(delimiter, f"{delimiter}")


class Delimited:
    """The rows of a CSV file.

    Args:
        start: the beginning of the text, from which the delimiter is told.
        lines: all lines, with their ends.

    Attributes:
        delimiter: None where there is one column.

    Raises:
        BarometerError: the delimiter cannot be told.
    """

    def __init__(self, path: str, start: str, lines: Iterable[str], form: Form) -> None:
        self._path, self._form = path, form
        self._lines: Iterator[str] = iter(lines)
        said = _SEP.match(start)
        self._skipped = 1 if said else 0
        self.delimiter = form.delimiter or (said[1] if said else _sniffed(path, start, form))

    def __iter__(self) -> Rows:
        csv.field_size_limit(MAX_CELL)
        for _ in range(self._skipped):
            next(self._lines, None)
        lines = self._lines if self._form.escape is None else map(self._without_null, self._lines)
        reader = csv.reader(chain(lines), delimiter=self.delimiter or _NONE, escapechar=self._form.escape, strict=True)
        line = 1
        header: list[str] | None = None
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as e:
                # Where quotes do not match, nobody knows where the next row begins.
                hint = ""
                if self._form.escape is None and "expected after" in str(e):
                    hint = ' (if quotes stand as \\" in it: --escape backslash)'
                raise BarometerError(
                    f"{self._path}:{line + self._skipped}: broken CSV: {e}{hint}. "
                    "Mend the file; what follows cannot be told apart"
                ) from None
            here, line = line + self._skipped, reader.line_num + 1
            if not cells or (len(cells) > 1 and not any(cells)):
                continue
            if header is None:
                header = [c.strip().removeprefix("\ufeff").strip() for c in cells]
                _check_header(self._path, here, header)
            elif any(NOT_DECODED.search(c) for c in cells):
                yield BadRow(not_decoded(self._path, here))
            elif len(cells) != len(header):
                yield BadRow(f"{self._path}:{here}: {len(cells)} cells, but the header has {len(header)}")
            else:
                yield FileRow(self._path, here, {k: v for k, v in zip(header, cells, strict=True) if k}, True)

    def _without_null(self, line: str) -> str:
        """A database's ``\\N`` for a cell that is NULL: empty."""
        between = re.escape(self.delimiter or _NONE)
        return re.sub(rf"(^|{between}){re.escape(self._form.escape or '')}N(?=$|{between}|\r|\n)", r"\1", line)


def not_decoded(path: str, line: int) -> str:
    return f"{path}:{line}: not in the expected encoding; name it with --encoding, for example gb18030"


def _check_header(path: str, line: int, header: list[str]) -> None:
    if any(NOT_DECODED.search(name) for name in header):
        raise BarometerError(not_decoded(path, line))
    if len(set(header)) < len(header):
        twice = {name for name in header if name and header.count(name) > 1}
        if twice:
            raise BarometerError(f"{path}:{line}: columns that come twice in the header: {', '.join(sorted(twice))}")


def _sniffed(path: str, start: str, form: Form) -> str | None:
    """What divides the header into columns and gives the rows as many; None: there is one column."""
    found: list[tuple[float, int, str]] = []
    for delimiter in DELIMITERS:
        rows = _first_rows(start, delimiter, form.escape)
        if rows and len(rows[0]) > 1:
            alike = sum(len(r) == len(rows[0]) for r in rows[1:])
            found.append((alike / len(rows[1:]) if rows[1:] else 1.0, len(rows[0]), delimiter))
    if not found:
        return None
    best = max(x[0] for x in found)
    fitting = [x for x in found if x[0] >= max(best - 0.1, 0.01)] or found
    if len(fitting) > 1 and not any(x[2] == "," for x in fitting):
        most = max(x[1] for x in fitting)
        fitting = [x for x in fitting if x[1] == most]
    elif len(fitting) > 1:  # a header may name things like `a|b`
        most = max(x[1] for x in fitting)
        comma = next(x for x in fitting if x[2] == ",")
        fitting = [comma] if comma[1] == most else [x for x in fitting if x[1] == most]
    if len(fitting) > 1:
        names = " or ".join(named(x[2]) for x in fitting)
        raise BarometerError(f"{path}: the delimiter may be {names}: name it with --delimiter")
    return fitting[0][2]


def _first_rows(start: str, delimiter: str, escape: str | None) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(start, newline=""), delimiter=delimiter, escapechar=escape, strict=True)
    try:
        for cells in reader:
            if cells:
                rows.append(cells)
            if len(rows) > _LOOKED_AT:
                return rows
    except csv.Error:
        return rows
    # The last may be cut where the sample ends.
    return rows[:-1] if len(rows) > 2 else rows
