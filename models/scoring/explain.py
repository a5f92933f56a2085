"""Why the model said so: what each word of a text adds, found by leaving it out.

Erasure (Li, Monroe and Jurafsky 2016, arXiv 1612.08220; Zeiler and Fergus 2014, arXiv 1311.2901, call it occlusion):
a part's effect on a class is the log-odds of the class with the whole text less those without the part. It needs
forward passes only, so it runs on the integer network that scores, without PyTorch: the figures explain the very
probabilities that are shown. Words that only tell together (不 + 涨) share one effect at best; that is its limit.

The number of passes is bounded by what they cost on the model at hand. A text of more words is looked at from coarse to
fine: first in runs of words, then the runs that matter most word by word, as far as the passes go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from barometer.vocabulary import SENTIMENTS
from models.scoring.interface import ScoredText
from models.scoring.scorer import Scorer
from models.text.encoding import in_one_line, prepare

MOST_PARTS = 40
"""Forward passes at most."""

_WORK = 24_000
"""Tokens × layers of hidden width 384 that all passes of one text may take: 0.2 s on two cores."""

_FEWEST_PARTS = 12
FEWEST_CLAUSES = 3

_CLAUSE_ENDS = "，。！？；：、,.!?;:…\n"


class Part(NamedTuple):
    """A stretch of what the network read, and what it adds."""

    start: int
    end: int
    """Characters of :attr:`Explanation.line`."""
    text: str
    sentiment: tuple[float, float, float]
    """Log-odds that the part adds to negative, neutral, positive."""
    topics: dict[str, float]
    """Log-odds that it adds to each topic that the whole text was given."""


class Explanation(NamedTuple):
    """A result and its parts in the order of the text; parts beyond the network's reach are not in it."""

    result: ScoredText
    line: str
    """Title and text in one line, as the network read them but for traditional characters, which stay."""
    parts: list[Part]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``barometer score --explain``: the parts with their effect on the winning class and on topics."""
        if not self.parts or self.result.sentiment is None:
            return {"of": None, "parts": []}
        won = self.result.sentiment
        return {
            "of": SENTIMENTS[won],
            "parts": [
                {
                    "text": p.text,
                    "start": p.start,
                    "end": p.end,
                    "effect": round(p.sentiment[won], 4),
                    "topics": {t: round(v, 4) for t, v in p.topics.items()},
                }
                for p in self.parts
            ],
        }


def explain(
    scorer: Scorer,
    text: str,
    kind: str | None = None,
    lang: str | None = None,
    title: str | None = None,
    most: int | None = None,
    clauses: bool = False,
) -> Explanation:
    """Score a text and say what each of its words adds; one more forward pass a part.

    An unscored text has no parts. Title, kind and language are as for :meth:`models.scoring.scorer.Scorer.score`.

    Args:
        most: forward passes at most; None goes by what they cost (`MOST_PARTS` at most).
        clauses: leave out whole clauses, what stands between punctuation: they tell more than their words do one by
            one. A text of fewer than :data:`FEWEST_CLAUSES` is taken apart by words all the same.
    """
    result = scorer.score([text], [kind], [lang], [title])[0]
    shown, line = in_one_line(text, title), prepare(text, title)
    if not result.scored or result.sentiment is None:
        return Explanation(result, shown, [])
    words = _words(line, scorer.offsets(line))
    passes = most or passes_of(scorer, line)
    if clauses and len(spans := _clauses(line, words, passes)) >= FEWEST_CLAUSES:
        words, passes = spans, len(spans)
    coarse = passes if len(words) <= passes else max(1, passes // 2)
    runs = _runs(words, coarse)
    effects = dict(zip(_spans(runs), _effects(scorer, line, kind, result, _spans(runs)), strict=True))
    if len(words) > passes:
        left = passes - len(runs)
        for run in sorted(runs, key=lambda r: -abs(float(effects[_span(r)][result.sentiment]))):
            if len(run) > 1 and left > 1:
                finer = _spans(_runs(run, left))
                left -= len(finer)
                del effects[_span(run)]
                effects |= zip(finer, _effects(scorer, line, kind, result, finer), strict=True)
    places = [scorer.topics.index(t) for t in result.topics]
    parts = []
    for (a, b), gain in sorted(effects.items()):
        negative, neutral, positive = gain[:3].tolist()
        parts.append(
            Part(
                a,
                b,
                shown[a:b],
                (negative, neutral, positive),
                {t: float(gain[3 + k]) for t, k in zip(result.topics, places, strict=True)},
            )
        )
    return Explanation(result, shown, parts)


def passes_of(scorer: Scorer, line: str) -> int:
    """How many forward passes the explanation of a prepared line takes at most."""
    encoder = scorer.folder.encoder
    a_pass = scorer.tokens(line) * encoder["num_hidden_layers"] * (encoder["hidden_size"] / 384) ** 2
    return max(_FEWEST_PARTS, min(MOST_PARTS, int(_WORK / a_pass)))


def _effects(
    scorer: Scorer, line: str, kind: str | None, result: ScoredText, spans: Sequence[tuple[int, int]]
) -> list[np.ndarray]:
    """What each span adds to the log-odds of the classes and of all topics."""
    whole = _odds(result)
    return [whole - _odds(rest) for rest in scorer.score_without(line, kind, result.lang, spans)]


def _odds(result: ScoredText) -> np.ndarray:
    """Log-odds of the three classes and of all topics."""
    p = np.clip(
        np.array([*(result.sentiment_probabilities or ()), *(result.topic_probabilities or ())]), 1e-7, 1 - 1e-7
    )
    return np.asarray(np.log(p) - np.log1p(-p))


def _words(line: str, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches of the line: the tokenizer's pieces, joined to words where letters meet; bare punctuation is none."""
    words: list[tuple[int, int]] = []
    for piece_start, end in offsets:
        start = piece_start
        while start < end and line[start].isspace():
            start += 1
        last = words[-1] if words else (0, 0)
        overlaps = words and start < last[1]  # a piece that stands for the space before a word claims its first letter
        if words and (overlaps or (last[1] == start < end and _latin(line[start - 1]) and _latin(line[start]))):
            words[-1] = (last[0], max(end, last[1]))
        elif start < end:
            words.append((start, end))
    return [(a, b) for a, b in words if line[a:b].strip(_CLAUSE_ENDS + " ")]


