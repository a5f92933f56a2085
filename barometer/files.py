"""Rows of CSV and JSONL files, also gzipped or on standard input; and times as files hold them.

Nothing is left out in silence: a row that cannot be read comes as an error in its place, which names file and line.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from zoneinfo import ZoneInfo

import orjson

from barometer.errors import BarometerError

STDIN = "-"
MAX_CELL = 32 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_NOT_DECODED = re.compile("[\udc80-\udcff]")
_SURROGATE_ESCAPES = "surrogateescape"


class BadRow(BarometerError):
    """A row that cannot be used; the message names file and line."""


class FileRow(NamedTuple):
    """One row as it stands in a file."""

    path: str
    line: int
    """The first line of it, counted from 1."""
    fields: dict[str, Any]
    tabular: bool
    """All rows of the file have the same columns."""

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


def read_rows(
    path: str, encoding: str = "utf-8", on_bytes: Callable[[int], None] | None = None
) -> Iterator[FileRow | BadRow]:
    """The rows of one file, bad ones as errors in their place.

    The format is told by the name (``.csv``, ``.jsonl``, ``.ndjson``, each also ``.gz``); standard input (``-``) is
    JSONL if it begins with ``{``, else CSV.

    Args:
        encoding: of the text, for example ``gb18030``.
        on_bytes: told how many bytes of the file (as it is on disk) have been read, now and then.

    Raises:
        BarometerError: the file cannot be opened, has another format, a damaged header or damaged gzip.
    """
    with _open(path, encoding, on_bytes) as stream:
        name = path.removesuffix(".gz").lower()
        if name.endswith((".jsonl", ".ndjson")):
            yield from _jsonl(path, stream)
        elif name.endswith(".csv"):
            yield from _csv(path, stream)
        elif path == STDIN:
            first = stream.readline()
            rest = _Rejoined(first, stream)
            yield from (_jsonl if first.lstrip("\ufeff \t").startswith("{") else _csv)("stdin", rest)
        else:
            raise BarometerError(f"{path}: not a format that can be read; use .csv, .jsonl or .ndjson (each also .gz)")


class _Rejoined:
    """A stream whose first line was looked at."""

    def __init__(self, first: str, rest: TextIO) -> None:
        self._first, self._rest = first, rest

    def __iter__(self) -> Iterator[str]:
        if self._first:
            yield self._first
        yield from self._rest


@contextmanager
def _open(path: str, encoding: str, on_bytes: Callable[[int], None] | None) -> Iterator[TextIO]:
    try:
        if codecs.lookup(encoding).name == "utf-8":
            encoding = "utf-8-sig"  # skips a byte order mark
    except LookupError:
        raise BarometerError(f"--encoding: unknown encoding {encoding!r}; use utf-8, gb18030 ...") from None
    with ExitStack() as stack:
        try:
            if path == STDIN:
                binary: Any = sys.stdin.buffer
            else:
                raw = stack.enter_context(Path(path).open("rb"))
                counted = io.BufferedReader(_Counted(raw, on_bytes), 1 << 16)
                binary = stack.enter_context(gzip.open(counted)) if path.endswith(".gz") else counted
            yield io.TextIOWrapper(binary, encoding, errors=_SURROGATE_ESCAPES, newline="")
        except (OSError, EOFError, zlib.error, UnicodeError) as e:
            raise BarometerError(f"{path}: cannot be read: {getattr(e, 'strerror', None) or e}") from e


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


def _csv(path: str, stream: Any) -> Iterator[FileRow | BadRow]:
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(stream, strict=True)
    line = 1
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            # Where quotes do not match, nobody knows where the next row begins.
            raise BarometerError(
                f"{path}:{line}: broken CSV: {e}. Mend the file; what follows cannot be told apart"
            ) from None
        here, line = line, reader.line_num + 1
        if not cells:
            continue
        if header is None:
            header = [c.strip() for c in cells]
            _check_header(path, header)
        elif any(_NOT_DECODED.search(c) for c in cells):
            yield BadRow(_not_decoded(path, here))
        elif len(cells) != len(header):
            yield BadRow(f"{path}:{here}: {len(cells)} cells, but the header has {len(header)}")
        else:
            yield FileRow(path, here, {k: v for k, v in zip(header, cells, strict=True) if k}, True)


def _check_header(path: str, header: list[str]) -> None:
    if any(_NOT_DECODED.search(name) for name in header):
        raise BarometerError(_not_decoded(path, 1))
    twice = {name for name in header if name and header.count(name) > 1}
    if twice:
        raise BarometerError(f"{path}:1: columns that come twice in the header: {', '.join(sorted(twice))}")


def _jsonl(path: str, stream: Any) -> Iterator[FileRow | BadRow]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        if _NOT_DECODED.search(line):
            yield BadRow(_not_decoded(path, number))
            continue
        try:
            value = _json(line)
        except (ValueError, RecursionError) as e:
            yield BadRow(f"{path}:{number}: not JSON: {e}")
            continue
        if isinstance(value, dict):
            yield FileRow(path, number, value, False)
        else:
            yield BadRow(f"{path}:{number}: not a JSON object")


def _json(line: str) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return json.loads(line)  # lone surrogates: the worker mends and flags them


def _not_decoded(path: str, line: int) -> str:
    return f"{path}:{line}: not in the expected encoding; name it with --encoding, for example gb18030"


def parse_time(value: Any, zone: ZoneInfo) -> int | None:
    """Epoch ms of a time as files hold them; None if it is none.

    ISO 8601 with an offset or, in ``zone``, without one; a bare date is that day's midnight in ``zone``; whole numbers
    of 10 digits are epoch seconds, of 13 digits epoch ms.

    >>> parse_time("2024-05-06", ZoneInfo("Asia/Shanghai"))
    1714924800000
    """
    if isinstance(value, int | str) and not isinstance(value, bool):
        text = str(value).strip()
        if text.isascii() and text.isdigit() and len(text) in (10, 13):
            return int(text) * (1000 if len(text) == 10 else 1)
        at = moment(text, zone)
        if at is not None:
            return (at - _EPOCH) // _MS
    return None


def moment(text: str, zone: ZoneInfo) -> datetime | None:
    """ISO 8601, in ``zone`` where it has no offset; None if it is none."""
    try:
        at = datetime.fromisoformat(text.upper())
        return at if at.tzinfo is not None else at.replace(tzinfo=zone)
    except ValueError:
        return None
