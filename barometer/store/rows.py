"""Typed rows: the fields of a row type decide which columns a query selects, so no order is written twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement

from barometer.store.tables import Base


def columns_of(table: type[Base], fields: Sequence[str]) -> list[ColumnElement[Any]]:
    """The columns of ``table`` for the fields of a row type (``LabelRow._fields``), in their order.

    Fields that the table does not have come from joined tables: they stand last in the row type, and in the query.
    """
    return [getattr(table, name) for name in fields if hasattr(table, name)]
