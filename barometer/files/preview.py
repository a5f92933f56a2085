"""Previews the first rows of a file before it is processed: which columns are taken for what, or why it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

from barometer.errors import BarometerError
from barometer.files.mapping import Mapper, forked, joined, names_of, value_at
from barometer.files.rows import BadRow, FileRow, Rows
from barometer.files.source import Source
from barometer.times import is_clock, is_day
from barometer.vocabulary import STATED_KINDS

SAMPLE: Final = 200
_SHOWN: Final = 20
_KNOWN: Final = (
    "text",
    "kind",
    "title",
    "url",
    "source",
    "lang",
    "id",
    "author",
    "published_at",
    "symbols",
    "engagement",
)


def previewed_rows(
    source: Source, mapper: Mapper, say: Callable[[str], None], *, kind: bool = True, also: Sequence[str] = ()
) -> Rows:
    """The rows of a file; before the first one ``say`` is told what it is and which columns are taken for what.

    Args:
        mapper: only its columns are used; its tally stays as it is.
        kind: a row without one is of no use, and columns that are no fields are kept.
        also: fields of the command, beside those of a message.

    Raises:
        BarometerError: none of the first rows can be read, or has a text (or a kind): nothing of it can be meant.
    """
    rows = iter(source)
    trial = forked(mapper)
    sample: list[FileRow | BadRow] = []
    taken: list[tuple[FileRow, dict[str, Any]]] = []
    for row in rows:
        sample.append(row)
        if isinstance(row, FileRow):
            try:
                taken.append((row, trial.fields(row)))
            except BadRow as e:
                trial.tally.unread(e)
        else:
            trial.tally.unread(row)
        enough = 1 if source.live and _complete(taken, kind) else SAMPLE
        if len(sample) >= enough:
            break
    if not sample:
        say(f"note: {source.path}: holds no rows")
        return
    if not taken:
        raise BarometerError(f"{trial.tally.first_bad}\nNone of the first {len(sample)} rows can be read")
    _refuse(source, mapper, trial, taken, kind)
    for line in _report(source, mapper, trial, taken, kind, also):
        say(_printable(line))
    yield from chain(sample, rows)


def _complete(taken: list[tuple[FileRow, dict[str, Any]]], kind: bool) -> bool:
    return any(_has_text(f) for _, f in taken) and (not kind or any(_has_kind(f) for _, f in taken))


def _has_text(fields: dict[str, Any]) -> bool:
    return isinstance(text := fields.get("text"), str) and bool(text.strip())


def _has_kind(fields: dict[str, Any]) -> bool:
    return fields.get("kind") in STATED_KINDS


def _refuse(
    source: Source, mapper: Mapper, trial: Mapper, taken: list[tuple[FileRow, dict[str, Any]]], kind: bool
) -> None:
    n = trial.tally.rows
    what = f"{source.path}: {'the row' if n == 1 else f'none of the first {n} rows'} {'has no' if n == 1 else 'has a'}"
    there = f"there are: {_printable(', '.join(names_of(taken[0][0])))}"
    if not any(_has_text(f) for _, f in taken):
        column = mapper.columns.rename.get("text")
        if column is None:
            remedy = "name its column with --map text=COLUMN"
        elif column in trial.unseen:
            remedy = f"there is no field {column!r} (--map text={column})"
        else:
            remedy = f"{column!r} is empty or no text (--map text={column})"
        only = list(taken[0][0].fields)
        if taken[0][0].tabular and len(only) == 1 and source.about.startswith("CSV, one column"):
            remedy += f"; one column {only[0]!r:.60}: is something else the delimiter? --delimiter"
        if column is None and n == 1 and (wrapped := _wrapped(taken[0][0].fields)):
            remedy += f"; the rows seem to be in {wrapped!r}: give that array alone"
        raise BarometerError(f"{what} text; {remedy}; {there}")
    if kind and not any(_has_kind(f) for _, f in taken):
        values = {f"{v!r:.30}" for _, f in taken if (v := f.get("kind")) is not None}
        other = f"kind is {', '.join(sorted(values)[:3])}; " if values else ""
        raise BarometerError(
            f"{what} kind; {other}say it for all with --set kind=news (or comment), or name its column with "
            f"--map kind=COLUMN; {there}"
        )


def _wrapped(fields: Mapping[str, Any], before: str = "") -> str | None:
    """Where in one object an array of objects lies, as answers of services have it: ``data.list``."""
    for name, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return f"{before}{name}"
        if isinstance(value, dict) and before.count(".") < 3 and (found := _wrapped(value, f"{before}{name}.")):
            return found
    return None


def _report(
    source: Source,
    mapper: Mapper,
    trial: Mapper,
    taken: list[tuple[FileRow, dict[str, Any]]],
    kind: bool,
    also: Sequence[str],
) -> Iterator[str]:
    columns = mapper.columns
    row, _ = next((x for x in taken if _has_text(x[1])), taken[0])
    present = {name: None for _, fields in taken for name in fields}
    parts, mapped = [], set(columns.rename.values())
    counts = [n for n in columns.rename if n.startswith("engagement.")]
    known = (*_KNOWN, *also)
    for name in (*(x for x in known if x in present), *counts):
        column = columns.rename.get(name)
        if column is None and name in columns.constants and not any(name in r.fields for r, _ in taken):
            parts.append(f"{name} = {columns.constants[name]} (--set)")
        elif column is not None:
            parts.append(f"{name} = {column}")
        elif name != "engagement" or not counts:
            parts.append(name)
    if columns.time_column is not None:
        parts.append(_time_report(mapper, taken))
        mapped |= {columns.time_column, *columns.time_column.split("+")}
    kept = [
        c for c in row.fields if c not in known and c not in mapped and not any(m.startswith(f"{c}.") for m in mapped)
    ]
    how = "as they are" if kind else "not used"
    rest = f"; {how}: {', '.join(kept[:_SHOWN])}{' ...' if len(kept) > _SHOWN else ''}" if kept else ""
    yield f"{source.path}: {source.about}: {'; '.join(parts)}{rest}"
    for column in sorted(trial.unseen):
        yield f"note: {source.path}: no row so far has {column!r} (--map)"
    if columns.time_column is not None:
        yield from _clock_beside(source, columns.time_column, taken)
    if kind:
        yield from _shared_ids(source, taken)
    for line in trial.tally.lines(kind=False):
        if line.startswith("id: "):
            yield f"note: {source.path}: {line}; without an id each row counts. Save the column as text to keep them"


def _shared_ids(source: Source, taken: list[tuple[FileRow, dict[str, Any]]]) -> Iterator[str]:
    """Different texts of one id would be stored as revisions of one text."""
    texts: dict[Any, set[str]] = {}
    for _, f in taken:
        if isinstance(f.get("id"), str) and _has_text(f):
            texts.setdefault(f["id"], set()).add(f["text"])
    shared = [x for x, different in texts.items() if len(different) > 1]
    if shared:
        n = sum(len(texts[x]) for x in shared)
        yield (
            f"note: {source.path}: of {len(taken)} rows {n} different texts share an id with another (such as "
            f"{shared[0]!r:.40}): they count as revisions of one text. Is that column the text's own id?"
        )


def _time_report(mapper: Mapper, taken: list[tuple[FileRow, dict[str, Any]]]) -> str:
    column, zone = mapper.columns.time_column, mapper.columns.zone
    for row, _ in taken:
        try:
            at = datetime.fromtimestamp(mapper.time(row) / 1000, zone)
        except (BarometerError, ValueError, OverflowError, OSError):
            continue
        return f"time = {column}, the first {at.isoformat(sep=' ', timespec='seconds')}"
    return f"time = {column}"


def _clock_beside(source: Source, column: str, taken: list[tuple[FileRow, dict[str, Any]]]) -> Iterator[str]:
    """Days alone, and the times of day in a column beside them."""
    if not all(is_day(joined(r, column)) for r, _ in taken):
        return
    for other in taken[0][0].fields:
        values = [value_at(r, other) for r, _ in taken]
        if all(isinstance(v, str) and is_clock(v) for v in values):
            yield (
                f"note: {source.path}: {column} says the day alone, so all texts are at midnight; {other} holds times "
                f"of day: --time-column {column}+{other}"
            )


def _printable(text: str) -> str:
    """What a file holds does nothing to a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
