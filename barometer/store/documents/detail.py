"""One document with all that belongs to it: what every model said, its copies, its revisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, select, text, tuple_

from barometer.store.documents.listing import Text
from barometer.store.engine import Store
from barometer.store.search.index import Key, time_of_sid
from barometer.store.search.query import texts_of, with_copies
from barometer.store.tables import Document, Identity, ModelVersion, Prediction, Source

_REVISIONS = 100


@dataclass(frozen=True, slots=True)
class Whole:
    """Rows of others have observed_at, row_id, source, title, url; those of predictions the columns of ``predictions``
    with the model's name and precision."""

    text: Text
    """All of it, with the number of its copies."""
    external_id: str | None
    extra: dict[str, Any] | None
    stored_at: int
    predictions: Sequence[Row[Any]]
    copies: Sequence[Row[Any]]
    revisions: Sequence[Row[Any]]


def whole_document(c: Connection, store: Store, key: Key, most_copies: int = 100) -> Whole | None:
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
    said = c.execute(
        select(p.__table__, m.name.label("model"), m.precision)
        .join(m, m.id == p.model_id)
        .where(p.observed_at == key[0], p.row_id == key[1])
        .order_by(p.model_id.desc())
    ).all()
    i = Identity
    same = select(i.observed_at, i.row_id).where(i.doc_key == row.doc_key).limit(_REVISIONS)
    revisions = [(int(r[0]), int(r[1])) for r in c.execute(same)]
    copies = _copies(c, store, texts[0].fingerprint, most_copies + 1)
    return Whole(
        with_copies(c, store, texts)[0], row.external_id, row.extra, int(row.stored_at), said,
        _others(c, [k for k in copies if k != key][:most_copies]), _others(c, [k for k in revisions if k != key]),
    )  # fmt: skip


def _copies(c: Connection, store: Store, fingerprint: int, most: int) -> list[Key]:
    given = {"f": fingerprint, "most": most}
    if store.is_sqlite:
        sql = "SELECT sid, row_id FROM search_rows WHERE fingerprint = :f ORDER BY sid LIMIT :most"
        return [(time_of_sid(int(r[0])), int(r[1])) for r in c.execute(text(sql), given)]
    sql = "SELECT observed_at, row_id FROM search WHERE fingerprint = :f ORDER BY observed_at, row_id LIMIT :most"
    return [(int(r[0]), int(r[1])) for r in c.execute(text(sql), given)]


def _others(c: Connection, keys: Sequence[Key]) -> Sequence[Row[Any]]:
    """In order of time; those that retention took are left out."""
    if not keys:
        return []
    d = Document
    rows: Any = c.execute(
        select(d.observed_at, d.row_id, Source.name.label("source"), d.title, d.url)
        .outerjoin(Source, Source.id == d.source_id)
        .where(tuple_(d.observed_at, d.row_id).in_(list(keys)))
        .order_by(d.observed_at, d.row_id)
    ).all()
    return rows
