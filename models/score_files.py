"""Score a file of texts line by line in constant memory: CSV or JSONL, plain or gzip, or standard input."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from barometer.errors import BarometerError
from barometer.records import MAX_TEXT, Reason
from models.explain import explain as explained
from models.labels import KINDS
from models.scorer import Scorer, unscored

_BOM = b"\xef\xbb\xbf"


class InputError(BarometerError):
    """A file that cannot be scored; the message names it and what is wrong."""


@dataclass(slots=True)
class Line:
    """One line in: a text to score, or the reason why there is none."""

    text: str = ""
    kind: str | None = None
    lang: str | None = None
    title: str | None = None
    reason: str | None = None


def read_lines(path: str, form: str | None = None) -> Iterator[Line]:
    """The lines of a file (``-`` is standard input), in order; a line that can't be used carries its reason.

    Args:
        form: ``csv`` or ``jsonl``; None goes by the name, or by the first character.

    Raises:
        InputError: the file can't be read, or is a CSV file without a column ``text``.
    """
    if path == "-":
        yield from _parse(sys.stdin.buffer, "standard input", form)
        return
    file = Path(path)
    name = file.name.removesuffix(".gz")
    try:
        with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as raw:
            guessed = "csv" if name.endswith(".csv") else "jsonl" if name.endswith((".jsonl", ".ndjson")) else None
            yield from _parse(raw, str(file), form or guessed)
    except (OSError, EOFError) as e:
        raise InputError(f"score: cannot read {file}: {getattr(e, 'strerror', None) or e}") from e


def _parse(raw: Any, name: str, form: str | None) -> Iterator[Line]:
    stream: io.BufferedReader = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
    start = stream.peek(512)[:512]
    if start.startswith(_BOM):
        stream.read(len(_BOM))
        start = start[len(_BOM) :]
    if form is None:
        form = "jsonl" if start.lstrip().startswith((b"{", b"[")) else "csv"
    yield from (_jsonl(stream) if form == "jsonl" else _csv(stream, name))


def _jsonl(stream: Iterable[bytes]) -> Iterator[Line]:
    for raw in stream:
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            try:  # what orjson is stricter about: invalid UTF-8, lone surrogates, NaN
                value = json.loads(raw.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                yield Line(reason=Reason.JSON.value)
                continue
        yield line_of(value)


def _csv(stream: io.BufferedReader, name: str) -> Iterator[Line]:
    csv.field_size_limit(1 << 27)
    rows = csv.DictReader(io.TextIOWrapper(stream, "utf-8", "replace", newline=""))
    try:
        if "text" not in (rows.fieldnames or ()):
            raise InputError(f"score: {name} has no column `text` (its columns: {', '.join(rows.fieldnames or ())})")
        for row in rows:
            yield line_of({k: v for k, v in row.items() if v is not None and k is not None and (v or k == "text")})
    except csv.Error as e:
        raise InputError(f"score: {name}, line {rows.line_num}: not valid CSV: {e}") from e


def line_of(value: Any) -> Line:
    """A line from a parsed object; optional fields of a wrong type are passed over, an unknown kind is a reason."""
    if not isinstance(value, dict):
        return Line(reason=Reason.TYPE.value)
    text = value.get("text")
    if text is None:
        return Line(reason=Reason.TEXT_MISSING.value)
    if not isinstance(text, str):
        return Line(reason=Reason.TYPE.value)
    kind = value.get("kind")
    if kind is not None and kind not in KINDS:
        return Line(reason=Reason.KIND.value)
    lang, title = value.get("lang"), value.get("title")
    return Line(
        _clean(text), kind, lang if isinstance(lang, str) else None, _clean(title) if isinstance(title, str) else None
    )


def _clean(text: str) -> str:
    """Cut, and without lone surrogates, which no tokenizer takes."""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8")


def score_lines(
    scorer: Scorer, lines: Iterable[Line], batch: int = 1024, explain: bool = False
) -> Iterator[dict[str, Any]]:
    """One JSON object a line, in order; ``batch`` lines are held at a time. ``explain`` adds what each word adds."""
    held: list[Line] = []
    for line in lines:
        held.append(line)
        if len(held) >= batch:
            yield from _score(scorer, held, explain)
            held = []
    if held:
        yield from _score(scorer, held, explain)


def score_lines_in_bulk(scorer: Scorer, lines: Iterable[Line], batch: int, processes: int) -> Iterator[dict[str, Any]]:
    """As :func:`score_lines`, with reading and tokenising in other processes (``models.bulk``).

    Raises:
        InputError: the scorer is not on the torch backend.
    """
    from models.backends import TorchBackend
    from models.bulk import BulkScorer, Chunk

    if not isinstance(scorer.backend, TorchBackend):
        raise InputError("score: --processes goes with --backend torch, for a GPU")
    held: deque[list[Line]] = deque()

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
                yield result.as_dict(scorer.version, scorer.topics)


def _score(scorer: Scorer, held: list[Line], explain: bool) -> Iterator[dict[str, Any]]:
    good = [x for x in held if x.reason is None]
    results = iter(
        scorer.score([x.text for x in good], [x.kind for x in good], [x.lang for x in good], [x.title for x in good])
    )
    for line in held:
        result = unscored(line.reason, "und") if line.reason else next(results)
        made = result.as_dict(scorer.version, scorer.topics)
        if explain:
            why = None if line.reason else explained(scorer, line.text, line.kind, line.lang, line.title)
            made["explanation"] = why.as_dict() if why else {"of": None, "parts": []}
        yield made
