"""Labelled files of one's own: tables, and what annotation tools export (Label Studio, doccano, Prodigy).

Labels are names (``negative``), words that say the same (``利空``), or what the user maps onto them; numbers mean
different things in different files, so they must be mapped. Whatever is no label is refused, and what annotators
cancelled or rejected is left out and counted.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from barometer.files import BadRow, FileRow, Form, Source
from barometer.files.mapping import Columns, Mapper, names_of
from barometer.files.preview import previewed_rows
from barometer.vocabulary import KINDS, SENTIMENTS
from models.data.examples import Example
from models.errors import TrainingDataError
from models.labels import load_topics

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "negative": ("neg", "bearish", "bad", "负面", "负向", "消极", "利空", "看空", "看跌", "悲观", "負面", "差评"),
    "neutral": ("neu", "neut", "中性", "中立", "无倾向"),
    "positive": ("pos", "bullish", "good", "正面", "正向", "积极", "利好", "看多", "看涨", "乐观", "積極", "好评"),
}
_REJECTED: Final = frozenset(
    {"reject", "rejected", "ignore", "ignored", "discarded", "cancelled", "canceled", "skipped"}
)


@dataclass(frozen=True)
class LabelForm:
    """How a labelled file is read.

    Args:
        rename, constants: as of :class:`barometer.files.mapping.Columns`.
        labels: {label of the file: one of ours}, for sentiments.
    """

    form: Form = field(default_factory=Form)
    rename: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def check_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """``{"-1": "negative"}`` of the option, checked. Raises TrainingDataError for what is none of our sentiments."""
    for said, ours in labels.items():
        if ours not in SENTIMENTS:
            raise TrainingDataError(f"--label {said}={ours}: use {', '.join(SENTIMENTS)}")
    return dict(labels)


def read_labelled(
    path: str, topics: Sequence[str], how: LabelForm | None = None, say: Callable[[str], None] = lambda _: None
) -> list[Example]:
    """The texts of a file with their labels; those without one are left out, and counted by ``say``.

    A row has ``text``, and ``sentiment``, ``topics`` (joined with ``|`` or a list: all others are absent) or both;
    ``kind``, ``lang`` (else detected by the scorer) and ``title`` may be there.

    Raises:
        TrainingDataError: a label that is none of ours, a row that cannot be read, or no label at all.
        BarometerError: the file cannot be read; none of its first rows has a text.
    """
    how = how or LabelForm()
    mapper = Mapper(Columns(how.rename, how.constants))
    reader = _Reader(path, topics, how)
    examples: list[Example] = []
    first: FileRow | None = None
    for row in _flat(previewed_rows(_Unfolded(path, how.form), mapper, say, kind=False, also=("sentiment", "topics"))):
        first = first or row
        fields = mapper.fields(row)
        example = reader.example(row, fields)
        if example is not None:
            examples.append(example)
    for why, n in reader.left.items():
        say(f"{n:,} row{'' if n == 1 else 's'} left out: {why}")
    if not examples:
        there = f"; there are: {', '.join(names_of(first))}" if first else ""
        raise TrainingDataError(
            f"evaluate: {path}: no row has a label: name its column with --map sentiment=COLUMN or topics=COLUMN{there}"
        )
    return examples


def _flat(rows: Iterator[FileRow | BadRow]) -> Iterator[FileRow]:
    for row in rows:
        if isinstance(row, BadRow):
            raise row
        yield row


class _Unfolded(Source):
    """A file in which Label Studio's nested tasks (``data``, ``annotations``) are flat rows."""

    def __iter__(self) -> Iterator[FileRow | BadRow]:
        for row in super().__iter__():
            yield _unfolded(row) if isinstance(row, FileRow) else row


def _unfolded(row: FileRow) -> FileRow:
    data, made = row.fields.get("data"), row.fields.get("annotations", row.fields.get("completions"))
    if not isinstance(data, dict) or not isinstance(made, list):
        return row
    said: dict[str, list[Any]] = {}
    cancelled = True
    for one in made:
        if not isinstance(one, dict) or _is_rejected(one):
            continue
        cancelled = False
        for result in one.get("result") or []:
            if isinstance(result, dict) and isinstance(value := result.get("value"), dict):
                choices = value.get("choices") or value.get("labels") or value.get("taxonomy")
                if choices:
                    said.setdefault(str(result.get("from_name")), []).append(choices)
    # Of several annotators each has one say: the same from all is a label, else it is none.
    flat = {k: v[0] if all(x == v[0] for x in v) else _Contradiction() for k, v in said.items()}
    flags = {"was_cancelled": True} if made and cancelled else {}
    return row._replace(fields={"id": row.fields.get("id"), **data, **flat, **flags})


