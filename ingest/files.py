"""Rows of CSV and JSONL files (also gzipped, or on standard input) as messages.

Nothing is left out in silence: a row that cannot be sent at all is an error that names file and line, or is counted and
listed where the caller asks for that. What can be sent is sent as it is; the worker says what is wrong with it.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from zoneinfo import ZoneInfo

import orjson

from barometer.errors import BarometerError
from ingest.message import MAX_VALUE_BYTES, encode
from ingest.produce import Record

STDIN = "-"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_SYMBOLS = re.compile(r"[|,]")
_NOT_DECODED = re.compile("[\udc80-\udcff]")
_SURROGATE_ESCAPES = "surrogateescape"


class BadRow(BarometerError):
    """A row that cannot be sent; the message names file and line."""


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


@dataclass(frozen=True)
class Columns:
    """How rows become messages.

    Args:
        rename: {field of the message: column}. ``engagement.likes`` names a part of ``engagement``.
        constants: {field: value} for rows in which the field is missing or empty.
        time_column: the column that gives the records' timestamps; None: they are stamped when they are sent.
        zone: of times without an offset.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    time_column: str | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


# --- reading ---------------------------------------------------------------------------------------------------------


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
    csv.field_size_limit(MAX_VALUE_BYTES)
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


# --- from row to message ---------------------------------------------------------------------------------------------


class Mapper:
    """Turns rows into records."""

    def __init__(self, mapping: Columns) -> None:
        self._m = mapping
        self._names: dict[str, list[str]] = {}
        """Column to fields."""
        for name, column in mapping.rename.items():
            self._names.setdefault(column, []).append(name)

    def record(self, row: FileRow) -> Record:
        """The row as a record.

        Raises:
            BadRow: no usable time, two fields of one name, or no form in JSON.
            BarometerError: the same for all rows: a table has no such column, or two for one field.
        """
        fields = self._renamed(row)
        for name, constant in self._m.constants.items():
            if fields.get(name) in (None, ""):
                fields[name] = constant
        time_ms = None
        if self._m.time_column is not None:
            time_ms = self._time(row)
        try:
            return Record(time_ms, *encode(self._shaped(fields)), row.where)
        except (TypeError, ValueError, RecursionError) as e:
            raise BadRow(f"{row.where}: cannot be written as JSON: {e}") from None

    def _renamed(self, row: FileRow) -> dict[str, Any]:
        if not self._names:
            return dict(row.fields)
        out: dict[str, Any] = {}
        for column, value in row.fields.items():
            for name in self._names.get(column, [column]):
                if name in out:
                    raise self._wrong(row, f"two columns for {name}; give one another name: --map other_{name}={name}")
                out[name] = value
        missing = self._names.keys() - row.fields.keys()
        if missing and row.tabular:
            raise self._wrong(row, f"no column {min(missing)!r} (--map); there are: {', '.join(row.fields)}")
        return out

    def _wrong(self, row: FileRow, message: str) -> BarometerError:
        """What is wrong with one row of a table is wrong with all."""
        return (BarometerError if row.tabular else BadRow)(f"{row.where}: {message}")

    def _time(self, row: FileRow) -> int:
        column = self._m.time_column
        assert column is not None
        if column not in row.fields:
            raise self._wrong(row, f"no column {column!r} (--time-column); there are: {', '.join(row.fields)}")
        value = row.fields[column]
        time_ms = parse_time(value, self._m.zone)
        if time_ms is None:
            raise BadRow(
                f"{row.where}: {column} is no time: {value!r:.60}; "
                "use ISO 8601 (2024-05-06, 2024-05-06 09:30:00, 2024-05-06T09:30:00+08:00) or epoch seconds or ms"
            )
        if time_ms < 0:
            raise BadRow(f"{row.where}: {column} is before 1970, which Kafka has no time for: {value!r:.60}")
        return time_ms

    def _shaped(self, fields: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {}
        for name, value in fields.items():
            if value == "" and name != "text":
                continue
            if name == "symbols" and isinstance(value, str):
                message[name] = [s.strip() for s in _SYMBOLS.split(value) if s.strip()]
            elif name.startswith("engagement.") and len(name) > 11:
                counts = message.setdefault("engagement", {})
                if isinstance(counts, dict):
                    counts[name[11:]] = _count(value)
                else:
                    message[name] = value
            elif name == "published_at" and isinstance(value, str):
                message[name] = _with_offset(value, self._m.zone)
            else:
                message[name] = value
        return message


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
        moment = _moment(text, zone)
        if moment is not None:
            return (moment - _EPOCH) // _MS
    return None


def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    except ValueError:
        return None


def _with_offset(value: str, zone: ZoneInfo) -> str:
    try:
        naive = datetime.fromisoformat(value.strip().upper()).tzinfo is None
    except ValueError:
        return value
    moment = _moment(value.strip(), zone) if naive else None
    return value if moment is None else moment.isoformat()


def _count(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,19}\s*", value) else value


def parse_pairs(option: str, values: Sequence[str]) -> dict[str, str]:
    """``["text=content"]`` as {"text": "content"}.

    Raises:
        BarometerError: a value has no ``=``, or names a field twice.
    """
    out: dict[str, str] = {}
    for each in values:
        name, sign, rest = each.partition("=")
        if not sign or not name.strip() or not rest.strip():
            raise BarometerError(f"{option} {each}: expected FIELD=VALUE")
        if name.strip() in out:
            raise BarometerError(f"{option}: {name.strip()} is given twice")
        out[name.strip()] = rest.strip()
    return out
