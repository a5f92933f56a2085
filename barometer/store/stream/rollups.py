"""Rollups: the counts per series, kind, bucket, partition and model that a batch adds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat

from sqlalchemy import Connection

from barometer.buckets import Buckets
from barometer.records import partition_of
from barometer.store.bulk import add_up, rows_of
from barometer.store.engine import Store
from barometer.store.stream.batch import ALL, NO_MODEL, ScoredDocument
from barometer.store.stream.identities import CountedAs, DisplacedDocument
from barometer.store.tables import Rollup
from barometer.vocabulary import Sentiment

KEY = ("bucket", "series_id", "kind", "partition", "model_id")
COUNTS = ("total", "negative", "neutral", "positive", "unscored", "late")
"""``total`` is all but the late ones."""


def series_of(document: ScoredDocument) -> list[str]:
    """Names of the series that a document counts in."""
    p = document.prediction
    return [ALL] if p is None else [ALL, *(f"topic:{t}" for t in p.topics)]


class RollupCounts:
    """The counts of one batch, added up before they are written.

    Args:
        buckets: how time is cut.
    """

    def __init__(self, buckets: Buckets, log_id: int) -> None:
        self._buckets, self._log_id = buckets, log_id
        self._counts: dict[tuple[int, int, int, int, int], list[int]] = {}

    def add(self, item: ScoredDocument, model_id: int, series_ids: Mapping[str, int]) -> None:
        """Count a document.

        Args:
            model_id: the model that scored it, if it is scored.
            series_ids: ids by name, of at least :func:`series_of` the document.
        """
        d, p = item.document, item.prediction
        column = _column(d.late, None if p is None else int(p.sentiment))
        bucket, partition = self._buckets.start_of(d.observed_at), partition_of(d.row_id)
        model = NO_MODEL if p is None else model_id
        for name in series_of(item):
            self._add((bucket, series_ids[name], int(d.kind), partition, model), column, 1)

    def subtract(self, displaced: DisplacedDocument, counted: CountedAs) -> None:
        """Take back what a displaced document counted, in the rows of the winner's partition."""
        column = _column(displaced.late, counted.sentiment)
        bucket, partition = self._buckets.start_of(displaced.observed_at), partition_of(displaced.winner.row_id)
        for series_id in counted.series_ids:
            self._add((bucket, series_id, counted.kind, partition, counted.model_id), column, -1)

    def _add(self, key: tuple[int, int, int, int, int], column: int, by: int) -> None:
        counts = self._counts.setdefault(key, [0] * len(COUNTS))
        counts[column] += by
        if column != _LATE:
            counts[_TOTAL] += by

    def write(self, c: Connection, store: Store) -> None:
        """Add the counts to the stored ones, in the order of their keys, so that no two workers wait for each other."""
        rows = [(*key, *counts) for key, counts in sorted(self._counts.items())]
        if rows:
            columns = dict(zip((*KEY, *COUNTS), zip(*rows, strict=True), strict=True))
            add_up(c, store, Rollup, rows_of(Rollup, columns | {"log_id": repeat(self._log_id, len(rows))}))


_TOTAL, _LATE, _UNSCORED = COUNTS.index("total"), COUNTS.index("late"), COUNTS.index("unscored")
_BY_SENTIMENT = {int(s): COUNTS.index(s.name.lower()) for s in Sentiment}


def _column(late: bool, sentiment: int | None) -> int:
    return _LATE if late else _UNSCORED if sentiment is None else _BY_SENTIMENT[sentiment]
