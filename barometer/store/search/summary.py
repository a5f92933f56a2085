"""Totals of search results by source and by sentiment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, func, select

from barometer.store.documents.keys import Key, keys_cte, newest_prediction
from barometer.store.tables import Document, Prediction, Source

_PIECE = 500


@dataclass(slots=True)
class SearchTotals:
    """Counts of documents."""

    sources: Counter[str | None] = field(default_factory=Counter)
    """By name; None: without a source."""
    sentiments: Counter[int | None] = field(default_factory=Counter)
    """By number; None: not scored."""


def search_totals(c: Connection, keys: Sequence[Key]) -> SearchTotals:
    """Totals of these documents, without those that were deleted."""
    found, d, p = SearchTotals(), Document, Prediction
    for i in range(0, len(keys), _PIECE):
        w = keys_cte(keys[i : i + _PIECE])
        q = (
            select(Source.name, p.sentiment, func.count())
            .select_from(w.join(d, and_(d.observed_at == w.c.at, d.row_id == w.c.row)))
            .outerjoin(p, and_(p.observed_at == d.observed_at, p.row_id == d.row_id, p.model_id == newest_prediction()))
            .outerjoin(Source, Source.id == d.source_id)
            .group_by(Source.name, p.sentiment)
        )
        for source, sentiment, count in c.execute(q):
            found.sources[source] += count
            found.sentiments[sentiment] += count
    return found
