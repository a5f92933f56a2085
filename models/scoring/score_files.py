"""Score a file of texts row by row in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from barometer.errors import BarometerError
from barometer.files import BadRow, FileRow, Form, Source
from barometer.files.mapping import MISSING, Columns, Mapper, value_at
from barometer.files.preview import previewed_rows
from barometer.files.tally import Tally
from barometer.records import MAX_TEXT, Reason
from barometer.vocabulary import KINDS
from models.scoring.explain import explain as explained
from models.scoring.interface import unscored
from models.scoring.scorer import Scorer

OWN = (
    "scored",
    "reason",
    "lang",
    "sentiment",
    "sentiment_probabilities",
    "topics",
    "topic_probabilities",
    "model_version",
    "explanation",
)
"""Fields of a result, which no kept column may have the name of."""


class InputError(BarometerError):
    """A file that cannot be scored; the message names it and what is wrong."""


@dataclass(slots=True)
class ScoreInput:
    """One line in: a text to score, or the reason why there is none."""

    text: str = ""
    kind: str | None = None
    lang: str | None = None
    title: str | None = None
    reason: str | None = None
    passthrough: dict[str, Any] = field(default_factory=dict)
    """Goes through to the result."""


def read_lines(
    path: str,
    form: Form | None = None,
    columns: Columns | None = None,
    *,
    keep: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
    tally: Tally | None = None,
) -> Iterator[ScoreInput]:
    """The rows of a file (``-`` is standard input), in order; a row that can't be used carries its reason.

    Args:
        keep: columns that go through to the results, along with ``id``.
        say: told what the file is and which columns are taken for what, before the first line.
        tally: counts what became of the rows.

    Raises:
        BarometerError: the file can't be read; none of its first rows has a text; a table lacks a column.
    """
    mapper = Mapper(columns or Columns())
    if tally is not None:
        mapper.tally = tally
    for row in previewed_rows(Source(path, form), mapper, say, kind=False):
        try:
            if isinstance(row, BadRow):
                raise row
            line = line_of(mapper.fields(row))
            line.passthrough = _passed_through(row, mapper, keep)
        except BadRow as e:
            mapper.tally.unread(e)
            line = ScoreInput(reason=e.reason)
        yield line


def _passed_through(row: FileRow, mapper: Mapper, keep: Sequence[str]) -> dict[str, Any]:
    """What of a row is echoed: its id as it stands in the file, and the columns that are kept."""
    found = {"id": value_at(row, mapper.columns.rename.get("id", "id"))} | {name: value_at(row, name) for name in keep}
    for name in keep:
        if row.tabular and found[name] is MISSING:
            raise InputError(f"{row.where}: no column {name!r} (--keep); there are: {', '.join(row.fields)}")
    return {k: None if v is MISSING else v for k, v in found.items() if v is not MISSING or k != "id"}


def line_of(value: Any) -> ScoreInput:
    """A line from a parsed object; optional fields of a wrong type are passed over, an unknown kind is a reason."""
    if not isinstance(value, dict):
        return ScoreInput(reason=Reason.TYPE.value)
    text = value.get("text")
    if text is None:
        return ScoreInput(reason=Reason.TEXT_MISSING.value)
    if not isinstance(text, str):
        return ScoreInput(reason=Reason.TYPE.value)
    kind = value.get("kind")
    if kind is not None and kind not in KINDS:
        return ScoreInput(reason=Reason.KIND.value)
    lang, title = value.get("lang"), value.get("title")
    return ScoreInput(
        _clean(text), kind, lang if isinstance(lang, str) else None, _clean(title) if isinstance(title, str) else None
    )


def _clean(text: str) -> str:
    """Cut, and without lone surrogates, which no tokenizer takes."""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8")


def score_lines(
    scorer: Scorer, lines: Iterable[ScoreInput], batch: int = 1024, explain: bool = False
) -> Iterator[dict[str, Any]]:
    """One JSON object a line, in order; ``batch`` lines are held at a time. ``explain`` adds what each word adds."""
    held: list[ScoreInput] = []
    for line in lines:
        held.append(line)
        if len(held) >= batch:
            yield from _score(scorer, held, explain)
            held = []
    if held:
        yield from _score(scorer, held, explain)


def score_lines_in_bulk(
    scorer: Scorer, lines: Iterable[ScoreInput], batch: int, processes: int
) -> Iterator[dict[str, Any]]:
    """As :func:`score_lines`, with reading and tokenising in other processes (``models.scoring.bulk``).

    Raises:
        InputError: the scorer is not on the torch backend.
    """
    from models.scoring.backends import TorchBackend
    from models.scoring.bulk import BulkScorer, Chunk

    if not isinstance(scorer.backend, TorchBackend):
        raise InputError("score: --processes goes with --backend torch, for a GPU")
    held: deque[list[ScoreInput]] = deque()

    def chunks() -> Iterator[Chunk]:
        rest = iter(lines)
        while part := list(islice(rest, batch)):
            held.append(part)
            good = [x for x in part if x.reason is None]
            yield Chunk(*([getattr(x, name) for x in good] for name in ("text", "kind", "lang", "title")))

    with BulkScorer(scorer, processes) as bulk:
        for found in bulk.score(chunks()):
            results = iter(found)
            for line in held.popleft():
                result = unscored(line.reason, "und") if line.reason else next(results)
                yield line.passthrough | result.as_dict(scorer.version, scorer.topics)


def _score(scorer: Scorer, held: list[ScoreInput], explain: bool) -> Iterator[dict[str, Any]]:
    good = [x for x in held if x.reason is None]
    results = iter(
        scorer.score([x.text for x in good], [x.kind for x in good], [x.lang for x in good], [x.title for x in good])
    )
    for line in held:
        result = unscored(line.reason, "und") if line.reason else next(results)
        made = line.passthrough | result.as_dict(scorer.version, scorer.topics)
        if explain:
            why = None if line.reason else explained(scorer, line.text, line.kind, line.lang, line.title)
            made["explanation"] = why.as_dict() if why else {"of": None, "parts": []}
        yield made
