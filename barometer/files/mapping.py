"""From a file's columns to the fields of a message, the same way for every command.

What a cell holds is brought into the form that the field has (``1.2万`` likes are 12000); what cannot be is counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from barometer.counts import read_count
from barometer.errors import BarometerError
from barometer.files.rows import BadRow, FileRow
from barometer.files.tally import Tally
from barometer.times import NoTime, read_time

STRINGS: Final = ("text", "title", "url", "source", "lang", "id", "author", "kind")
_KINDS: Final = {"新闻": "news", "资讯": "news", "评论": "comment", "評論": "comment", "新聞": "news"}
_SYMBOLS: Final = re.compile(r"[|,，;；、\s]+")
_NULLS: Final = frozenset({"nan", "null", "none", "nat", "\\n", "#n/a", "#na", "<na>", "n/a"})
"""What programs write into a cell of a table that holds nothing."""
_ROUNDED: Final = re.compile(r"\d(\.\d+)?[eE]\+?\d{2}|\d{15}0{3,}(\.0+)?", re.A)
"""A double of 15 digits, as spreadsheets write it: with an exponent, or with zeros for what was lost."""
_EXACT: Final = 2.0**53
_WITH_OFFSET: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*([Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Columns:
    """How rows become fields.

    Args:
        rename: {field: column}. A column may be a path into nested JSON (``_source.content``); ``engagement.likes``
            names a part of ``engagement``.
        constants: {field: value} for rows in which the field is missing or empty.
        time_column: the column of the times; ``DAY+TIME`` joins two. None: the rows have none.
        zone: of times without an offset.
        time_format: see :func:`barometer.times.read_time`.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    time_column: str | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    time_format: str | None = None


