"""How much more negative one model version is than another: a change of model is not news.

Before a model goes live it scores recent texts in the shadow: texts that the store has with the present model's
predictions. What comes of it is kept with its row, in ``model_versions.metrics["rebase"]``:

    {"against": 1, "*": 1.5, "@comment": 1.8, "topic:market": 2.0, "topic:market@news": 1.7}

Numbers are odds ratios of calling a text negative, the new model's odds over those of the model ``against`` (its id).
For a series and kind the closest key that is there holds; a plain number in the place of the mapping holds for all.
When a series' bucket is the first of another model, its detector's expected share is re-based by the ratio between the
two (:meth:`monitor.detection.detector.Detector.rebase`), also over several changes and also on the way back.

**Contract for whoever promotes a model**: ``measure(store, scorer)`` before the first batch that the model scores for
the store (a worker does so when it starts). Nothing else needs to be told: sealing finds the ratios when the first
predictions of the new model come.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from barometer.store.engine import Store
from barometer.store.model_versions.shadow import LabelledText, add_metrics, latest_labelled, live_models
from barometer.store.model_versions.versions import ensure_model
from barometer.store.series.sealing import model_ratios
from barometer.vocabulary import Sentiment, stated_kind
from models.scoring.interface import TextScorer

log = structlog.get_logger(__name__)

AGAINST = "against"
TEXTS = 3_000
"""Most texts that are scored in the shadow: the latest ones."""
FEWEST = 100
"""With fewer texts in the store nothing is measured: no series can know its share from them."""
SPREAD = 0.3
"""Standard deviation of log odds ratios between series; a series' own ratio is drawn toward that of all by it."""
BATCH = 256


@dataclass(slots=True)
class Compared:
    """Texts of a series and how many are negative, as each model has it."""

    texts_before: int = 0
    negative_before: int = 0
    texts_now: int = 0
    negative_now: int = 0

    @property
    def log_ratio(self) -> float:
        """Log odds ratio, Haldane-Anscombe corrected."""
        now, before = self.negative_now + 0.5, self.negative_before + 0.5
        return math.log(now / (self.texts_now + 1 - now)) - math.log(before / (self.texts_before + 1 - before))

    @property
    def variance(self) -> float:
        """Of the log ratio, as of independent samples (the same texts differ less): Woolf (1955)."""
        now, before = self.negative_now + 0.5, self.negative_before + 0.5
        return 1 / now + 1 / (self.texts_now + 1 - now) + 1 / before + 1 / (self.texts_before + 1 - before)


def odds_ratios(compared: Mapping[str, Compared]) -> dict[str, float]:
    """Ratios by key as the store keeps them, each drawn toward that of all texts (``*``) by how little is known of it.

    Args:
        compared: by key; ``*`` must be there.
    """
    everything = compared["*"].log_ratio
    out = {"*": round(math.exp(everything), 4)}
    for key, c in compared.items():
        if key != "*":
            own = SPREAD**2 / (SPREAD**2 + c.variance)
            out[key] = round(math.exp(own * c.log_ratio + (1 - own) * everything), 4)
    return out


def compare(rows: Sequence[LabelledText], scorer: TextScorer) -> dict[str, Compared]:
    """Score texts of the live model in the shadow, and count both models' labels by key."""
    out: dict[str, Compared] = defaultdict(Compared)
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        kinds = [stated_kind(r.kind) for r in batch]
        labels = scorer.score([r.text for r in batch], kinds, [r.lang for r in batch], [r.title for r in batch])
        for row, kind, s in zip(batch, kinds, labels, strict=True):
            for key in _keys(row.topics, kind):
                out[key].texts_before += 1
                out[key].negative_before += row.sentiment == Sentiment.NEGATIVE
            for key in _keys(s.topics, kind) if s.scored else ():
                out[key].texts_now += 1
                out[key].negative_now += s.sentiment == Sentiment.NEGATIVE
    return dict(out)


def _keys(topics: Iterable[str], kind: str | None) -> list[str]:
    keys = ["*", *(f"topic:{topic}" for topic in topics)]
    return keys + [f"{'' if k == '*' else k}@{kind}" for k in keys] if kind else keys


def measure(store: Store, scorer: TextScorer, texts: int = TEXTS) -> dict[str, float] | None:
    """Measure a model that is about to go live against the one that scores now, and keep the ratios.

    Nothing happens, and None is returned, where the store has no other model's predictions (or hardly any), where the
    ratio is known, or the model has gone live unmeasured already.

    Args:
        texts: most that are scored in the shadow, the latest ones.
    """
    model_id = ensure_model(store, scorer.name, scorer.precision, scorer.topics)
    with store.read() as c:
        live = live_models(c, FEWEST)
        if not live or model_id in live or ratio_between(model_ratios(c), "*", None, live[0], model_id) is not None:
            return None
        rows = latest_labelled(c, live[0], texts)
    if len(rows) < FEWEST:
        return None
    ratios = odds_ratios(compare(rows, scorer))
    with store.write() as c:
        add_metrics(c, model_id, {"rebase": {AGAINST: live[0], **ratios}})
    log.info(
        "model measured in the shadow", model=scorer.name, against=live[0], texts=len(rows), odds_ratio=ratios["*"]
    )
    return ratios


def ratio_between(ratios: Mapping[int, Any], series: str, kind: str | None, before: int, now: int) -> float | None:
    """The odds ratio from model ``before`` to model ``now``; None if it was not measured.

    Going back to an older model takes back what the newer one's promotion had set; where models between were measured
    against each other, the ratios multiply.

    Args:
        ratios: model id -> its ``metrics['rebase']``; one without ``against`` was measured against the other model of
            the pair.
        kind: news, comment or None.

    >>> ratio_between({2: {"topic:market": 2.0, "*": 1.5}}, "topic:market", None, 1, 2)
    2.0
    >>> ratio_between({2: 4.0}, "topic:macro", "news", before=2, now=1)
    0.25
    >>> ratio_between({2: {"against": 1, "*": 2.0}, 3: {"against": 2, "@news": 1.5}}, "topic:macro", "news", 1, 3)
    3.0
    """
    up, down = (_ancestors(ratios, series, kind, a, b) for a, b in ((now, before), (before, now)))
    shared = [a for a in up if a in down]
    return up[shared[0]] / down[shared[0]] if shared else None


def _ancestors(ratios: Mapping[int, Any], series: str, kind: str | None, model: int, other: int) -> dict[int, float]:
    """The model's odds over those of each model that it descends from by measurements; nearest first."""
    out = {model: 1.0}
    while (measured := ratios.get(model)) is not None:
        value = _closest(measured, series, kind)
        against = measured.get(AGAINST) if isinstance(measured, Mapping) else None
        if against is None and model > other:
            against = other
        if value is None or against is None or against in out:
            break
        out[against] = out[model] * value
        model = against
    return out


def _closest(measured: Any, series: str, kind: str | None) -> float | None:
    if isinstance(measured, Mapping):
        keys = (f"{series}@{kind}", series, f"@{kind}", "*")
        measured = next((measured[k] for k in keys if k in measured), None)
    if not isinstance(measured, int | float) or isinstance(measured, bool) or not 0 < measured < float("inf"):
        return None
    return float(measured)
