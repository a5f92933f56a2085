from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from barometer.records import Document
from barometer.vocabulary import Kind, Sentiment
from ingest.worker.scoring import SCORER_ERROR, score_documents
from models.scoring.interface import ScoredText
from testing.keyword_scorer import KeywordScorer


def documents(texts: Sequence[str], **fields: object) -> list[Document]:
    return [
        Document(i, 0, Kind.COMMENT, text, i, i, i, False, **fields)  # type: ignore[arg-type]
        for i, text in enumerate(texts)
    ]


def test_a_prediction_holds_the_topics_above_their_thresholds() -> None:
    (prediction,), langs, reasons = score_documents(KeywordScorer(), documents(["楼市下跌"]))
    assert prediction is not None
    assert (prediction.sentiment, prediction.p_negative, prediction.topics) == (
        Sentiment.NEGATIVE, 0.9, {"real_estate": 0.9},
    )  # fmt: skip
    assert (langs, reasons) == (["zh"], [None])


def test_a_language_that_is_not_covered_is_unscored() -> None:
    predictions, langs, reasons = score_documents(KeywordScorer(), documents(["texte"], lang="xx"))
    assert (predictions, langs, reasons) == ([None], ["xx"], ["language_not_covered"])


@given(st.sets(st.integers(0, 40)), st.integers(1, 41))
def test_only_the_texts_that_break_the_scorer_are_unscored(poison: set[int], n: int) -> None:
    texts = [f"POISON {i}" if i in poison else f"text {i} 涨" for i in range(n)]
    predictions, langs, reasons = score_documents(KeywordScorer(), documents(texts))
    broken = {i for i in poison if i < n}
    assert {i for i, p in enumerate(predictions) if p is None} == broken
    assert {i for i, r in enumerate(reasons) if r == SCORER_ERROR} == broken
    assert all(lang == ("und" if i in broken else "zh") for i, lang in enumerate(langs))


def test_a_scorer_that_loses_texts_is_not_trusted_with_their_order() -> None:
    class Forgetful(KeywordScorer):
        def score(self, *args: object, **kwargs: object) -> list[ScoredText]:
            results = super().score(*args, **kwargs)  # type: ignore[arg-type]
            return results[1:] if len(results) > 1 else results

    predictions, _, _ = score_documents(Forgetful(), documents(["涨", "跌"]))
    assert [p.sentiment for p in predictions if p] == [Sentiment.POSITIVE, Sentiment.NEGATIVE]


def test_no_documents_ask_nothing() -> None:
    scorer = KeywordScorer()
    assert score_documents(scorer, []) == ([], [], [])
    assert scorer.calls == 0