class Mapper:
    """Takes fields and times out of rows, and counts what became of them in ``tally``."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.tally = Tally()
        self.unseen = set(columns.rename.values())
        """Columns of ``rename`` that no row has had so far."""
        self._names: dict[str, list[str]] = {}
        """Column to fields."""
        for name, column in columns.rename.items():
            self._names.setdefault(column, []).append(name)

    def fields(self, row: FileRow) -> dict[str, Any]:
        """The fields of a row, without those that are empty (but for ``text``), in the order of its columns.

        Raises:
            BadRow: two columns for one field.
            BarometerError: the same for all rows: a table has no such column, or two for one field.
        """
        fields = self._renamed(row)
        for name, constant in self.columns.constants.items():
            if _is_empty(fields.get(name), row.tabular):
                fields[name] = constant
        shaped = self._shaped(fields, row.tabular)
        self.tally.row(shaped)
        return shaped

    def time(self, row: FileRow) -> int:
        """The row's time in epoch ms.

        Raises:
            BadRow: it has none that can be used.
            BarometerError: a table has no such column.
        """
        column = self.columns.time_column
        assert column is not None
        value = joined(row, column)
        if value is MISSING:
            raise self._wrong(row, f"no column {column!r} (--time-column); there are: {', '.join(names_of(row))}")
        try:
            time_ms = read_time(value, self.columns.zone, self.columns.time_format)
        except NoTime as e:
            raise BadRow(f"{row.where}: {column} is no time: {value!r:.60}; {e}") from None
        if time_ms < 0:
            raise BadRow(f"{row.where}: {column} is before 1970, which Kafka has no time for: {value!r:.60}")
        return time_ms

    def _renamed(self, row: FileRow) -> dict[str, Any]:
        if not self._names:
            return dict(row.fields)
        out: dict[str, Any] = {}
        fields: Mapping[str, Any] = row.fields
        deep: dict[str, Any] = {}
        for column, names in self._names.items():
            if column in fields:
                self.unseen.discard(column)
            elif (value := joined(row, column)) is not MISSING:
                self.unseen.discard(column)
                deep |= dict.fromkeys(names, value)
                if "+" not in column:
                    fields = _without(fields, column.split("."))
            elif row.tabular:
                raise self._wrong(row, f"no column {column!r} (--map); there are: {', '.join(row.fields)}")
        for column, value in fields.items():
            for name in self._names.get(column, [column]):
                if name in out or name in deep:
                    raise self._wrong(row, f"two columns for {name}; give one another name: --map other_{name}={name}")
                out[name] = value
        return out | deep

    def _wrong(self, row: FileRow, message: str) -> BarometerError:
        """What is wrong with one row of a table is wrong with all."""
        return BarometerError(f"{row.where}: {message}") if row.tabular else BadRow(f"{row.where}: {message}")

    def _shaped(self, fields: dict[str, Any], tabular: bool) -> dict[str, Any]:
        message: dict[str, Any] = {}
        for name, value in fields.items():
            if isinstance(value, float) and not math.isfinite(value):
                value = None  # noqa: PLW2901
            if _is_empty(value, tabular):
                if name == "text" or (value is None and not tabular):
                    message[name] = "" if name == "text" and value is not None else value
                continue
            if name == "symbols":
                message[name] = _symbols(value)
            elif name == "engagement" and isinstance(value, dict):
                counts = message.setdefault("engagement", {})
                counts |= {k: self._count(f"engagement.{k}", v) for k, v in value.items()}
            elif name.startswith("engagement.") and len(name) > 11:
                counts = message.setdefault("engagement", {})
                if isinstance(counts, dict):
                    counts[name[11:]] = self._count(name, value)
                else:
                    message[name] = value
            elif name == "published_at":
                message[name] = self._published_at(value)
            elif name == "id" and _is_rounded(value):
                self.tally.dropped(name, "rounded by a spreadsheet, so many rows have the same", value)
            elif name in STRINGS:
                message[name] = _string(value)
            else:
                message[name] = value
        if isinstance(kind := message.get("kind"), str):
            kind = kind.strip().lower()
            message["kind"] = _KINDS.get(kind, kind) if kind in _KINDS or kind.isascii() else message["kind"]
        return message

    def _count(self, name: str, value: object) -> object:
        if value is None:
            return None
        count = read_count(value)
        if count is None:
            self.tally.dropped(name, "no count", value)
            return value
        return count

    def _published_at(self, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return value
        if isinstance(value, str) and _WITH_OFFSET.fullmatch(value.strip()):
            return value
        try:
            try:
                time_ms = read_time(value, self.columns.zone, self.columns.time_format)
            except NoTime:
                if self.columns.time_format is None:
                    raise
                time_ms = read_time(value, self.columns.zone)
            return datetime.fromtimestamp(time_ms / 1000, self.columns.zone).isoformat()
        except (NoTime, ValueError, OverflowError, OSError) as e:
            self.tally.dropped("published_at", str(e), value)
            return str(value)


class _Missing:
    pass


MISSING: Final = _Missing()


def value_at(row: FileRow, column: str) -> Any:
    """The value of a column, or at a path into nested JSON; :data:`MISSING` where there is none."""
    if column in row.fields:
        return row.fields[column]
    value: Any = row.fields
    for part in column.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def joined(row: FileRow, column: str) -> Any:
    """As :func:`value_at`; ``DAY+TIME`` gives the two with a blank between, of the day without its midnight."""
    value = value_at(row, column)
    if value is not MISSING or "+" not in column:
        return value
    parts = [value_at(row, c.strip()) for c in column.split("+")]
    if any(p is MISSING for p in parts):
        return MISSING
    if any(_is_empty(p, True) for p in parts):
        return ""
    said = [str(p).strip() for p in parts]
    said[0] = re.sub(r"[T ]0{1,2}:00(:00(\.0+)?)?$", "", said[0])
    return " ".join(said)


def names_of(row: FileRow, most: int = 40) -> list[str]:
    """The columns of a row, nested ones as paths."""
    found: list[str] = []

    def walk(value: Mapping[str, Any], before: str) -> None:
        for name, each in value.items():
            if isinstance(each, Mapping) and each and before.count(".") < 3:
                walk(each, f"{before}{name}.")
            elif len(found) < most:
                found.append(f"{before}{name}")

    walk(row.fields, "")
    return found


def _without(fields: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    """A copy in which what lies at a path is no more."""
    if len(path) == 1:
        return {k: v for k, v in fields.items() if k != path[0]}
    inner = fields.get(path[0])
    if not isinstance(inner, Mapping):
        return fields
    rest = _without(inner, path[1:])
    return {k: rest if k == path[0] else v for k, v in fields.items() if k != path[0] or rest}


def _is_empty(value: object, tabular: bool) -> bool:
    if value is None or value == "":
        return True
    return tabular and isinstance(value, str) and (value.isspace() or value.strip().lower() in _NULLS)


def _is_rounded(value: object) -> bool:
    if isinstance(value, float):
        return value >= _EXACT
    return isinstance(value, str) and _ROUNDED.fullmatch(value.strip()) is not None


def _string(value: object) -> object:
    """A number as text; what else is no text is left as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _symbols(value: object) -> object:
    if isinstance(value, str):
        return [s for s in _SYMBOLS.split(value) if s]
    if isinstance(value, list):
        return [_string(v) for v in value]
    return value if isinstance(value, dict | bool) else [_string(value)]


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


def forked(mapper: Mapper) -> Mapper:
    """Another of the same columns, with a tally of its own."""
    return Mapper(replace(mapper.columns))
