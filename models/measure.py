"""Measures of a model on labelled texts: accuracy, F1, expected calibration error; by set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.data import Example
from models.labels import SENTIMENTS


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


def sentiment_measures(allowed: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Accuracy (the argmax is among the allowed classes), macro F1 and a table.

    Where a set merges classes (not-negative), the measures are of negative against not.
    """
    merged = bool((allowed.sum(1) > 1).any())
    said = probabilities.argmax(1)
    if merged:
        truth_negative = (allowed[:, 0] == 1) & (allowed.sum(1) == 1)
        negative = probabilities[:, 0] > 0.5
        truth = np.stack([truth_negative, ~truth_negative], 1)
        guess = np.stack([negative, ~negative], 1)
        names: Sequence[str] = ("negative", "not_negative")
    else:
        present = [k for k in range(len(SENTIMENTS)) if allowed[:, k].any()]
        truth = allowed[:, present] == 1
        guess = said[:, None] == np.array(present)[None]
        names = [SENTIMENTS[k] for k in present]
    table = f1_table(truth, guess, names)
    return {
        "n": len(said),
        "accuracy": round(float((truth & guess).any(1).mean()), 4),
        "macro_f1": round(float(np.mean([r["f1"] for r in table.values()])), 4),
        "calibration_error": None if merged else round(calibration_error(allowed.argmax(1), probabilities), 4),
        "classes": table,
    }


def topic_measures(target: np.ndarray, weight: np.ndarray, said: np.ndarray, topics: Sequence[str]) -> dict[str, Any]:
    """Micro and macro F1 over the cells that the labels speak of with full weight, and a table."""
    known = weight >= 0.999
    truth, guess = (target == 1) & known, said & known
    table = {k: v for k, v in f1_table(truth, guess, topics).items() if v["n"]}
    hit, predicted, actual = int((truth & guess).sum()), int(guess.sum()), int(truth.sum())
    return {
        "n": len(target),
        "micro_f1": round(2 * hit / max(1, predicted + actual), 4),
        "macro_f1": round(float(np.mean([r["f1"] for r in table.values()])) if table else 0.0, 4),
        "classes": table,
    }


def calibration_error(truth: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the winning class (Guo et al. 2017, arXiv 1706.04599), equal-width bins."""
    sure, right = probabilities.max(1), probabilities.argmax(1) == truth
    place = np.minimum((sure * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            error += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    return float(error)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def by_set(
    examples: Sequence[Example], topics: Sequence[str], sentiment_logits: np.ndarray, topic_logits: np.ndarray,
    thresholds: np.ndarray | float = 0.5,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Measures of every set among the examples: ``{set: {"sentiment": ..., "topics": ...}}``."""
    place = {t: i for i, t in enumerate(topics)}
    said = 1 / (1 + np.exp(-topic_logits)) >= thresholds
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(e.source for e in examples):
        rows = [i for i, e in enumerate(examples) if e.source == name]
        found[name] = {}
        with_sentiment = [i for i in rows if examples[i].sentiment]
        if with_sentiment:
            allowed = np.zeros((len(with_sentiment), len(SENTIMENTS)), int)
            for row, i in enumerate(with_sentiment):
                allowed[row, list(examples[i].sentiment)] = 1
            found[name]["sentiment"] = sentiment_measures(allowed, softmax(sentiment_logits[with_sentiment]))
        with_topics = [i for i in rows if examples[i].topics]
        if with_topics:
            target = np.zeros((len(with_topics), len(topics)), int)
            weight = np.zeros((len(with_topics), len(topics)))
            for row, i in enumerate(with_topics):
                for topic, (t, w) in examples[i].topics.items():
                    if topic in place:
                        target[row, place[topic]], weight[row, place[topic]] = t, w
            found[name]["topics"] = topic_measures(target, weight, said[with_topics], topics)
    return found


def summary(measures: dict[str, dict[str, Any]]) -> float:
    """One number for early stopping: the mean over sets of sentiment macro F1 and topic micro F1, by root of size."""
    values, weights = [], []
    for of in measures.values():
        for part, key in (("sentiment", "macro_f1"), ("topics", "micro_f1")):
            if part in of:
                values.append(of[part][key])
                weights.append(of[part]["n"] ** 0.5)
    return float(np.average(values, weights=weights)) if values else 0.0
