"""What any model must beat: TF-IDF of characters and words with logistic regression, trained on a set's own rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline, make_union

from barometer.vocabulary import SENTIMENTS
from models.data.examples import Example
from models.text.encoding import prepare


def baseline_logits(
    train: Sequence[Example], dev: Sequence[Example], topics: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of sentiment (n, 3) and topics (n, topics) for the dev texts, of a model fitted on the training texts.

    What the training labels don't say is not fitted: a class or topic without examples gets -20. A set that tells
    negative from not negative only gives its not-negative to neutral. Weak and distant labels are not used.
    """
    lines = [prepare(e.text, e.title) for e in dev]
    sentiment = np.full((len(dev), len(SENTIMENTS)), -20.0)
    rows = [
        (prepare(e.text, e.title), min(e.sentiment) if 0 in e.sentiment else 1 if 1 in e.sentiment else 2)
        for e in train
        if e.sentiment and not e.weak
    ]
    classes = sorted({y for _, y in rows})
    if len(classes) > 1:
        fitted = _model().fit([x for x, _ in rows], [y for _, y in rows])
        sentiment[:, classes] = np.log(fitted.predict_proba(lines) + 1e-9)
    said = np.full((len(dev), len(topics)), -20.0)
    for k, topic in enumerate(topics):
        known = [(prepare(e.text, e.title), e.topics[topic][0]) for e in train if e.topics.get(topic, (0, 0))[1] >= 1]
        if len({y for _, y in known}) > 1 and sum(y for _, y in known) >= 5:
            p = _model().fit([x for x, _ in known], [y for _, y in known]).predict_proba(lines)[:, 1]
            said[:, k] = np.log(p + 1e-9) - np.log(1 - p + 1e-9)
    return sentiment, said


def _model() -> Pipeline:
    characters = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True, max_features=200_000)
    words = TfidfVectorizer(analyzer="word", ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=100_000)
    return make_pipeline(make_union(characters, words), LogisticRegression(C=10, max_iter=300))