def _runs(words: Sequence[tuple[int, int]], most: int) -> list[list[tuple[int, int]]]:
    """The words in order, in at most so many runs of like size."""
    size = max(1, -(-len(words) // most))
    return [list(words[i : i + size]) for i in range(0, len(words), size)]


def _span(run: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return run[0][0], run[-1][1]


def _spans(runs: Sequence[Sequence[tuple[int, int]]]) -> list[tuple[int, int]]:
    return [_span(run) for run in runs]


def _clauses(line: str, words: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Stretches of the line between the ends of clauses, as far as the network reads; the shortest neighbours are
    joined while there are too many. A full stop inside a number ends nothing."""
    reach = max((end for _, end in words), default=0)
    found: list[tuple[int, int]] = []
    start = 0
    for i, ch in enumerate(line[:reach]):
        inside = ch in ".,:" and i + 1 < reach and not line[i + 1].isspace()
        if (ch in _CLAUSE_ENDS and not inside) or i == reach - 1:
            if line[start : i + 1].strip(_CLAUSE_ENDS + " "):
                found.append((start, i + 1))
                start = i + 1
            elif found:
                found[-1] = (found[-1][0], i + 1)
                start = i + 1
    while len(found) > most:
        at = min(range(len(found) - 1), key=lambda k: found[k + 1][1] - found[k][0])
        found[at : at + 2] = [(found[at][0], found[at + 1][1])]
    return found


def _latin(character: str) -> bool:
    return character.isalnum() and ord(character) < 0x2E80
