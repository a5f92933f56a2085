"""Who holds a (document, text) that several rows of the log claim.

The holder is the least claimant in (late, observed_at, row), whatever order workers came in: where a lesser row comes
later, it takes the place of the one that is stored, and that one becomes the repeat. So the stored documents, and the
buckets that are sealed from them, depend on the log alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, select, text, update

from barometer.records import Document
from barometer.store.bulk import put_rows, rows_with
from barometer.store.engine import Store
from barometer.store.search.index import forget
from barometer.store.tables import Document as DocumentRow
from barometer.store.tables import Identity, Prediction, Series, SeriesDocument

if TYPE_CHECKING:
    from barometer.store.stream.writer import Scored

NO_MODEL = 0
"""The model id under which unscored documents are counted."""

Key = tuple[int, int]


@dataclass(slots=True)
class Claim:
    """A stored document that lost its place to ``winner``."""

    observed_at: int
    row_id: int
    late: bool
    kind: int
    winner: Document


def _rank(late: bool, observed_at: int, row_id: int) -> tuple[bool, int, int]:
    return (late, observed_at, row_id)


def _rank_of(d: Document) -> tuple[bool, int, int]:
    return _rank(d.late, d.observed_at, d.row_id)


def claim_identities(c: Connection, store: Store, items: Sequence[Scored]) -> tuple[list[Scored], list[Claim]]:
    """Decide which of the items are documents; the rest are repeats.

    Returns:
        The items to store, in the order given, and the stored documents that they displace.
    """
    best: dict[Key, Scored] = {}
    for item in items:
        d = item.document
        if d.shared_identity:
            key = (d.doc_key, d.text_hash)
            held = best.get(key)
            if held is None or _rank_of(d) < _rank_of(held.document):
                best[key] = item
    if not best:
        return list(items), []
    keys = sorted(best)
    mine: set[Key] = set()
    displaced: list[Claim] = []
    # All are inserted in key order before any is locked in key order: who waits for another's insert holds no lock on
    # a row that the other could want.
    put_rows(c, store, Identity, [_identity_row(best[k].document) for k in keys])
    for doc_key, text_hash, observed_at, row_id, late in rows_with(
        c, store, Identity, ("doc_key", "text_hash"), keys, lock=True
    ):
        key = (doc_key, text_hash)
        d = best[key].document
        if row_id == d.row_id:
            mine.add(key)
        elif _rank_of(d) < _rank(bool(late), observed_at, row_id):
            mine.add(key)
            displaced.append(Claim(observed_at, row_id, bool(late), 0, d))
    displaced.sort(key=lambda x: (x.winner.doc_key, x.winner.text_hash))
    _take_over(c, displaced)
    winners = {id(best[k]) for k in mine}
    return [item for item in items if not item.document.shared_identity or id(item) in winners], displaced


def _identity_row(d: Document) -> tuple[int, int, int, int, bool]:
    return d.doc_key, d.text_hash, d.observed_at, d.row_id, d.late


def _take_over(c: Connection, displaced: Sequence[Claim]) -> None:
    if not displaced:
        return
    for claim in displaced:
        d = claim.winner
        c.execute(
            update(Identity)
            .where(Identity.doc_key == d.doc_key, Identity.text_hash == d.text_hash)
            .values(observed_at=d.observed_at, row_id=d.row_id, late=d.late)
        )


def withdraw(c: Connection, claim: Claim, subtract: Callable[[Claim, Iterable[int], int, int | None], None]) -> None:
    """Remove a displaced document's rows and hand what it counted (claim, series, model, sentiment or None) to
    ``subtract``. Rare, so it may take its time; nothing to do where retention has dropped the rows."""
    here = {"o": claim.observed_at, "r": claim.row_id}
    kind = c.execute(text("SELECT kind FROM documents WHERE observed_at = :o AND row_id = :r"), here).scalar()
    if kind is None:
        return
    claim.kind = kind
    prediction = c.execute(
        select(Prediction.model_id, Prediction.sentiment)
        .where(Prediction.observed_at == claim.observed_at, Prediction.row_id == claim.row_id)
        .order_by(Prediction.model_id)
    ).first()
    names = c.execute(select(Series.id, Series.name)).all()
    member = (
        SeriesDocument.series_id.in_([s.id for s in names]),
        SeriesDocument.observed_at == claim.observed_at,
        SeriesDocument.row_id == claim.row_id,
    )
    series = [s.id for s in names if s.name == "all"] + list(
        c.execute(select(SeriesDocument.series_id).where(*member)).scalars()
    )
    if prediction is None:
        subtract(claim, series, NO_MODEL, None)
    else:
        subtract(claim, series, prediction.model_id, prediction.sentiment)
    forget(c, [(claim.observed_at, claim.row_id)])
    c.execute(delete(SeriesDocument).where(*member))
    for table in (Prediction, DocumentRow):
        c.execute(delete(table).where(table.observed_at == claim.observed_at, table.row_id == claim.row_id))
