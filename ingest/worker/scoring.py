"""Turns scorer results into predictions; a text that makes the scorer fail is isolated and left unscored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from barometer.records import Document, Prediction
from barometer.vocabulary import Sentiment, stated_kind
from models.scoring.interface import ScoredText, TextScorer

log = structlog.get_logger(__name__)

SCORER_ERROR = "scorer_error"
UNKNOWN_LANGUAGE = "und"


class Scores(NamedTuple):
    """Parallel to the documents; no prediction: unscored, and the reason why."""

    predictions: list[Prediction | None]
    langs: list[str]
    reasons: list[str | None]


def score_documents(scorer: TextScorer, documents: Sequence[Document]) -> Scores:
    """Score all documents. Never raises for what a text does to the scorer: a batch that fails is halved until the
    text is found; that one is unscored (``scorer_error``) and the others are scored as ever."""
    scores = Scores([], [], [])
    failures = 0
    for document, result in zip(documents, _results(scorer, list(documents)), strict=True):
        if result is None:
            failures += 1
            scores.predictions.append(None)
            scores.langs.append(document.lang or UNKNOWN_LANGUAGE)
            scores.reasons.append(SCORER_ERROR)
        else:
            scores.predictions.append(_prediction(scorer.topics, result))
            scores.langs.append(result.lang or document.lang or UNKNOWN_LANGUAGE)
            scores.reasons.append(None if result.scored else result.reason)
    if failures:
        log.error("texts that the scorer failed on are stored unscored", texts=failures, of=len(documents))
    return scores


def _results(scorer: TextScorer, documents: list[Document]) -> list[ScoredText | None]:
    if not documents:
        return []
    try:
        results: list[ScoredText | None] = list(
            scorer.score(
                [d.text for d in documents],
                kinds=[stated_kind(d.kind) for d in documents],
                langs=[d.lang for d in documents],
                titles=[d.title for d in documents],
            )
        )
        if len(results) != len(documents):
            raise ValueError(f"the scorer gave {len(results)} results for {len(documents)} texts")
        return results
    except Exception as e:  # whatever a backend throws: the stream goes on
        if len(documents) == 1:
            log.warning("scorer failed on a text", row=documents[0].row_id, error=f"{type(e).__name__}: {e}"[:300])
            return [None]
        middle = len(documents) // 2
        return _results(scorer, documents[:middle]) + _results(scorer, documents[middle:])


def _prediction(topics: Sequence[str], result: ScoredText) -> Prediction | None:
    sentiment, topic = result.sentiment_probabilities, result.topic_probabilities
    if not result.scored or result.sentiment is None or sentiment is None or topic is None:
        return None
    probability = dict(zip(topics, topic, strict=True))
    negative, neutral, positive = (float(p) for p in sentiment)
    return Prediction(
        Sentiment(result.sentiment), negative, neutral, positive, {t: float(probability[t]) for t in result.topics}
    )
