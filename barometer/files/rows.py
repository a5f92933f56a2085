"""Rows of files, and the options by which a file is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from barometer.errors import BarometerError

STDIN = "-"
FORMATS = ("csv", "jsonl", "json", "parquet", "xlsx")


class BadRow(BarometerError):
    """A row that cannot be used; the message names file and line.

    Args:
        reason: the name of what is wrong, for machines.
    """

    def __init__(self, message: str, reason: str = "broken_row") -> None:
        super().__init__(message)
        self.reason = reason


class FileRow(NamedTuple):
    """One row as it stands in a file."""

    path: str
    line: int
    """The first line of it, counted from 1; of a table without lines (Parquet) the number of the row."""
    fields: dict[str, Any]
    tabular: bool
    """All rows of the file have the same columns."""

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Form:
    """How files are to be read, as far as a user says so; the rest is told by what is in them.

    Args:
        encoding: of the text, for example ``gb18030``.
        format: one of :data:`FORMATS`.
        delimiter: between cells of a CSV file: one character.
        escape: before a quote inside a quoted cell; None: quotes are doubled.
        sheet: of an Excel workbook; None: its first.
    """

    encoding: str | None = None
    format: str | None = None
    delimiter: str | None = None
    escape: str | None = None
    sheet: str | None = None

    @classmethod
    def from_options(
        cls, encoding: str = "", form: str = "", delimiter: str = "", escape: str = "", sheet: str = ""
    ) -> Form:
        """Of the options of a command, empty where they were left out.

        Raises:
            BarometerError: an option has a value that it cannot have; the message names it.
        """
        names = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
        delimiter = names.get(delimiter.lower(), delimiter)
        escape = {"backslash": "\\"}.get(escape.lower(), escape)
        for option, value in (("--delimiter", delimiter), ("--escape", escape)):
            if len(value) > 1 or value in ('"', "\n", "\r"):
                raise BarometerError(
                    f"{option} {value!r}: give one character, such as , ; tab | or (--escape) backslash"
                )
        if form and form not in FORMATS:
            raise BarometerError(f"--format {form}: use {', '.join(FORMATS)}")
        return cls(encoding or None, form or None, delimiter or None, escape or None, sheet or None)


Rows = Iterator[FileRow | BadRow]
