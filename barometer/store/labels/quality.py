"""Label quality: precision, recall and accuracy of the model on randomly drawn texts that people labelled; agreement
between people; and how often alerts were right.

Figures are of *different* texts: a group of near-copies counts once. Texts drawn from a series, and those drawn from
all that are in the series, are both uniform samples of the series' texts, so the two are taken together; figures of
all texts are only of those drawn from all. A text about which people disagree counts in parts, by their votes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from barometer.store.labels.annotations import current_labels
from barometer.store.labels.intervals import Share, wilson
from barometer.store.labels.queues import in_sample
from barometer.store.labels.rows import LabelRow
from barometer.store.labels.sampling import ALL
from barometer.store.rows import columns_of
from barometer.store.tables import Alert, AlertEvent, LabelText

SINCE_MS = 90 * 86_400_000
"""Texts drawn in the last so many milliseconds count."""
ALERTS_SINCE_MS = 30 * 86_400_000
_NEGATIVE = 0


@dataclass(slots=True)
class LabelQuality:
    """Quality of one model version's labels, on one series or on all texts."""

    model_id: int
    texts: int = 0
    """Different texts that were drawn at random and labelled."""
    called_negative: int = 0
    """By the model."""
    are_negative: float = 0.0
    """As people say."""
    both: float = 0.0
    agree: float = 0.0
    """Texts whose sentiment people say as the model does."""
    on_topic: float = 0.0
    topic_said: int = 0
    """Texts of which people said topics."""

    @property
    def precision(self) -> Share | None:
        """Of the texts that the model calls negative, the share that people do."""
        return wilson(self.both, self.called_negative)

    @property
    def recall(self) -> Share | None:
        """Of the texts that people call negative, the share that the model does."""
        return wilson(self.both, self.are_negative)

    @property
    def accuracy(self) -> Share | None:
        return wilson(self.agree, self.texts)

    @property
    def topic(self) -> Share | None:
        """Of the series' texts, the share that people say belong to it."""
        return wilson(self.on_topic, self.topic_said)

    def as_dict(self) -> dict[str, Any]:
        shares = ("precision", "recall", "accuracy", "topic")
        return {"texts": self.texts, **{name: _share(getattr(self, name)) for name in shares}}


@dataclass(slots=True)
class Agreement:
    """Agreement of people about the sentiment of the same random texts, labelled independently."""

    pairs: int = 0
    same: int = 0
    shares: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def share(self) -> Share | None:
        return wilson(self.same, self.pairs)

    @property
    def beyond_chance(self) -> float | None:
        """Scott's pi (1955): 1 is perfect, 0 what chance would give."""
        total = sum(self.shares.values())
        if not self.pairs or not total:
            return None
        expected = sum((x / total) ** 2 for x in self.shares.values())
        return None if expected == 1 else (self.same / self.pairs - expected) / (1 - expected)

    def as_dict(self) -> dict[str, Any]:
        return {"pairs": self.pairs, "share": _share(self.share), "beyond_chance": self.beyond_chance}


@dataclass(slots=True)
class QualityReport:
    """Label quality on the random sample."""

    by_series: dict[str, list[LabelQuality]]
    """Series name -> audits by model, the newest model first; ``all``: of all texts."""
    agreement: Agreement
    drawn: int
    labelled: int
    skipped: int
    """Drawn, and nobody could say what they are."""

    def of(self, series: str) -> LabelQuality | None:
        found = self.by_series.get(series)
        return found[0] if found else None


class _Sampled(NamedTuple):
    """A text of the random sample, with the model's answer (columns of ``label_texts``)."""

    id: int
    group_id: int
    model_id: int | None
    sentiment: int | None
    topics: dict[str, float]
    samples: list[str]
    labels: int
    skips: int


