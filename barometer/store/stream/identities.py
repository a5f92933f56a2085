"""Who holds a (document, text) that several rows of the log claim.

The holder is the least claimant in (late, observed_at, row), whatever order workers came in: where a lesser row comes
later, it takes the place of the one that is stored, and that one becomes the repeat. So the stored documents, and the
buckets that are sealed from them, depend on the log alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, text, update

from barometer.records import Document
from barometer.store.bulk import put_rows, rows_of, rows_with
from barometer.store.engine import Store
from barometer.store.search.index import forget
from barometer.store.stream.batch import ALL, NO_MODEL, ScoredDocument
from barometer.store.tables import Document as DocumentRow
from barometer.store.tables import Identity, Prediction, Series, SeriesDocument

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DisplacedDocument:
    """A stored document that lost its place to ``winner``."""

    observed_at: int
    row_id: int
    late: bool
    winner: Document


class CountedAs(NamedTuple):
    """What a stored document was counted as in the rollups."""

    kind: int
    series_ids: list[int]
    model_id: int
    sentiment: int | None
    """None: unscored."""


def _rank(late: bool, observed_at: int, row_id: int) -> tuple[bool, int, int]:
    return (late, observed_at, row_id)


def _rank_of(d: Document) -> tuple[bool, int, int]:
    return _rank(d.late, d.observed_at, d.row_id)


def claim_identities(
    c: Connection, store: Store, items: Sequence[ScoredDocument]
) -> tuple[list[ScoredDocument], list[DisplacedDocument]]:
    """Decide which of the items are documents; the rest are repeats.

    Returns:
        The items to store, in the order given, and the stored documents that they displace.
    """
    best: dict[Key, ScoredDocument] = {}
    for item in items:
        d = item.document
        if d.shared_identity:
            key = (d.doc_key, d.text_hash)
            other = best.get(key)
            if other is None or _rank_of(d) < _rank_of(other.document):
                best[key] = item
    if not best:
        return list(items), []
    keys = sorted(best)
    mine: set[Key] = set()
    displaced: list[DisplacedDocument] = []
    # All are inserted in key order before any is locked in key order: who waits for another's insert holds no lock on
    # a row that the other could want.
    put_rows(c, store, Identity, rows_of(Identity, _identities([best[k].document for k in keys])))
    for held in rows_with(c, store, Identity, ("doc_key", "text_hash"), keys, lock=True):
        key = (held.doc_key, held.text_hash)
        d = best[key].document
        if held.row_id == d.row_id:
            mine.add(key)
        elif _rank_of(d) < _rank(bool(held.late), held.observed_at, held.row_id):
            mine.add(key)
            displaced.append(DisplacedDocument(held.observed_at, held.row_id, bool(held.late), d))
    displaced.sort(key=lambda x: (x.winner.doc_key, x.winner.text_hash))
    _take_over(c, displaced)
    winners = {id(best[k]) for k in mine}
    return [item for item in items if not item.document.shared_identity or id(item) in winners], displaced


def _identities(documents: Sequence[Document]) -> dict[str, list[int] | list[bool]]:
    return {
        "doc_key": [d.doc_key for d in documents],
        "text_hash": [d.text_hash for d in documents],
        "observed_at": [d.observed_at for d in documents],
        "row_id": [d.row_id for d in documents],
        "late": [d.late for d in documents],
    }


def _take_over(c: Connection, displaced: Sequence[DisplacedDocument]) -> None:
    if not displaced:
        return
    for each in displaced:
        d = each.winner
        c.execute(
            update(Identity)
            .where(Identity.doc_key == d.doc_key, Identity.text_hash == d.text_hash)
            .values(observed_at=d.observed_at, row_id=d.row_id, late=d.late)
        )


def withdraw_document(c: Connection, displaced: DisplacedDocument) -> CountedAs | None:
    """Remove a displaced document's rows. Rare, so it may take its time.

    Returns:
        What it was counted as, to be taken back; None where retention has dropped its rows.
    """
    here = {"o": displaced.observed_at, "r": displaced.row_id}
    kind = c.execute(text("SELECT kind FROM documents WHERE observed_at = :o AND row_id = :r"), here).scalar()
    if kind is None:
        return None
    prediction = c.execute(
        select(Prediction.model_id, Prediction.sentiment)
        .where(Prediction.observed_at == displaced.observed_at, Prediction.row_id == displaced.row_id)
        .order_by(Prediction.model_id)
    ).first()
    series = c.execute(select(Series.id, Series.name)).all()
    membership = (
        SeriesDocument.series_id.in_([s.id for s in series]),
        SeriesDocument.observed_at == displaced.observed_at,
        SeriesDocument.row_id == displaced.row_id,
    )
    series_ids = [s.id for s in series if s.name == ALL]
    series_ids += c.execute(select(SeriesDocument.series_id).where(*membership)).scalars()
    forget(c, [(displaced.observed_at, displaced.row_id)])
    c.execute(delete(SeriesDocument).where(*membership))
    for table in (Prediction, DocumentRow):
        c.execute(delete(table).where(table.observed_at == displaced.observed_at, table.row_id == displaced.row_id))
    if prediction is None:
        return CountedAs(kind, series_ids, NO_MODEL, None)
    return CountedAs(kind, series_ids, prediction.model_id, prediction.sentiment)
