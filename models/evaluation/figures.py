"""Measures of a model on labelled texts: accuracy, F1, calibration; by set, or by language and kind.

Every measure of sentiment takes the class with the largest probability, as scoring does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from barometer.vocabulary import SENTIMENTS
from models.data.examples import Example

_RESAMPLES = 500


def f1_table(truth: np.ndarray, said: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Per class: precision, recall, F1, support. ``truth`` and ``said`` are boolean (n, classes)."""
    table = {}
    for k, name in enumerate(names):
        hit = int((truth[:, k] & said[:, k]).sum())
        predicted, actual = int(said[:, k].sum()), int(truth[:, k].sum())
        precision, recall = hit / predicted if predicted else 0.0, hit / actual if actual else 0.0
        f1 = 2 * precision * recall / (precision + recall) if hit else 0.0
        table[name] = {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4), "n": actual}
    return table


def sentiment_measures(allowed: np.ndarray, probabilities: np.ndarray, intervals: bool = False) -> dict[str, Any]:
    """Accuracy, macro F1, negative F1, calibration, confusion matrix and a table.

    Where a set merges classes (not-negative), the measures are of negative against not. Where it has no neutral
    class, ``balanced_accuracy`` is over negative and positive with the neutral probability set aside.

    Args:
        allowed: 0/1 (n, 3), the classes that the label allows.
        probabilities: (n, 3).
        intervals: also 95 % bootstrap intervals of accuracy, macro F1 and negative F1.
    """
    said = probabilities.argmax(1)
    merged = bool((allowed.sum(1) > 1).any())
    if merged:
        truth = np.where((allowed[:, 0] == 1) & (allowed.sum(1) == 1), 0, 1)
        guess = np.where(said == 0, 0, 1)
        names: Sequence[str] = ("negative", "not_negative")
        present = [0, 1]
    else:
        truth, guess, names = allowed.argmax(1), said, SENTIMENTS
        present = sorted(set(truth.tolist()))
    table = f1_table(
        np.stack([truth == k for k in present], 1),
        np.stack([guess == k for k in present], 1),
        [names[k] for k in present],
    )
    found: dict[str, Any] = {
        "n": len(said),
        "accuracy": round(float((truth == guess).mean()), 4),
        "macro_f1": round(float(np.mean([r["f1"] for r in table.values()])), 4),
        "calibration_error": None if merged else round(calibration_error(truth, probabilities), 4),
        "calibration_error_by_chance": None if merged else round(calibration_error_by_chance(probabilities), 4),
        "classes": table,
        "confusion": {"classes": list(names), "matrix": confusion(truth, guess, len(names)).tolist()},
    }
    if not merged and present == [0, 2]:
        pair = np.where(probabilities[:, 0] > probabilities[:, 2], 0, 2)
        found["balanced_accuracy"] = round(float(np.mean([(pair[truth == k] == k).mean() for k in present])), 4)
    if intervals:
        found["intervals"] = bootstrap(_single_label, truth, guess)
    return found


