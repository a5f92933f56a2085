"""Score an archive on a GPU: texts are read and tokenised by other processes while the device computes.

    with BulkScorer(load_scorer(backend="torch"), processes=8) as bulk:
        for results in bulk.score(chunks):
            ...

What comes out is what :meth:`models.scoring.scorer.Scorer.score` gives, chunk for chunk in order; nothing is remembered
of repeats. One interpreter tokenises some tens of thousands of texts a second at best, a GPU takes more than that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from barometer.vocabulary import KINDS
from models.folder import TOKENIZER
from models.scoring.backends import TorchBackend
from models.scoring.interface import ScoredText, unscored
from models.scoring.scorer import EMPTY, NOT_COVERED, Scorer
from models.text.encoding import encode_windows, load_tokenizer, prepare
from models.text.language import detect, normalise_code


class Chunk(NamedTuple):
    """Texts that are read together, a few thousand; the other lists are parallel to them or left out."""

    texts: Sequence[str]
    kinds: Sequence[str | None] | None = None
    langs: Sequence[str | None] | None = None
    titles: Sequence[str | None] | None = None


@dataclass(slots=True)
class Encoded:
    """A chunk as the device wants it."""

    reasons: list[str | None]
    """Of each text: why it is not scored."""
    langs: list[str]
    kinds: np.ndarray
    """(scored texts,)"""
    ids: np.ndarray
    """(tokens,) int32: all windows end to end."""
    lengths: np.ndarray
    """(windows,) int32"""
    owner: np.ndarray
    """(windows,): the scored text that each belongs to."""


class _Reader:
    """What a reading process holds."""

    def __init__(self, folder: Path, max_tokens: int, windows: int, languages: tuple[str, ...]) -> None:
        self.tokenizer: Tokenizer = load_tokenizer(folder / TOKENIZER, max_tokens)
        self.max_tokens, self.windows, self.languages = max_tokens, windows, languages

    def read(self, chunk: Chunk) -> Encoded:
        n = len(chunk.texts)
        nothing: list[str | None] = [None] * n
        columns = (chunk.texts, chunk.kinds or nothing, chunk.langs or nothing, chunk.titles or nothing)
        reasons, langs, lines, kinds = list(nothing), [], [], []
        for i, (text, kind, given, title) in enumerate(zip(*columns, strict=True)):
            line = prepare(text, title)
            lang = normalise_code(given) or (detect(line) if line else "und")
            langs.append(lang)
            if not line:
                reasons[i] = EMPTY
            elif lang not in self.languages:
                reasons[i] = NOT_COVERED + lang
            else:
                lines.append(line)
                kinds.append(KINDS.index(kind or "unknown"))
        windows = encode_windows(self.tokenizer, lines, self.max_tokens, self.windows)
        flat = [w for of_text in windows for w in of_text]
        return Encoded(
            reasons,
            langs,
            np.array(kinds, np.int64),
            np.fromiter(chain.from_iterable(flat), np.int32),
            np.array([len(w) for w in flat], np.int32),
            np.repeat(np.arange(len(lines)), [len(of_text) for of_text in windows]),
        )


_reader: _Reader | None = None


def _begin(*args: Any) -> None:
    global _reader
    _reader = _Reader(*args)


def _read(chunk: Chunk) -> Encoded:
    assert _reader is not None
    return _reader.read(chunk)


class BulkScorer:
    """A scorer on the torch backend with reading processes before it; a context manager."""

    def __init__(self, scorer: Scorer, processes: int) -> None:
        """Raises ValueError if the scorer is not on the torch backend."""
        if not isinstance(scorer.backend, TorchBackend):
            raise ValueError("bulk scoring needs load_scorer(backend='torch')")
        self._scorer, self._backend, self._processes = scorer, scorer.backend, processes
        folder = scorer.folder
        # A fork of a process that uses a GPU is not safe.
        self._pool = ProcessPoolExecutor(
            processes,
            get_context("spawn"),
            _begin,
            (folder.path, folder.max_tokens, folder.windows, folder.languages),
        )

    def __enter__(self) -> BulkScorer:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def score(self, chunks: Iterable[Chunk]) -> Iterator[list[ScoredText]]:
        """Results of each chunk, in order. At most two chunks a process are held, and two on the device."""
        reading: deque[Future[Encoded]] = deque()
        launched: deque[tuple[Encoded, Any]] = deque()
        for chunk in chunks:
            reading.append(self._pool.submit(_read, chunk))
            if len(reading) >= 2 * self._processes:
                launched.append(self._launch(reading.popleft().result()))
            if len(launched) > 2:
                yield self._results(*launched.popleft())
        for future in reading:
            launched.append(self._launch(future.result()))
            if len(launched) > 2:
                yield self._results(*launched.popleft())
        while launched:
            yield self._results(*launched.popleft())

    def _launch(self, read: Encoded) -> tuple[Encoded, Any]:
        if not len(read.lengths):
            return read, None
        return read, self._backend.launch(read.ids, read.lengths, read.kinds[read.owner])

    def _results(self, read: Encoded, logits: Any) -> list[ScoredText]:
        scored: Iterator[ScoredText] = iter(())
        if logits is not None:
            covered = [lang for lang, reason in zip(read.langs, read.reasons, strict=True) if reason is None]
            keys = [("", kind, lang) for kind, lang in zip(read.kinds.tolist(), covered, strict=True)]
            sentiment, topics = (x.cpu().numpy() for x in logits)
            scored = iter(self._scorer.results(keys, sentiment, topics, read.owner))
        return [
            next(scored) if reason is None else unscored(reason, lang)
            for reason, lang in zip(read.reasons, read.langs, strict=True)
        ]
