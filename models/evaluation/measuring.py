"""Measure a model folder on labelled sets or on a file of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from barometer.vocabulary import SENTIMENTS
from models.data.examples import Example
from models.data.label_files import LabelForm, read_labelled
from models.data.own_sets import gold_examples
from models.data.sets import SETS_FILE, load_sets, read_split
from models.errors import TrainingDataError
from models.evaluation.figures import by_set
from models.folder import METRICS
from models.scoring.scorer import Scorer


def dev_of(
    name: str,
    data: Path | None,
    topics: Sequence[str],
    how: LabelForm | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Example]:
    """The dev split of a described set, the gold set (``gold``), or the texts of a labelled file (its name is a path
    that exists), as :func:`models.data.label_files.read_labelled` reads it.

    Args:
        how: the file is read.
        say: told what the file is, and what of it is left out.

    Raises:
        TrainingDataError: neither a set nor a file, or a label is unknown.
        BarometerError: a file that cannot be read.
    """
    if name == "gold":
        return gold_examples()
    if Path(name).is_file():
        return read_labelled(name, topics, how, say)
    if name not in load_sets(SETS_FILE):
        raise TrainingDataError(f"evaluate: {name!r} is neither a file nor a set (gold, {', '.join(load_sets())})")
    if data is None:
        raise TrainingDataError(f"evaluate: where is the set {name!r}? Name the folder of the sets with --dir")
    return read_split(name, data)[1]


@dataclass(slots=True)
class Evaluation:
    """Figures, and what they were taken from."""

    found: dict[str, Any]
    """``version``, ``about``, ``unscored``; ``sets`` and ``groups`` (by language and kind) as of ``by_set``."""
    examples: list[Example]
    """The texts that were scored."""
    sentiment_logits: np.ndarray
    """(n, 3), parallel to the examples."""


def evaluate(scorer: Scorer, examples: Sequence[Example], intervals: bool = False) -> Evaluation:
    """Measures of what the scorer says: its thresholds, its argmax. Unscored texts are counted and left out.

    Args:
        intervals: with 95 % bootstrap intervals.
    """
    results = scorer.score(
        [e.text for e in examples],
        [e.kind for e in examples],
        [e.lang or None for e in examples],
        [e.title for e in examples],
    )
    kept = [(e, r) for e, r in zip(examples, results, strict=True) if r.scored]
    found: dict[str, Any] = {"version": scorer.version, "unscored": len(examples) - len(kept), "sets": {}, "groups": {}}
    if recipe := _metrics(scorer.folder.path).get("recipe"):
        found["about"] = f"recipe `{recipe['name']}`, {scorer.folder.encoder['num_hidden_layers']} layers"
    if not kept:
        return Evaluation(found, [], np.zeros((0, len(SENTIMENTS))))
    tiny = 1e-9
    sentiment = np.log(np.array([r.sentiment_probabilities for _, r in kept]) + tiny)
    p = np.clip(np.array([r.topic_probabilities for _, r in kept]), tiny, 1 - tiny)
    topic = np.log(p / (1 - p))
    cuts = np.array([[scorer.folder.thresholds[r.lang][t] for t in scorer.topics] for _, r in kept]) - tiny
    scored = [replace(e, lang=r.lang) for e, r in kept]
    found["sets"] = by_set(scored, scorer.topics, sentiment, topic, cuts, intervals)
    found["groups"] = by_set(scored, scorer.topics, sentiment, topic, cuts, intervals, lambda e: f"{e.lang}:{e.kind}")
    return Evaluation(found, scored, sentiment)


def trained_on_dev_of(folder: Path) -> set[str]:
    """The sets of whose dev splits too a model was trained (its recipe had ``held_out: false``)."""
    facts = _metrics(folder)
    return set(facts["recipe"]["sets"]) if facts.get("measured") else set()


def _metrics(folder: Path) -> dict[str, Any]:
    """What a model says of itself; nothing where ``metrics.json`` is missing or broken: scoring does without."""
    try:
        found = json.loads((folder / METRICS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def baseline_of(name: str, data: Path, topics: Sequence[str]) -> dict[str, Any]:
    """The same measures of TF-IDF and logistic regression, trained on the set's own training rows."""
    from models.evaluation.baseline import baseline_logits

    train, dev = read_split(name, data)
    return by_set(dev, topics, *baseline_logits(train, dev, topics))[name]
