"""What became of a file's rows: how many had no text or kind, how many values were dropped, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from barometer.errors import BarometerError
from barometer.vocabulary import STATED_KINDS

_STRINGS: Final = ("title", "url", "source", "lang", "id", "author", "published_at")
_EXAMPLES: Final = 3


@dataclass(slots=True)
class _Dropped:
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """Counts over all rows of a command."""

    rows: int = 0
    no_text: int = 0
    no_kind: int = 0
    odd: dict[str, int] = field(default_factory=dict)
    """Rows that a worker will refuse for the type of a field, by what is wrong."""
    bad: int = 0
    """Rows that could not be read."""
    first_bad: str = ""
    _dropped: dict[tuple[str, str], _Dropped] = field(default_factory=dict)

    def row(self, fields: dict[str, Any]) -> None:
        """Count a row by its fields."""
        self.rows += 1
        text = fields.get("text")
        self.no_text += not isinstance(text, str) or not text.strip()
        self.no_kind += fields.get("kind") not in STATED_KINDS
        for name in _STRINGS:
            if (value := fields.get(name)) is not None and not isinstance(value, str):
                what = f"{name} is {_type(value)}"
                self.odd[what] = self.odd.get(what, 0) + 1

    def unread(self, why: object) -> None:
        """Count a row that cannot be read."""
        self.bad += 1
        self.first_bad = self.first_bad or str(why)

    def dropped(self, name: str, why: str, value: object) -> None:
        """Count a value that cannot be used."""
        said = self._dropped.setdefault((name, why), _Dropped())
        said.count += 1
        example = f"{value!r:.40}"
        if len(said.examples) < _EXAMPLES and example not in said.examples:
            said.examples.append(example)

    def lines(self, kind: bool = True) -> Iterator[str]:
        """What is to be said at the end; nothing where all was well.

        Args:
            kind: the command needs one.
        """
        if self.no_text:
            yield f"{_of(self.no_text, self.rows)} no text"
        if kind and self.no_kind:
            yield f"{_of(self.no_kind, self.rows)} no kind (news or comment)"
        for what, n in self.odd.items():
            yield f"in {_rows(n)} {what}, must be a string"
        if self.bad:
            yield f"{_rows(self.bad)} could not be read, the first: {self.first_bad}"
        for (name, why), said in self._dropped.items():
            values = f"{said.count:,} value{'' if said.count == 1 else 's'}"
            yield f"{name}: {values} dropped ({why}): {', '.join(said.examples)}"

    def check(self, what: str, kind: bool = True) -> None:
        """Raises:
        BarometerError: there was no row, or none that can be used.
        """
        if not self.rows:
            raise BarometerError(self.first_bad or f"{what}: holds no rows")
        if self.no_text == self.rows:
            raise BarometerError(
                f"{what}: none of {_rows(self.rows)} has a text; name its column with --map text=COLUMN"
            )
        if kind and self.no_kind == self.rows:
            raise BarometerError(
                f"{what}: none of {_rows(self.rows)} has a kind; say it with --set kind=news (or comment)"
            )


def _of(n: int, rows: int) -> str:
    return f"{n:,} of {_rows(rows)} {'has' if n == 1 else 'have'}"


def _rows(n: int) -> str:
    return f"{n:,} row{'' if n == 1 else 's'}"


def _type(value: object) -> str:
    return {dict: "an object", list: "a list", bool: "true or false"}.get(type(value), "a number")
