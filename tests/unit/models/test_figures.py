"""Measures against scikit-learn's, and the parts that are our own against numbers worked out by hand."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.examples import Example
from models.evaluation.figures import (
    binary_calibration_error,
    by_set,
    calibration_error,
    calibration_error_by_chance,
    choice_measures,
    mass_bins,
    sentiment_measures,
    topic_measures,
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(5, 80))
def test_sentiment_agrees_with_scikit_learn(seed: int, n: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the training install")
    rng = np.random.default_rng(seed)
    truth = np.concatenate([[0, 1, 2], rng.integers(0, 3, n)])
    p = rng.dirichlet([1, 1, 1], len(truth))
    m = sentiment_measures(np.eye(3, dtype=int)[truth], p)
    said = p.argmax(1)
    assert m["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said), abs=1e-4)
    assert m["macro_f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro", zero_division=0), abs=2e-4)
    assert m["confusion"]["matrix"] == metrics.confusion_matrix(truth, said, labels=[0, 1, 2]).tolist()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_topics_agree_with_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the training install")
    rng = np.random.default_rng(seed)
    target, said = rng.integers(0, 2, (40, 5)), rng.integers(0, 2, (40, 5)).astype(bool)
    m = topic_measures(target, np.ones((40, 5)), said, list("abcde"))
    assert m["micro_f1"] == pytest.approx(metrics.f1_score(target, said, average="micro"), abs=1e-4)
    assert m["macro_f1"] == pytest.approx(metrics.f1_score(target, said, average="macro"), abs=2e-4)


def test_a_set_without_neutral_sets_its_probability_aside() -> None:
    truth = np.array([0, 0, 2, 2])
    p = np.array([[0.3, 0.6, 0.1], [0.1, 0.7, 0.2], [0.0, 0.9, 0.1], [0.2, 0.2, 0.6]])
    m = sentiment_measures(np.eye(3, dtype=int)[truth], p)
    assert m["accuracy"] == 0.25, "as said, neutral is wrong"
    assert m["balanced_accuracy"] == 0.75


def test_merged_classes_are_measured_as_what_was_said() -> None:
    allowed = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0]])
    m = sentiment_measures(allowed, np.array([[0.4, 0.3, 0.3], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4]]), intervals=True)
    assert m["classes"]["negative"]["recall"] == 0.5
    assert m["accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    low, high = m["intervals"]["accuracy"]
    assert 0 <= low <= m["accuracy"] <= high <= 1


def test_calibration_is_nought_where_probabilities_come_true_and_the_gap_where_they_do_not() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, 40_000)
    happened = rng.random(40_000) < p
    assert binary_calibration_error(happened, p) < 0.02
    assert binary_calibration_error(np.zeros(1000, bool), np.full(1000, 0.3)) == pytest.approx(0.3)
    few = np.stack([p, 1 - p, np.zeros(len(p))], 1)[:300]
    assert 0.02 < calibration_error_by_chance(few) < 0.1, "most of an error on few texts"
    sure = np.tile([0.9, 0.05, 0.05], (100, 1))
    assert calibration_error(np.array([0] * 60 + [1] * 40), sure) == pytest.approx(0.3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_bins_hold_every_value_once_and_keep_equal_values_together(values: list[float]) -> None:
    given_values = np.array(values)
    parts = mass_bins(given_values)
    assert sorted(i for p in parts for i in p) == list(range(len(values)))
    assert len(parts) <= 15
    for earlier, later in pairwise(parts):
        assert given_values[earlier].max() < given_values[later].min()


def test_bins_of_different_values_are_alike_in_size() -> None:
    sizes = [len(p) for p in mass_bins(np.random.default_rng(0).random(1000))]
    assert len(sizes) == 15
    assert max(sizes) - min(sizes) <= 1


def _chosen(topic: str) -> Example:
    return Example("x", "comment", "en", "tweets", topics={t: (int(t == topic), 1.0) for t in ("a", "b", "c")},
                   one_of=("a", "b"))  # fmt: skip


def test_a_choice_is_among_the_topics_that_the_set_knows() -> None:
    logits = np.array([[0.0, -1.0, 9.0], [1.0, 0.5, 9.0]])
    m = choice_measures([_chosen("a"), _chosen("b")], ["a", "b", "c"], logits)
    assert m is not None
    assert m["accuracy"] == 0.5
    assert choice_measures([Example("x", "news", "zh", "s")], ["a"], np.zeros((1, 1))) is None


def test_groups_and_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the training install")
    from models.evaluation.report import save

    examples = [
        Example(f"t{i}", kind, lang, f"set_{lang}", (i % 3,), topics={"a": (i % 2, 1.0)})
        for i, (kind, lang) in enumerate([("news", "zh"), ("comment", "zh"), ("comment", "en")] * 8)
    ]
    rng = np.random.default_rng(2)
    sentiment, topic = rng.normal(size=(24, 3)), rng.normal(size=(24, 1))
    groups = by_set(examples, ["a"], sentiment, topic, 0.5, True, lambda e: f"{e.lang}:{e.kind}")
    assert set(groups) == {"zh:news", "zh:comment", "en:comment"}
    assert sum(g["sentiment"]["n"] for g in groups.values()) == 24
    found = {"version": "v", "unscored": 1, "groups": groups, "sets": by_set(examples, ["a"], sentiment, topic)}
    save(tmp_path, found, examples, sentiment)
    assert json.loads((tmp_path / "figures.json").read_text("utf-8")) == found
    said = (tmp_path / "report.md").read_text("utf-8")
    assert "| set_zh | 16 |" in said
    assert "| all zh:news | 8 |" in said
    names = {p.name for p in tmp_path.glob("*.png")}
    assert names == {"confusion_set_zh.png", "confusion_set_en.png", "reliability_zh_news.png",
                     "reliability_zh_comment.png", "reliability_en_comment.png"}  # fmt: skip


def test_the_baseline_learns_what_words_tell() -> None:
    pytest.importorskip("sklearn", reason="needs the training install")
    from models.evaluation.baseline import baseline_logits
    from tests.unit.models.conftest import BAD, FIRMS, GOOD

    def made(firms: list[str]) -> list[Example]:
        return [
            Example(t.format(f), "news", "zh", "s", (0 if t in BAD else 2,), topics={"a": (int(t in BAD), 1.0)})
            for t in [*BAD, *GOOD]
            for f in firms
        ]

    sentiment, topic = baseline_logits(made(FIRMS[:3]), made(FIRMS[3:]), ["a", "never"])
    truth = [e.sentiment[0] for e in made(FIRMS[3:])]
    assert (sentiment.argmax(1) == truth).mean() > 0.9
    assert ((topic[:, 0] > 0) == (np.array(truth) == 0)).mean() > 0.9
    assert (topic[:, 1] == -20).all(), "a topic that the labels never speak of is not fitted"