def _single_label(truth: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    matrix = confusion(truth, guess, 3)
    hit, f1 = np.diag(matrix), []
    for k in range(3):
        if matrix[k].sum():
            f1.append(2 * hit[k] / max(1, matrix[k].sum() + matrix[:, k].sum()))
    negative = 2 * hit[0] / max(1, matrix[0].sum() + matrix[:, 0].sum())
    return {"accuracy": hit.sum() / matrix.sum(), "macro_f1": float(np.mean(f1)), "negative_f1": float(negative)}


def _many_labels(truth: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    hit, predicted, actual = (truth & guess).sum(0), guess.sum(0), truth.sum(0)
    f1 = 2 * hit / np.maximum(1, predicted + actual)
    micro = 2 * hit.sum() / max(1, predicted.sum() + actual.sum())
    return {"micro_f1": float(micro), "macro_f1": float(f1[actual > 0].mean()) if (actual > 0).any() else 0.0}


def bootstrap(
    measure: Callable[[np.ndarray, np.ndarray], dict[str, float]], truth: np.ndarray, guess: np.ndarray, seed: int = 0
) -> dict[str, list[float]]:
    """95 % percentile intervals (Efron and Tibshirani 1993) of each measure, over resampled texts."""
    rng = np.random.default_rng(seed)
    n = len(truth)
    drawn = [measure(truth[rows], guess[rows]) for rows in (rng.integers(0, n, n) for _ in range(_RESAMPLES))]
    return {k: [round(float(np.quantile([d[k] for d in drawn], q)), 4) for q in (0.025, 0.975)] for k in drawn[0]}


def confusion(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): rows are the labels, columns what was said."""
    return np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)


def topic_measures(
    target: np.ndarray,
    weight: np.ndarray,
    said: np.ndarray,
    topics: Sequence[str],
    probabilities: np.ndarray | None = None,
    intervals: bool = False,
) -> dict[str, Any]:
    """Micro and macro F1 over the cells that the labels speak of with full weight, calibration, and a table.

    Args:
        target, weight, said, probabilities: (n, topics).
    """
    known = weight >= 0.999
    truth, guess = (target == 1) & known, said & known
    table = {k: v for k, v in f1_table(truth, guess, topics).items() if v["n"]}
    overall = _many_labels(truth, guess)
    found: dict[str, Any] = {
        "n": len(target),
        "micro_f1": round(overall["micro_f1"], 4),
        "macro_f1": round(overall["macro_f1"], 4),
        "classes": table,
    }
    if probabilities is not None:
        errors = [
            binary_calibration_error(truth[known[:, k], k], probabilities[known[:, k], k])
            for k in range(len(topics))
            if known[:, k].sum() >= 50
        ]
        found["classwise_calibration_error"] = round(float(np.mean(errors)), 4) if errors else None
    if intervals:
        found["intervals"] = bootstrap(_many_labels, truth, guess)
    return found


def choice_measures(
    examples: Sequence[Example], topics: Sequence[str], logits: np.ndarray, intervals: bool = False
) -> dict[str, Any] | None:
    """For texts of which the set chose one topic: the most probable of those it knows. None if there are none."""
    place = {t: i for i, t in enumerate(topics)}
    truth, guess = [], []
    for e, row in zip(examples, logits, strict=True):
        affirmed = [t for t in e.one_of if e.topics.get(t, (0, 0))[0]]
        if len(affirmed) == 1:
            known = [place[t] for t in e.one_of]
            truth.append(place[affirmed[0]])
            guess.append(known[int(np.argmax(row[known]))])
    if not truth:
        return None
    a, b = np.array(truth), np.array(guess)
    present = sorted(set(truth))
    table = f1_table(
        np.stack([a == k for k in present], 1), np.stack([b == k for k in present], 1), [topics[k] for k in present]
    )
    found: dict[str, Any] = {
        "n": len(a),
        "accuracy": round(float((a == b).mean()), 4),
        "macro_f1": round(float(np.mean([r["f1"] for r in table.values()])), 4),
        "classes": table,
        "confusion": {"classes": list(topics), "matrix": confusion(a, b, len(topics)).tolist()},
    }
    if intervals:
        found["intervals"] = bootstrap(lambda t, g: {"accuracy": float((t == g).mean())}, a, b)
    return found


def calibration_error(truth: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the winning class (Guo et al. 2017, arXiv 1706.04599).

    Bins hold equally many texts (Nguyen and O'Connor 2015, arXiv 1508.05154): equal widths leave most of them empty.
    """
    return binary_calibration_error(probabilities.argmax(1) == truth, probabilities.max(1), bins)


def calibration_error_by_chance(probabilities: np.ndarray, bins: int = 15, draws: int = 50) -> float:
    """What the same probabilities would score if they were exactly true: on few texts, most of the error is chance.

    The mean over seeded draws (the estimator's bias: Roelofs et al. 2022, arXiv 2012.08668).
    """
    best, rng = probabilities.max(1), np.random.default_rng(0)
    parts = mass_bins(best, bins)
    return float(np.mean([_gap(parts, rng.random(len(best)) < best, best) for _ in range(draws)]))


def binary_calibration_error(happened: np.ndarray, probability: np.ndarray, bins: int = 15) -> float:
    """Mean over equal-mass bins of |share that happened - mean probability|, weighted by size."""
    return _gap(mass_bins(probability, bins), happened, probability)


def _gap(parts: Sequence[np.ndarray], happened: np.ndarray, probability: np.ndarray) -> float:
    gaps = [len(rows) * abs(float(happened[rows].mean()) - float(probability[rows].mean())) for rows in parts]
    return sum(gaps) / len(probability)


def mass_bins(values: np.ndarray, bins: int = 15) -> list[np.ndarray]:
    """Indices of the values, cut in order into at most so many parts of like size; equal values stay together."""
    ordered = np.sort(values)
    cuts = np.unique(ordered[np.linspace(0, len(values), bins, endpoint=False).astype(int)[1:]])
    place = np.searchsorted(cuts, values, side="right")
    return [rows for rows in (np.flatnonzero(place == b) for b in range(len(cuts) + 1)) if len(rows)]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def by_set(
    examples: Sequence[Example],
    topics: Sequence[str],
    sentiment_logits: np.ndarray,
    topic_logits: np.ndarray,
    thresholds: np.ndarray | float = 0.5,
    intervals: bool = False,
    key: Callable[[Example], str] = lambda e: e.source,
) -> dict[str, dict[str, Any]]:
    """Measures of every set among the examples: ``{set: {"sentiment", "topics", "choice"}}``.

    Args:
        thresholds: of the topics' probabilities; one, or an array that broadcasts to (n, topics).
        key: what to group by; the set, or for example ``lang:kind``.
    """
    place = {t: i for i, t in enumerate(topics)}
    probabilities = 1 / (1 + np.exp(-topic_logits))
    said = probabilities >= thresholds
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(key(e) for e in examples):
        rows = [i for i, e in enumerate(examples) if key(e) == name]
        found[name] = {}
        with_sentiment = [i for i in rows if examples[i].sentiment]
        if with_sentiment:
            allowed = np.zeros((len(with_sentiment), len(SENTIMENTS)), int)
            for row, i in enumerate(with_sentiment):
                allowed[row, list(examples[i].sentiment)] = 1
            p = softmax(sentiment_logits[with_sentiment])
            found[name]["sentiment"] = sentiment_measures(allowed, p, intervals)
        with_topics = [i for i in rows if examples[i].topics]
        if with_topics:
            target = np.zeros((len(with_topics), len(topics)), int)
            weight = np.zeros((len(with_topics), len(topics)))
            for row, i in enumerate(with_topics):
                for topic, (t, w) in examples[i].topics.items():
                    if topic in place:
                        target[row, place[topic]], weight[row, place[topic]] = t, w
            found[name]["topics"] = topic_measures(
                target, weight, said[with_topics], topics, probabilities[with_topics], intervals
            )
            chosen = choice_measures([examples[i] for i in with_topics], topics, topic_logits[with_topics], intervals)
            if chosen:
                found[name]["choice"] = chosen
    return found


def summary(measures: dict[str, dict[str, Any]]) -> float:
    """One number for early stopping: the mean over sets of sentiment macro F1 and topic micro F1, by root of size."""
    values, weights = [], []
    for of in measures.values():
        for part, name in (("sentiment", "macro_f1"), ("topics", "micro_f1"), ("choice", "accuracy")):
            if part in of:
                values.append(of[part][name])
                weights.append(of[part]["n"] ** 0.5)
    return float(np.average(values, weights=weights)) if values else 0.0
