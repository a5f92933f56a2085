"""Who holds a (document, text) that several rows of the log claim.

The holder is the least claimant in (late, observed_at, row), whatever order workers came in: where a lesser row comes
later, it takes the place of the one that is stored, and that one becomes the repeat. So the stored documents, and the
buckets that are sealed from them, depend on the log alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, select, text, tuple_, update

from barometer.records import Document
from barometer.store.bulk import insert_new
from barometer.store.engine import Store
from barometer.store.tables import Document as DocumentRow
from barometer.store.tables import Identity, Prediction, Series, SeriesDocument

if TYPE_CHECKING:
    from barometer.store.writer import Scored

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
    for i in range(0, len(keys), 400):
        part = keys[i : i + 400]
        rows = [_identity_row(best[k].document) for k in part]
        insert_new(c, store, Identity, rows)
        # Rows of other transactions that made ours wait are committed now; lock them in key order.
        held_rows = c.execute(
            select(Identity)
            .where(tuple_(Identity.doc_key, Identity.text_hash).in_(part))
            .order_by(Identity.doc_key, Identity.text_hash)
            .with_for_update()
        ).all()
        for h in held_rows:
            d = best[(h.doc_key, h.text_hash)].document
            if h.row_id == d.row_id:
                mine.add((h.doc_key, h.text_hash))
            elif _rank_of(d) < _rank(h.late, h.observed_at, h.row_id):
                mine.add((h.doc_key, h.text_hash))
                displaced.append(Claim(h.observed_at, h.row_id, h.late, 0, d))
    _take_over(c, displaced)
    winners = {id(best[k]) for k in mine}
    return [item for item in items if not item.document.shared_identity or id(item) in winners], displaced


def _identity_row(d: Document) -> dict[str, object]:
    return {
        "doc_key": d.doc_key,
        "text_hash": d.text_hash,
        "observed_at": d.observed_at,
        "row_id": d.row_id,
        "late": d.late,
    }


def _take_over(c: Connection, displaced: Sequence[Claim]) -> None:
    if not displaced:
        return
    for claim in sorted(displaced, key=lambda x: (x.winner.doc_key, x.winner.text_hash)):
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
    c.execute(delete(SeriesDocument).where(*member))
    for table in (Prediction, DocumentRow):
        c.execute(delete(table).where(table.observed_at == claim.observed_at, table.row_id == claim.row_id))
