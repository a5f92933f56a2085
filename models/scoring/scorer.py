"""The scorer: texts in, sentiment and topics out. The one thing that other parts need of a model.

    scorer = load_scorer()
    for result in scorer.score(["恒生指数收涨1.2%"], kinds=["news"]):
        result.sentiment, result.topics

A text's result depends on the text, its title, kind and language alone, never on the batch that it came in.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Encoding

from barometer.vocabulary import KINDS, SENTIMENTS
from models.errors import REMEDY, ModelError
from models.folder import LABELS, TOKENIZER, WEIGHTS, ModelFolder, read_folder
from models.scoring.backends import Backend, OnnxBackend, TorchBackend, choose_backend
from models.scoring.interface import ScoredText, unscored
from models.text.encoding import cut_of, encode_windows, load_tokenizer, prepare
from models.text.language import detect, normalise_code

EMPTY = "text_empty"
NOT_COVERED = "language:"
"""An unscored text's reason is this and the language's code."""

_CACHE_SIZE = 8192
_CHUNK = 4096
"""Texts tokenised and scored at a time: bounds memory whatever a caller hands in."""


class Scorer:
    """A model folder on a backend. Safe to call from several threads."""

    def __init__(self, folder: ModelFolder, backend: Backend, cache_size: int = _CACHE_SIZE) -> None:
        self.folder = folder
        self.version = folder.version
        self.name = folder.version
        self.precision = backend.precision
        self.topics = folder.topics
        self.languages = folder.languages
        self.backend = backend
        self._tokenizer = load_tokenizer(folder.path / TOKENIZER, folder.max_tokens)
        if self._tokenizer.get_vocab_size() != folder.encoder["vocab_size"]:
            raise ModelError(
                f"model: {folder.path / TOKENIZER} has {self._tokenizer.get_vocab_size()} pieces, "
                f"{folder.path / LABELS} says {folder.encoder['vocab_size']}: {REMEDY}"
            )
        _try_out(folder, backend)
        self._thresholds = {
            lang: np.array([folder.thresholds[lang][t] for t in folder.topics]) for lang in folder.languages
        }
        self._cache: OrderedDict[tuple[str, int, str], ScoredText] = OrderedDict()
        self._cache_size = cache_size
        self._lock = threading.Lock()

    def score(
        self,
        texts: Sequence[str],
        kinds: Sequence[str | None] | None = None,
        langs: Sequence[str | None] | None = None,
        titles: Sequence[str | None] | None = None,
    ) -> list[ScoredText]:
        """Score texts; results are in their order.

        Args:
            kinds: ``news``, ``comment``, ``unknown`` or None, parallel to the texts.
            langs: language codes that override detection where given.
            titles: read before the text.

        Raises:
            ValueError: a parallel list has another length, or a kind is none of the above.
        """
        n = len(texts)
        for name, given in (("kinds", kinds), ("langs", langs), ("titles", titles)):
            if given is not None and len(given) != n:
                raise ValueError(f"{name} has {len(given)} entries for {n} texts")
        results: list[ScoredText] = []
        for start in range(0, n, _CHUNK):
            part = slice(start, min(n, start + _CHUNK))
            results += self._score(
                texts[part],
                *(
                    given[part] if given is not None else [None] * (part.stop - start)
                    for given in (kinds, langs, titles)
                ),
            )
        return results

    def _score(
        self,
        texts: Sequence[str],
        kinds: Sequence[str | None],
        langs: Sequence[str | None],
        titles: Sequence[str | None],
    ) -> list[ScoredText]:
        results: list[ScoredText | None] = [None] * len(texts)
        waiting: dict[tuple[str, int, str], list[int]] = {}
        for i, (text, kind, given, title) in enumerate(zip(texts, kinds, langs, titles, strict=True)):
            line = prepare(text, title)
            if not line:
                results[i] = unscored(EMPTY, normalise_code(given) or "und")
                continue
            lang = normalise_code(given) or detect(line)
            if lang not in self.languages:
                results[i] = unscored(NOT_COVERED + lang, lang)
                continue
            key = (line, KINDS.index(kind or "unknown"), lang)
            with self._lock:
                known = self._cache.get(key)
                if known is not None:
                    self._cache.move_to_end(key)
            results[i] = known
            if known is None:
                waiting.setdefault(key, []).append(i)
        for key, result in zip(waiting, self._run(list(waiting)), strict=True):
            for i in waiting[key]:
                results[i] = result
            with self._lock:
                self._cache[key] = result
                while len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return [r for r in results if r is not None]

    def score_prepared(self, lines: Sequence[str], kind: str | None, lang: str) -> list[ScoredText]:
        """Score lines made by :func:`models.text.encoding.prepare`, of one kind and language, past the cache."""
        return self._run([(line, KINDS.index(kind or "unknown"), lang) for line in lines])

    def offsets(self, line: str) -> list[tuple[int, int]]:
        """Where the pieces that the network reads of a prepared line stand in it: (start, end) in characters."""
        return [
            o
            for window in self._windows(line)
            for o, special in zip(window.offsets, window.special_tokens_mask, strict=True)
            if not special
        ]

    def score_without(
        self, line: str, kind: str | None, lang: str, spans: Sequence[tuple[int, int]]
    ) -> list[ScoredText]:
        """Score a prepared line once for each span, without the pieces that lie in it.

        Only the window that a span stands in is run again, so a span of a long text costs no more than one of a short.
        """
        if not spans:
            return []
        windows = self._windows(line)
        ids = [list(w.ids) for w in windows]
        rows: list[list[int]] = []
        """For each span and window, the place of its logits among the sequences run."""
        for start, end in spans:
            row = list(range(len(windows)))
            for k, w in enumerate(windows):
                places = zip(w.ids, w.offsets, w.special_tokens_mask, strict=True)
                rest = [i for i, (a, b), special in places if special or b <= start or a >= end]
                if len(rest) < len(w.ids):
                    row[k] = len(ids)
                    ids.append(rest)
            rows.append(row)
        code = KINDS.index(kind or "unknown")
        sentiment, topics = self.backend.run(ids, np.full(len(ids), code, np.int64))
        chosen = np.array(rows).ravel()
        owner = np.repeat(np.arange(len(spans)), len(windows))
        return self.results([(line, code, lang)] * len(spans), sentiment[chosen], topics[chosen], owner)

    def tokens(self, line: str) -> int:
        """How many pieces, markers included, the longest window of a prepared line has."""
        return max(len(w.ids) for w in self._windows(line))

    def _windows(self, line: str) -> list[Encoding]:
        made = self._tokenizer.encode(line[: cut_of(self.folder.max_tokens, self.folder.windows)])
        return [made, *made.overflowing[: self.folder.windows - 1]]

    def _run(self, keys: Sequence[tuple[str, int, str]]) -> list[ScoredText]:
        if not keys:
            return []
        lines = [line for line, _, _ in keys]
        windows = encode_windows(self._tokenizer, lines, self.folder.max_tokens, self.folder.windows)
        ids = [w for of_text in windows for w in of_text]
        owner = np.repeat(np.arange(len(keys)), [len(of_text) for of_text in windows])
        sentiment, topics = self.backend.run(ids, np.array([kind for _, kind, _ in keys], np.int64)[owner])
        return self.results(keys, sentiment, topics, owner)

    def results(
        self, keys: Sequence[tuple[str, int, str]], sentiment: np.ndarray, topics: np.ndarray, owner: np.ndarray
    ) -> list[ScoredText]:
        """From the logits of windows to results of texts.

        Args:
            keys: of each text its prepared line (not looked at), kind and language.
            sentiment, topics: (windows, 3) and (windows, topics).
            owner: (windows,), the text that each belongs to, ascending.
        """
        sentiment, topics = sentiment.astype(float), topics.astype(float)
        warmth = np.array([self.folder.temperature(lang, KINDS[kind]) for _, kind, lang in keys])
        scaled = sentiment / warmth[owner, None]
        e = np.exp(scaled - scaled.max(1, keepdims=True))
        return self._results(keys, *_pooled(e / e.sum(1, keepdims=True), topics, owner))

    def _results(
        self, keys: Sequence[tuple[str, int, str]], probabilities: np.ndarray, topics: np.ndarray
    ) -> list[ScoredText]:
        of_topics = 1 / (1 + np.exp(-topics))
        above = of_topics >= np.stack([self._thresholds[lang] for _, _, lang in keys])
        named = _named(of_topics, above, self.topics)
        columns = (keys, probabilities.argmax(1).tolist(), probabilities.tolist(), named, of_topics.tolist())
        return [
            ScoredText(True, None, lang, sentiment, (p[0], p[1], p[2]), names, tuple(t))
            for (_, _, lang), sentiment, p, names, t in zip(*columns, strict=True)
        ]


def _named(probabilities: np.ndarray, above: np.ndarray, topics: Sequence[str]) -> list[tuple[str, ...]]:
    """The topics of each text that are above their thresholds, the likeliest first."""
    rows, columns = np.nonzero(above)
    order = np.lexsort((-probabilities[rows, columns], rows))
    names = [topics[k] for k in columns[order].tolist()]
    ends = np.cumsum(above.sum(1)).tolist()
    return [tuple(names[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _try_out(folder: ModelFolder, backend: Backend) -> None:
    """Run the last piece of the vocabulary over the longest window, with every kind: what would fail at some text does.

    Raises:
        ModelError: the network fails, or doesn't give finite logits of the labels' shapes.
    """
    piece = folder.encoder["vocab_size"] - 1
    ids = [[piece if piece != folder.pad_id else piece - 1] * folder.max_tokens] * len(KINDS)
    path = folder.path / WEIGHTS
    try:
        said = backend.run(ids, np.arange(len(KINDS)))
    except Exception as e:  # the libraries raise their own classes
        raise ModelError(
            f"model: {path} does not fit {folder.path / LABELS} or the tokenizer: {str(e)[:300]}: {REMEDY}"
        ) from e
    if [x.shape for x in said] != [(len(KINDS), len(SENTIMENTS)), (len(KINDS), len(folder.topics))]:
        raise ModelError(f"model: {path} gives logits of other shapes than {folder.path / LABELS} says: {REMEDY}")
    if not all(np.isfinite(x).all() for x in said):
        raise ModelError(f"model: {path} gives logits that are not finite: its weights are damaged: {REMEDY}")


def _pooled(probabilities: np.ndarray, topics: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the windows of each text say together: (texts, 3) and (texts, topics).

    Sentiment is their mean, the first counted twice; topics are those of the first, which measured better than pooling
    on the sets with long texts (``python -m bench.long_texts``). ``owner`` (windows,) ascends.
    """
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    if len(first) == len(owner):
        return probabilities, topics
    count = np.diff(np.append(first, len(owner)))
    total = np.add.reduceat(probabilities, first) + probabilities[first]
    return np.where(count[:, None] > 1, total / (count + 1)[:, None], probabilities[first]), topics[first]


def load_scorer(
    path: str | Path | None = None, threads: int | None = None, backend: str = "onnx", device: str | None = None
) -> Scorer:
    """The scorer of a model folder; None is the model that comes with the package.

    Args:
        threads: of ONNX Runtime; None takes what the process may use, four at most.
        backend: ``onnx`` (CPU), ``torch`` (GPU where there is one; needs the extra ``train``) or ``auto``: torch where
            it is installed and sees a GPU.

    Raises:
        ModelError: a file is missing or contradicts another; or torch is asked for and not installed.
    """
    folder = read_folder(path)
    if backend == "auto":
        backend = choose_backend()
    if backend == "onnx":
        return Scorer(folder, OnnxBackend(folder, threads))
    if backend != "torch":
        raise ModelError(f"model: backend must be auto, onnx or torch, not {backend!r}")
    try:
        return Scorer(folder, TorchBackend(folder, device))
    except ImportError as e:
        raise ModelError(
            f"model: the torch backend needs the extra `train` (pip install 'barometer[train]'): {e}"
        ) from e
