"""One document with all that belongs to it: predictions of every model, copies, revisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, select, tuple_

from barometer.store.documents.copies import copies_of, with_copies
from barometer.store.documents.keys import Key
from barometer.store.documents.listing import Text, texts_of
from barometer.store.engine import Store
from barometer.store.tables import Document, Identity, ModelVersion, Prediction, Source

_REVISIONS = 100


class ModelPrediction(NamedTuple):
    """A prediction of one model version."""

    model: str
    precision: str
    sentiment: int
    p_negative: float
    p_neutral: float
    p_positive: float
    topics: dict[str, float]


class RelatedDocument(NamedTuple):
    """A copy or another revision of a document."""

    observed_at: int
    row_id: int
    source: str | None
    title: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class DocumentDetail:
    """A document and its surroundings; predictions start with the newest model, documents with the earliest."""

    text: Text
    """The whole text, with the number of its copies."""
    external_id: str | None
    extra: dict[str, Any] | None
    stored_at: int
    predictions: Sequence[ModelPrediction]
    copies: Sequence[RelatedDocument]
    revisions: Sequence[RelatedDocument]


def document_detail(c: Connection, store: Store, key: Key, most_copies: int = 100) -> DocumentDetail | None:
    """The document at a place of the log, or None.

    Args:
        c: of ``store.read()``.
        key: (observed_at, row id).
        most_copies: so many of the copies in the search index, the earliest.
    """
    texts = texts_of(c, [key], whole=True)
    if not texts:
        return None
    d, p, m = Document, Prediction, ModelVersion
    here = and_(d.observed_at == key[0], d.row_id == key[1])
    row = c.execute(select(d.doc_key, d.external_id, d.extra, d.stored_at).where(here)).one()
    predictions = c.execute(
        select(m.name, m.precision, p.sentiment, p.p_negative, p.p_neutral, p.p_positive, p.topics)
        .join(m, m.id == p.model_id)
        .where(p.observed_at == key[0], p.row_id == key[1])
        .order_by(p.model_id.desc())
    )
    i = Identity
    same = select(i.observed_at, i.row_id).where(i.doc_key == row.doc_key).limit(_REVISIONS)
    revisions = [(int(r[0]), int(r[1])) for r in c.execute(same)]
    copies = copies_of(c, store, texts[0].fingerprint, most_copies + 1)
    return DocumentDetail(
        with_copies(c, store, texts)[0],
        row.external_id,
        row.extra,
        int(row.stored_at),
        [ModelPrediction(*r) for r in predictions],
        _others(c, [k for k in copies if k != key][:most_copies]),
        _others(c, [k for k in revisions if k != key]),
    )


def _others(c: Connection, keys: Sequence[Key]) -> list[RelatedDocument]:
    """Documents of these keys in order of time, without those that retention dropped."""
    if not keys:
        return []
    d = Document
    rows = c.execute(
        select(d.observed_at, d.row_id, Source.name, d.title, d.url)
        .outerjoin(Source, Source.id == d.source_id)
        .where(tuple_(d.observed_at, d.row_id).in_(list(keys)))
        .order_by(d.observed_at, d.row_id)
    )
    return [RelatedDocument(*r) for r in rows]
