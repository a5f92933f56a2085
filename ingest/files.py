"""Rows of files as messages.

Nothing is left out in silence: a row that cannot be sent at all is an error that names file and line, or is counted and
listed where the caller asks for that. What can be sent is sent as it is; the worker says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from barometer.errors import BarometerError
from barometer.files import BadRow, FileRow, moment, parse_time
from ingest.message import encode
from ingest.produce import Record

_SYMBOLS = re.compile(r"[|,]")


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


def _with_offset(value: str, zone: ZoneInfo) -> str:
    try:
        naive = datetime.fromisoformat(value.strip().upper()).tzinfo is None
    except ValueError:
        return value
    at = moment(value.strip(), zone) if naive else None
    return value if at is None else at.isoformat()


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
