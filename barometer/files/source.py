"""Reads a file as rows; its format is what the user says, else detected from its content and name."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from barometer.errors import BarometerError
from barometer.files.delimited import Delimited, named
from barometer.files.encodings import encoding_of
from barometer.files.json_text import json_lines, json_values
from barometer.files.rows import STDIN, Form, Rows
from barometer.files.tables import parquet, workbook

_SEEN = 1 << 20
"""Bytes of a file that are looked at before it is read."""
_NAMES = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".psv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".json": "json", ".parquet": "parquet", ".pq": "parquet", ".xlsx": "xlsx", ".xlsm": "xlsx",
}  # fmt: skip
_REFUSED = (
    (b"\xd0\xcf\x11\xe0", "an old workbook of Excel (.xls), whatever its name: save it as .xlsx or CSV"),
    (b"BZh", "bzip2: unpack it first"), (b"\xfd7zXZ", "xz: unpack it first"), (b"\x28\xb5\x2f\xfd", "zstd: unpack it"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"), (b"Rar!", "a rar archive: unpack it first"), (b"%PDF", "a PDF"),
    (b"ARROW1", "Arrow (Feather): save it as Parquet"), (b"Obj\x01", "Avro: save it as JSONL or Parquet"),
    (b"SQLite format 3", "a database of SQLite: export the table as CSV"),
)  # fmt: skip


class Source:
    """One file; iterating reads it, once.

    Args:
        path: or ``-`` for standard input.
        on_bytes: told how many bytes of the file (as it is on disk) have been read, now and then.

    Attributes:
        path: as messages name it.
        about: what it turned out to be, when the first row has been read: ``CSV, delimiter ;, GB18030 (by evidence)``.
        live: more may come while one reads.
    """

    def __init__(self, path: str, form: Form | None = None, on_bytes: Callable[[int], None] | None = None) -> None:
        self.path = "stdin" if path == STDIN else path
        self.about = ""
        self.live = path == STDIN
        self._form, self._on_bytes = form or Form(), on_bytes

    def __iter__(self) -> Rows:
        """Raises:
        BarometerError: it cannot be opened, is of a form that is not read, has a damaged header or is damaged.
        """
        with ExitStack() as stack:
            try:
                yield from self._rows(stack)
            except (OSError, EOFError, zlib.error, UnicodeError) as e:
                raise BarometerError(f"{self.path}: cannot be read: {getattr(e, 'strerror', None) or e}") from e

    def _rows(self, stack: ExitStack) -> Rows:
        if self.live:
            binary: Any = sys.stdin.buffer
        else:
            binary = _Counted(stack.enter_context(Path(self.path).open("rb")), self._on_bytes)  # noqa: SIM115
        start, binary, whole = _begun(binary, self.live)
        if start.startswith(b"\x1f\x8b") or self.path.lower().endswith(".gz"):
            start, binary, whole = _begun(stack.enter_context(gzip.open(binary)), self.live)  # noqa: SIM115
        format_ = self._format(start)
        if format_ in ("parquet", "xlsx"):
            file = self._whole_file(stack, binary)
            self.about = "Parquet" if format_ == "parquet" else "Excel"
            yield from parquet(self.path, file) if format_ == "parquet" else workbook(self.path, file, self._form.sheet)
            return
        encoding = encoding_of(start, whole, self._form.encoding, self.path)
        stream = io.TextIOWrapper(binary, encoding.name, errors=_handler(encoding.name), newline="")
        seen = start.decode(encoding.name, "replace").lstrip("\ufeff")
        if format_ is None:
            format_ = self._text_format(seen)
        if format_ == "csv":
            if not whole:
                seen = seen[: seen.rfind("\n") + 1] or seen
            rows = Delimited(self.path, seen, stream, self._form)
            between = f"delimiter {named(rows.delimiter)}" if rows.delimiter else "one column"
            self.about = f"CSV, {between}, {encoding}"
            yield from rows
        elif format_ == "jsonl":
            self.about = f"JSONL, {encoding}"
            yield from json_lines(self.path, stream)
        else:
            self.about = f"JSON, {encoding}"
            yield from json_values(self.path, stream)

    def _format(self, start: bytes) -> str | None:
        """What is in it goes before its name, for names are given carelessly. None: a text, of which more is to see."""
        for mark, what in _REFUSED:
            if start.startswith(mark):
                raise BarometerError(f"{self.path}: is {what}")
        if start.startswith(b"PAR1"):
            return "parquet"
        if start.startswith(b"PK\x03\x04"):
            if b"xl/" in start or b"[Content_Types].xml" in start:
                return "xlsx"
            raise BarometerError(f"{self.path}: is a zip archive: unpack it first")
        said = self._form.format or self._by_name()
        if said in ("parquet", "xlsx") and start:
            raise BarometerError(f"{self.path}: is no {'Parquet' if said == 'parquet' else '.xlsx'} file")
        if said is None and not self.live:
            raise BarometerError(
                f"{self.path}: not a format that can be read; use {', '.join(_NAMES)} (each also .gz), "
                "or say what it is with --format"
            )
        return self._form.format

    def _text_format(self, seen: str) -> str:
        begun = seen.lstrip()
        if begun[:9].lower().startswith(("<html", "<!doctype", "<table", "<?xml")):
            raise BarometerError(f"{self.path}: is a page (HTML or XML): save it as .xlsx or CSV")
        by_name = self._by_name()
        if not begun.startswith(("{", "[")):
            return by_name or "csv"
        if begun.startswith("["):
            return "csv" if by_name == "csv" and not re.match(r"\[\s*[{\]]", begun) else "json"
        return "jsonl" if _one_a_line(begun) else "json"

    def _by_name(self) -> str | None:
        return _NAMES.get(Path(self.path.lower().removesuffix(".gz")).suffix)

    def _whole_file(self, stack: ExitStack, binary: BinaryIO) -> BinaryIO:
        """These formats are read from their end."""
        file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        while chunk := binary.read(1 << 20):
            file.write(chunk)
        file.seek(0)
        return file


def read_rows(path: str, form: Form | None = None, on_bytes: Callable[[int], None] | None = None) -> Rows:
    """The rows of one file, bad ones as errors in their place. See :class:`Source`."""
    return iter(Source(path, form, on_bytes))


def _one_a_line(text: str) -> bool:
    """Whether the first line is an object by itself, or too long to see its end, or broken as a line."""
    line, end, _ = text.partition("\n")
    try:
        json.loads(line)
        return True
    except (ValueError, RecursionError):
        # Of an object over several lines the first is the bracket alone, or some fields and a comma.
        return bool(end) and not line.rstrip().endswith((",", "{", "["))


def _handler(encoding: str) -> str:
    return "strict" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"


def _begun(binary: Any, live: bool) -> tuple[bytes, io.BufferedReader, bool]:
    """The beginning of a stream, all of it, and whether the beginning is all; of a pipe a line, or what has come."""
    if live:
        start = b""
        while b"\n" not in start and len(start) < _SEEN and (more := binary.read1(1 << 16)):
            start += more
        return start, io.BufferedReader(_Chained(start, binary)), False
    start = b""
    while len(start) < _SEEN and (more := binary.read(_SEEN - len(start))):
        start += more
    return start, io.BufferedReader(_Chained(start, binary), 1 << 16), len(start) < _SEEN


class _Chained(io.RawIOBase):
    """What was read of a stream already, and then the rest."""

    def __init__(self, start: bytes, rest: Any) -> None:
        self._start, self._rest = memoryview(start), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        source = self._start
        if source:
            n = min(len(source), len(buffer))
            self._start = source[n:]
        else:
            source = self._rest.read1(len(buffer)) if hasattr(self._rest, "read1") else self._rest.read(len(buffer))
            n = len(source)
        buffer[:n] = source[:n]
        return n


class _Counted(io.RawIOBase):
    """A file that tells how far it was read."""

    def __init__(self, raw: Any, on_bytes: Callable[[int], None] | None) -> None:
        self._raw, self._on_bytes = raw, on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self._raw.readinto(buffer)
        if self._on_bytes is not None:
            self._on_bytes(n)
        return int(n)