class _Contradiction:
    """Annotators disagree."""


def _is_rejected(fields: Mapping[str, Any]) -> bool:
    if fields.get("was_cancelled") in (True, "true", "True", 1, "1"):
        return True
    reviews = fields.get("reviews")
    if isinstance(reviews, list) and reviews and isinstance(reviews[-1], dict) and reviews[-1].get("accepted") is False:
        return True
    return any(isinstance(v := fields.get(name), str) and v.lower() in _REJECTED for name in ("answer", "status"))


class _Reader:
    def __init__(self, path: str, topics: Sequence[str], how: LabelForm) -> None:
        self._name = Path(path.removesuffix(".gz")).stem
        self._topics = topics
        self._sentiments = {word: name for name in SENTIMENTS for word in (name, *WORDS[name])}
        self._mapped = {_key(k): v for k, v in how.labels.items()}
        self._topic_names = {t.casefold(): t for t in topics}
        for t in load_topics():
            if t.id in topics:
                self._topic_names |= {t.zh.casefold(): t.id, t.en.casefold(): t.id}
        self._column = how.rename.get("sentiment", "sentiment")
        self._topics_column = how.rename.get("topics", "topics")
        self._contradicted = False
        self.left: Counter[str] = Counter()
        """Rows that give no example, by the reason."""

    def example(self, row: FileRow, fields: dict[str, Any]) -> Example | None:
        """Raises TrainingDataError for a label that is none of ours."""
        if _is_rejected(row.fields):
            self.left["cancelled or rejected by the annotator"] += 1
            return None
        text = fields.get("text")
        if not isinstance(text, str) or not text.strip():
            self.left["no text"] += 1
            return None
        sentiment = self._sentiment(row, fields.get("sentiment"))
        topics = self._topics_of(row, fields.get("topics"))
        if sentiment is None and topics is None:
            if not self._contradicted:
                self.left["no label"] += 1
            return None
        title, lang, kind = (v if isinstance(v := fields.get(x), str) else None for x in ("title", "lang", "kind"))
        if kind not in (None, *KINDS):
            raise TrainingDataError(f"evaluate: {row.where}: kind must be news or comment, not {kind!r:.40}")
        return Example(
            text,
            kind or "unknown",
            lang or "",
            self._name,
            () if sentiment is None else (SENTIMENTS.index(sentiment),),
            1.0,
            {} if topics is None else {t: (int(t in topics), 1.0) for t in self._topics},
            title,
        )

    def _sentiment(self, row: FileRow, value: object) -> str | None:
        labels = _labels(value)
        self._contradicted = False
        if any(isinstance(x, _Contradiction) for x in labels):
            self.left["annotators disagree"] += 1
            self._contradicted = True
            return None
        if not labels:
            return None
        found = {self._one(row, x) for x in labels}
        if len(found) > 1:
            self.left["several labels that contradict each other"] += 1
            self._contradicted = True
            return None
        return found.pop()

    def _one(self, row: FileRow, label: object) -> str:
        key = _key(label)
        known = self._mapped.get(key) or self._sentiments.get(key)
        if known is None:
            hint = " (numbers mean different things in different files)" if _is_number(key) else ""
            raise TrainingDataError(
                f"evaluate: {row.where}: {self._column} is {label!r:.40}, none of {', '.join(SENTIMENTS)}{hint}: "
                f"say what it means with --label {key[:20]}=negative"
            )
        return known

    def _topics_of(self, row: FileRow, value: object) -> set[str] | None:
        if value is None and not (row.tabular and self._topics_column in row.fields):
            return None
        names = value if isinstance(value, list) else [x.strip() for x in str(value or "").split("|")]
        found = set()
        for name in filter(None, names):
            known = self._topic_names.get(str(name).strip().casefold())
            if known is None:
                raise TrainingDataError(
                    f"evaluate: {row.where}: unknown topic {name!r:.40}; use {', '.join(self._topics)}"
                )
            found.add(known)
        return found


def _labels(value: Any) -> list[object]:
    """One label, or several, of what a cell holds."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except ValueError:
            pass
    if isinstance(value, dict):
        value = value.get("choices") or value.get("labels") or []
    if isinstance(value, list):
        return [x for x in value if x not in (None, "")]
    return [] if value is None or value == "" else [value]


def _key(label: object) -> str:
    """A label as it is looked up: without case and blanks; 1.0, which pandas makes of 1, is 1."""
    key = unicodedata.normalize("NFKC", str(label)).strip().casefold()
    return key.removesuffix(".0") if _is_number(key) else key


def _is_number(key: str) -> bool:
    return key.removeprefix("-").removeprefix("+").replace(".", "", 1).isdecimal()
