"""Why the model said so: what each word of a text adds, found by leaving it out.

Erasure (Li, Monroe and Jurafsky 2016, arXiv 1612.08220; Zeiler and Fergus 2014, arXiv 1311.2901, call it occlusion):
a part's effect on a class is the log-odds of the class with the whole text less those without the part. It needs
forward passes only, so it runs on the integer network that scores, without PyTorch: the figures explain the very
probabilities that are shown. Words that only tell together (不 + 涨) share one effect at best; that is its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from models.encoding import prepare
from models.labels import SENTIMENTS
from models.scorer import Scored, Scorer

MOST_PARTS = 40
"""More words than this are taken together in runs of equal length: bounds the number of forward passes."""

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

    result: Scored
    line: str
    """Title and text as the network read them."""
    parts: list[Part]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``barometer score --explain``: the parts with their effect on the winning class and on topics."""
        if not self.parts or self.result.sentiment is None:
            return {"of": None, "parts": []}
        won = self.result.sentiment
        return {
            "of": SENTIMENTS[won],
            "parts": [
                {"text": p.text, "start": p.start, "end": p.end, "effect": round(p.sentiment[won], 4),
                 "topics": {t: round(v, 4) for t, v in p.topics.items()}}
                for p in self.parts
            ],
        }  # fmt: skip


def explain(
    scorer: Scorer, text: str, kind: str | None = None, lang: str | None = None, title: str | None = None,
    most: int = MOST_PARTS,
) -> Explanation:  # fmt: skip
    """Score a text and say what each of its words adds; one more forward pass a part (at most ``most``).

    An unscored text has no parts. Title, kind and language are as for :meth:`models.scorer.Scorer.score`.
    """
    result = scorer.score([text], [kind], [lang], [title])[0]
    line = prepare(text, title)
    if not result.scored:
        return Explanation(result, line, [])
    spans = _parts(line, scorer.offsets(line), most)
    without = [f"{line[:a]}{line[b:]}".strip() for a, b in spans]
    kept = [i for i, rest in enumerate(without) if rest]
    found = dict(zip(kept, scorer.score_prepared([without[i] for i in kept], kind, result.lang), strict=True))
    whole = _odds(result)
    places = [scorer.topics.index(t) for t in result.topics]
    parts = []
    for i, (a, b) in enumerate(spans):
        # The one part of a one-word text: everything that was said stands on it.
        rest = _odds(found[i]) if i in found else np.zeros_like(whole)
        gain = whole - rest
        negative, neutral, positive = gain[:3].tolist()
        parts.append(
            Part(a, b, line[a:b], (negative, neutral, positive),
                 {t: float(gain[3 + k]) for t, k in zip(result.topics, places, strict=True)})
        )  # fmt: skip
    return Explanation(result, line, parts)


def _odds(result: Scored) -> np.ndarray:
    """Log-odds of the three classes and of all topics."""
    p = np.clip(
        np.array([*(result.sentiment_probabilities or ()), *(result.topic_probabilities or ())]), 1e-7, 1 - 1e-7
    )
    return np.asarray(np.log(p) - np.log1p(-p))


def _parts(line: str, offsets: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Stretches of the line: the tokenizer's pieces, joined to words where letters meet, then in runs if too many."""
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
    words = [(a, b) for a, b in words if line[a:b].strip(_CLAUSE_ENDS + " ")]
    size = -(-len(words) // most)
    runs = [words[i : i + size] for i in range(0, len(words), size)] if words else []
    return [(run[0][0], run[-1][1]) for run in runs]


def _latin(character: str) -> bool:
    return character.isalnum() and ord(character) < 0x2E80
