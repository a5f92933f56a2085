"""A scorer backend by keywords: deterministic, instant, and able to misbehave on demand."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from models.scoring.interface import ScoredText, unscored

TOPICS = ("market", "real_estate", "other")


class KeywordScorer:
    """跌 or "falls" is negative, 涨 or "rises" positive; 楼 is real estate; POISON raises; a text in lang ``xx`` is not
    covered.

    Args:
        seconds: how long each call takes.
        before: called with the texts of each call.
    """

    name = "keywords"
    precision = "rules"
    topics = TOPICS

    def __init__(self, seconds: float = 0.0, before: Callable[[Sequence[str]], None] | None = None) -> None:
        self.seconds, self._before = seconds, before
        self.calls = 0

    def score(
        self,
        texts: Sequence[str],
        kinds: Sequence[str | None],
        langs: Sequence[str | None],
        titles: Sequence[str | None],
    ) -> list[ScoredText]:
        self.calls += 1
        if self._before is not None:
            self._before(texts)
        time.sleep(self.seconds)
        if any("POISON" in t for t in texts):
            raise RuntimeError("this text breaks the tokenizer")
        return [self._one(t, lang) for t, lang in zip(texts, langs, strict=True)]

    def _one(self, text: str, lang: str | None) -> ScoredText:
        if lang == "xx":
            return unscored("language_not_covered", "xx")
        sentiment = 0 if "跌" in text or "falls" in text else 2 if "涨" in text or "rises" in text else 1
        negative, neutral, positive = (0.9 if i == sentiment else 0.05 for i in range(3))
        topic = "real_estate" if "楼" in text else "market"
        weights = tuple(0.9 if t == topic else 0.02 for t in TOPICS)
        return ScoredText(True, None, lang or "zh", sentiment, (negative, neutral, positive), (topic,), weights)