def label_quality(c: Connection, now_ms: int, since_ms: int = SINCE_MS) -> QualityReport:
    """Label quality on texts drawn since ``since_ms`` before now."""
    x = LabelText
    columns = columns_of(x, _Sampled._fields)
    q = select(*columns).where(x.origin == "random", x.drawn_at >= now_ms - since_ms).order_by(x.id)
    rows = [_Sampled._make(row) for row in c.execute(q)]
    labelled = [r for r in rows if r.labels]
    current = current_labels(c, [r.id for r in labelled], blind_only=True)
    found: dict[str, dict[int, LabelQuality]] = defaultdict(dict)
    agreement = Agreement()
    groups: set[tuple[str, int]] = set()
    for r in labelled:
        labels = [s for s in current.get(r.id, []) if s.action == "label"]
        if not labels:
            continue
        _agree(agreement, labels)
        if r.model_id is None:
            continue
        for name in (ALL, *(f"topic:{t}" for t in r.topics)):
            if in_sample(r.samples, r.topics, name) and (name, r.group_id) not in groups:
                groups.add((name, r.group_id))
                _add(found[name].setdefault(r.model_id, LabelQuality(r.model_id)), r, labels, name)
    by_series = {name: [of[m] for m in sorted(of, reverse=True)] for name, of in found.items()}
    nobody = sum(1 for r in rows if not r.labels and r.skips)
    return QualityReport(by_series, agreement, len(rows), len(labelled), nobody)


def _add(audit: LabelQuality, r: _Sampled, labels: Sequence[LabelRow], series: str) -> None:
    negative = sum(s.sentiment == _NEGATIVE for s in labels) / len(labels)
    audit.texts += 1
    audit.are_negative += negative
    audit.agree += sum(s.sentiment == r.sentiment for s in labels) / len(labels)
    if r.sentiment == _NEGATIVE:
        audit.called_negative += 1
        audit.both += negative
    topics = [s.topics for s in labels if s.topics is not None]
    if topics and series != ALL:
        audit.topic_said += 1
        audit.on_topic += sum(series.removeprefix("topic:") in t for t in topics) / len(topics)


def _agree(agreement: Agreement, labels: Sequence[LabelRow]) -> None:
    for i, a in enumerate(labels):
        for b in labels[i + 1 :]:
            agreement.pairs += 1
            agreement.same += a.sentiment == b.sentiment
    if len(labels) > 1:
        for s in labels:
            if s.sentiment is not None:
                agreement.shares[s.sentiment] += 1


# --- alerts ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class AlertQuality:
    """How people resolved alerts."""

    right: int = 0
    """Real, or known already."""
    wrong: int = 0
    other: int = 0
    """Closed without saying."""
    reasons: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def precision(self) -> Share | None:
        return wilson(self.right, self.right + self.wrong)

    def as_dict(self) -> dict[str, Any]:
        return {
            "right": self.right,
            "wrong": self.wrong,
            "other": self.other,
            "reasons": dict(self.reasons),
            "precision": _share(self.precision),
        }


def alert_quality(c: Connection, now_ms: int, since_ms: int = ALERTS_SINCE_MS) -> dict[str, AlertQuality]:
    """Of alerts that people closed since then, by series, and of ``all``. Alerts about the product itself are not in
    it."""
    a, e = Alert, AlertEvent
    rows = c.execute(
        select(a.id, a.fingerprint, a.resolution).where(
            a.state == "resolved", a.resolved_at >= now_ms - since_ms, a.type != "system"
        )
    ).all()
    wrong = [r.id for r in rows if r.resolution == "false_alarm"]
    why: dict[int, Any] = {}
    for start in range(0, len(wrong), 500):
        q = (
            select(e.alert_id, e.data)
            .where(e.alert_id.in_(wrong[start : start + 500]), e.action == "resolved")
            .order_by(e.id)
        )
        why |= {r.alert_id: r.data for r in c.execute(q)}
    out: dict[str, AlertQuality] = defaultdict(AlertQuality)
    for r in rows:
        for audit in (out[ALL], out[r.fingerprint]):
            if r.resolution == "false_alarm":
                audit.wrong += 1
                reason = (why.get(r.id) or {}).get("reason")
                audit.reasons[str(reason or "unsaid")] += 1
            elif r.resolution in ("real", "known"):
                audit.right += 1
            else:
                audit.other += 1
    return dict(out)


def _share(share: Share | None) -> dict[str, float] | None:
    return None if share is None else share._asdict()


__all__ = ["Agreement", "AlertQuality", "LabelQuality", "QualityReport", "alert_quality", "label_quality"]
