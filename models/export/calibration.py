"""Temperatures and thresholds, chosen on the dev splits.

Temperature scaling (Guo et al. 2017, arXiv 1706.04599) for each language and kind; for each language and topic the
threshold with the best F1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.data.examples import Example
from models.evaluation.figures import softmax

_FEWEST = 100
"""Labelled dev texts below which a cell takes its language's temperature."""

_FEWEST_POSITIVES = 15
"""Affirmed dev labels below which a topic keeps the default."""

_DEFAULT = 0.4

_LOWEST, _HIGHEST = 0.25, 0.5
"""A threshold tuned on few labels must not run away; and the sets' annotators leave out topics, which makes high
thresholds look better than they are."""


def temperatures(examples: Sequence[Example], logits: np.ndarray, languages: Sequence[str]) -> dict[str, float]:
    """Least negative log-likelihood over texts with one class, by ``lang`` and ``lang:kind``; ``logits`` is (n, 3)."""
    single = [i for i, e in enumerate(examples) if len(e.sentiment) == 1]
    cells: dict[str, list[int]] = {lang: [] for lang in languages}
    for i in single:
        e = examples[i]
        cells.setdefault(e.lang, []).append(i)
        cells.setdefault(f"{e.lang}:{e.kind}", []).append(i)
    found = {}
    for cell, rows in cells.items():
        if len(rows) < _FEWEST:
            if ":" not in cell:
                found[cell] = 1.0
            continue
        truth = np.array([examples[i].sentiment[0] for i in rows])
        grid = np.geomspace(0.5, 4, 61)
        losses = [
            -np.log(np.maximum(softmax(logits[rows] / t)[np.arange(len(rows)), truth], 1e-9)).mean() for t in grid
        ]
        found[cell] = round(float(grid[int(np.argmin(losses))]), 4)
    return found


def thresholds(
    examples: Sequence[Example], logits: np.ndarray, topics: Sequence[str], languages: Sequence[str]
) -> dict[str, dict[str, float]]:
    """By language and topic; an absence counts with the weight that its set gives it. ``logits`` is (n, topics)."""
    probabilities = 1 / (1 + np.exp(-logits))
    found: dict[str, dict[str, float]] = {}
    for lang in languages:
        found[lang] = {}
        for k, topic in enumerate(topics):
            cells = [(i, *e.topics[topic]) for i, e in enumerate(examples) if e.lang == lang and topic in e.topics]
            positives = sum(target for _, target, _ in cells)
            if positives < _FEWEST_POSITIVES:
                found[lang][topic] = _DEFAULT
                continue
            p = probabilities[[i for i, _, _ in cells], k]
            target = np.array([t for _, t, _ in cells])
            weight = np.array([w for _, _, w in cells])
            grid = np.linspace(_LOWEST, _HIGHEST, 51)
            scores = []
            for cut in grid:
                said = p >= cut
                hit = (weight * said * target).sum()
                scores.append(2 * hit / max(1e-9, (weight * said).sum() + (weight * target).sum()))
            best = np.flatnonzero(np.array(scores) >= max(scores) - 1e-3)
            found[lang][topic] = round(float(grid[best[len(best) // 2]]), 3)  # the middle of the plateau
    return found


def trial_topics(
    examples: Sequence[Example], topics: Sequence[str], languages: Sequence[str], fewest: int = 50
) -> dict[str, list[str]]:
    """Topics that fewer than ``fewest`` texts of a language affirm by a label of their set: shown, never paging."""
    counts = {lang: dict.fromkeys(topics, 0) for lang in languages}
    for e in examples:
        if e.lang in counts:
            for topic, (target, weight) in e.topics.items():
                if target and weight >= 1 and topic in counts[e.lang]:
                    counts[e.lang][topic] += 1
    return {lang: [t for t in topics if counts[lang][t] < fewest] for lang in languages}
