"""The two sets of our own writing: the *gold set* measures and never trains, the *rehearsal set* trains.

Both are folders of JSON lines, one file for each language and kind (``zh_news.jsonl`` …). A line is a text::

    {"id": "g-zh-n-0006", "text": "…", "title": "…", "kind": "news", "lang": "zh", "sentiment": "negative",
     "topics": ["market", "industry"], "hard": ["contrast"], "price_move": true}

``topics`` are all that the text is about (``other``: none of the list), so every topic is labelled. ``title``, ``hard``
(why the text is hard, of :data:`HARD`) and ``price_move`` (no news but the bare move of a price) may be left out.
Beside the gold set lie labels by id (``id``, ``sentiment``, ``topics``): ``gold/second`` and ``gold/third`` hold what
two readers who saw the texts alone say of a part of it, ``gold/former`` the labels of texts that were mended after
these readings, and ``why``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

from barometer.errors import BarometerError
from barometer.files import BadRow, Form, read_rows
from barometer.vocabulary import LANGUAGES, SENTIMENTS, STATED_KINDS
from models.data.examples import Example
from models.errors import TrainingDataError
from models.labels import load_topics

GOLD_FOLDER: Final = Path(__file__).parents[1] / "gold"
REHEARSAL_FOLDER: Final = Path(__file__).parents[1] / "rehearsal"
READINGS: Final = {name: GOLD_FOLDER / name / "labels.jsonl" for name in ("second", "third")}
FORMER_FILE: Final = GOLD_FOLDER / "former" / "labels.jsonl"


HARD: Final = (
    "negation", "contrast", "number_direction", "mixed_subjects", "bystander", "rumour_denied", "old_news", "question",
    "irony", "slang", "emoji", "code_mixed", "traditional", "advertisement", "very_short", "long",
)  # fmt: skip
"""Why a text is hard, as ``hard`` names it."""

_OPEN: Final = {"company_operations": 0.5, "industry": 0.7, "market": 0.7, "macro": 0.7}
"""Weight in training of the absence of the topics on which readers of the gold set agree least (``barometer gold``)."""


@dataclass(frozen=True, slots=True)
class OwnText:
    """A text of ours with its labels."""

    id: str
    text: str
    kind: str
    lang: str
    sentiment: str
    topics: tuple[str, ...]
    title: str | None = None
    hard: tuple[str, ...] = ()
    price_move: bool = False


@dataclass(frozen=True, slots=True)
class Labels:
    """What one reader says of one text."""

    sentiment: str
    topics: frozenset[str]


@cache
def gold() -> tuple[OwnText, ...]:
    """The gold set. Raises TrainingDataError as :func:`read_folder` does."""
    return read_folder(GOLD_FOLDER)


@cache
def rehearsal() -> tuple[OwnText, ...]:
    """The rehearsal set. Raises TrainingDataError as :func:`read_folder` does."""
    return read_folder(REHEARSAL_FOLDER)


def gold_examples() -> list[Example]:
    """The gold set to measure on: every topic is labelled, each with full weight."""
    return [_example(t, "gold", {}) for t in gold()]


def rehearsal_examples() -> list[Example]:
    """The rehearsal set to train on: every topic is labelled; that a broad one is absent weighs less than the rest."""
    return [_example(t, "rehearsal", _OPEN) for t in rehearsal()]


def _example(t: OwnText, source: str, absent: Mapping[str, float]) -> Example:
    topics: dict[str, tuple[float, float]] = {
        x: (1, 1.0) if x in t.topics else (0, absent.get(x, 1.0)) for x in known_topics()
    }
    return Example(t.text, t.kind, t.lang, source, (SENTIMENTS.index(t.sentiment),), 1.0, topics, t.title)


def read_folder(folder: Path) -> tuple[OwnText, ...]:
    """All texts of a folder's ``*.jsonl``, in the order of the files' names.

    Raises:
        TrainingDataError: the folder holds no such file, a line is no JSON object, a field is missing, unknown or has
            a value that it cannot have, or an id comes twice; the message names file, line and field.
    """
    texts: list[OwnText] = []
    taken: dict[str, str] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for place, row in _rows(path):
            text = _own_text(row, place)
            if text.id in taken:
                raise TrainingDataError(f"own set: {place}: id {text.id!r} is taken by {taken[text.id]}")
            taken[text.id] = place
            texts.append(text)
    if not texts:
        raise TrainingDataError(f"own set: {folder} holds no texts (*.jsonl): is the installation whole?")
    return tuple(texts)


def read_labels(path: Path) -> dict[str, Labels]:
    """Labels by text id from the file of a reading, or of former labels.

    Raises:
        TrainingDataError: as :func:`read_folder` does.
    """
    found: dict[str, Labels] = {}
    for place, row in _rows(path):
        name = _string(row, "id", place)
        if name in found:
            raise TrainingDataError(f"own set: {place}: id {name!r} comes twice")
        found[name] = Labels(_one_of(row, "sentiment", SENTIMENTS, place), frozenset(_topics(row, place)))
    return found


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place for messages, row) of each line."""
    try:
        for row in read_rows(str(path), Form(encoding="utf-8")):
            if isinstance(row, BadRow):
                raise TrainingDataError(f"own set: {row}")
            yield row.where, row.fields
    except TrainingDataError:
        raise
    except BarometerError as e:
        raise TrainingDataError(f"own set: {e}") from e


def _own_text(row: dict[str, Any], place: str) -> OwnText:
    known = {f.name for f in fields(OwnText)}
    if unknown := sorted(set(row) - known):
        raise TrainingDataError(f"own set: {place}: unknown field {unknown[0]!r} (known: {', '.join(sorted(known))})")
    hard = row.get("hard", [])
    if not isinstance(hard, list) or any(h not in HARD for h in hard):
        raise TrainingDataError(f"own set: {place}: hard must be a list of {', '.join(HARD)}, not {hard!r}")
    if not isinstance(row.get("price_move", False), bool):
        raise TrainingDataError(f"own set: {place}: price_move must be true or false, not {row['price_move']!r}")
    return OwnText(
        _string(row, "id", place),
        _string(row, "text", place),
        _one_of(row, "kind", STATED_KINDS, place),
        _one_of(row, "lang", LANGUAGES, place),
        _one_of(row, "sentiment", SENTIMENTS, place),
        _topics(row, place),
        _string(row, "title", place) if "title" in row else None,
        tuple(hard),
        row.get("price_move", False),
    )


def _string(row: dict[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise TrainingDataError(f"own set: {place}: {name} must be a text that is not empty, not {value!r}")
    return value


def _one_of(row: dict[str, Any], name: str, allowed: Sequence[str], place: str) -> str:
    value = row.get(name)
    if value not in allowed:
        raise TrainingDataError(f"own set: {place}: {name} must be one of {', '.join(allowed)}, not {value!r}")
    return str(value)


def _topics(row: dict[str, Any], place: str) -> tuple[str, ...]:
    value = row.get("topics")
    known = known_topics()
    if not isinstance(value, list) or not value or any(t not in known for t in value) or len(set(value)) < len(value):
        raise TrainingDataError(
            f"own set: {place}: topics must be a list of one or more, each once, of {', '.join(known)}, not {value!r}"
        )
    if "other" in value and len(value) > 1:
        raise TrainingDataError(f"own set: {place}: topics: `other` stands alone, not in {value!r}")
    return tuple(value)


@cache
def known_topics() -> tuple[str, ...]:
    """The ids of ``topics.yaml``, in its order."""
    return tuple(t.id for t in load_topics())
