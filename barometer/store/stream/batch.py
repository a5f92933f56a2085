"""A batch: what one transaction of the worker writes, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from barometer.records import DeadLetter, Document, Prediction, Progress
from barometer.rules import Match

ALL = "all"
"""Name of the series of every document; counted, never judged."""
NO_MODEL = 0
"""The model id under which unscored documents are counted."""


@dataclass(slots=True)
class Move:
    """How far a batch moves one partition."""

    partition: int
    expected: int | None
    """The stored next offset that the batch starts at; None where the partition has no row yet."""
    next_offset: int
    records: int
    tombstones: int = 0
    progress_records: int = 0
    progress: Progress | None = None
    """The one with the largest t in this batch."""
    last_observed_at: int | None = None
    high_water: int | None = None
    leader_epoch: int | None = None
    """Of the last record; None where the broker gives none."""


class ScoredDocument(NamedTuple):
    """A document with what the model said of it."""

    document: Document
    prediction: Prediction | None
    """None: unscored."""
    lang: str
    reason: str | None
    """Why it is unscored."""


@dataclass(slots=True)
class Batch:
    """What one transaction writes. ``predictions``, ``langs`` and ``reasons`` run parallel to ``documents``; see
    :class:`ScoredDocument`."""

    log_id: int
    model_id: int
    moves: list[Move]
    documents: list[Document]
    predictions: list[Prediction | None]
    langs: list[str]
    reasons: list[str | None]
    letters: list[DeadLetter]
    hits: list[tuple[Document, Match]] = field(default_factory=list)
    """Red-line rules that documents of the batch match."""

    def scored(self) -> Iterator[ScoredDocument]:
        """The documents, in order.

        Raises:
            ValueError: the lists do not run parallel.
        """
        return map(ScoredDocument._make, zip(self.documents, self.predictions, self.langs, self.reasons, strict=True))


class Committed(NamedTuple):
    """What became of a batch's records."""

    documents: int
    repeats: int
    dead_letters: int
    late: int
