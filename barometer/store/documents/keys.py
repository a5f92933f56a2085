"""Keys of documents, and how queries join by them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import CTE, BigInteger, ScalarSelect, column, func, select, values
from sqlalchemy.orm import aliased

from barometer.store.tables import Document, Prediction

Key = tuple[int, int]
"""(observed_at, row id)."""
_SID_BITS = 21


def first_sid(observed_at: int) -> int:
    """The least rowid that a text of this millisecond can have in SQLite's index."""
    return observed_at << _SID_BITS


def time_of_sid(sid: int) -> int:
    """When the text of this rowid was observed."""
    return sid >> _SID_BITS


def keys_cte(keys: Sequence[Key]) -> CTE:
    """Keys to join with: ``IN`` with two columns reads the whole table on SQLite."""
    return (
        values(column("at", BigInteger), column("row", BigInteger), name="wanted_keys").data(list(keys)).cte("wanted")
    )


def newest_prediction(d: type[Document] = Document) -> ScalarSelect[int]:
    """The model whose prediction of a document counts: the latest."""
    other = aliased(Prediction)
    return (
        select(func.max(other.model_id))
        .where(other.observed_at == d.observed_at, other.row_id == d.row_id)
        .correlate(d)
        .scalar_subquery()
    )
