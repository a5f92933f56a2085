"""What the rest of the product needs of a scorer, whatever is behind it; imports neither a model nor a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from barometer.vocabulary import SENTIMENTS


class ScoredText(NamedTuple):
    """What the model says of one text. Unscored: a reason, and None or nothing elsewhere."""

    scored: bool
    reason: str | None
    lang: str
    sentiment: int | None
    """0 negative, 1 neutral, 2 positive: the class with the largest probability."""
    sentiment_probabilities: tuple[float, float, float] | None
    """Negative, neutral, positive; calibrated by the temperature of its language and kind."""
    topics: tuple[str, ...]
    """Ids of the topics at or above their thresholds, the likeliest first."""
    topic_probabilities: tuple[float, ...] | None
    """Of all topics, in the order of :attr:`TextScorer.topics`."""

    def as_dict(self, version: str, topic_ids: Sequence[str]) -> dict[str, Any]:
        """The JSON of ``barometer score``: names in place of codes."""
        probabilities = self.sentiment_probabilities
        return {
            "scored": self.scored,
            "reason": self.reason,
            "lang": self.lang,
            "sentiment": None if self.sentiment is None else SENTIMENTS[self.sentiment],
            "sentiment_probabilities": probabilities and dict(zip(SENTIMENTS, _rounded(probabilities), strict=True)),
            "topics": list(self.topics),
            "topic_probabilities": self.topic_probabilities
            and dict(zip(topic_ids, _rounded(self.topic_probabilities), strict=True)),
            "model_version": version,
        }


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(v, 6) for v in values]


def unscored(reason: str, lang: str) -> ScoredText:
    """A result that says nothing but why."""
    return ScoredText(False, reason, lang, None, None, (), None)


class TextScorer(Protocol):
    """Labels texts; :class:`models.scoring.scorer.Scorer` does it with a model folder."""

    @property
    def name(self) -> str:
        """The model's version, as the store has it."""
        ...

    @property
    def precision(self) -> str: ...

    @property
    def topics(self) -> Sequence[str]: ...

    def score(
        self,
        texts: Sequence[str],
        kinds: Sequence[str | None],
        langs: Sequence[str | None],
        titles: Sequence[str | None],
    ) -> Sequence[ScoredText]:
        """Results in the order of the texts."""
        ...
