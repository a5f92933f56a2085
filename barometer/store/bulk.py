"""Many rows at once: COPY on PostgreSQL, executemany on SQLite; and the two kinds of upsert that the store uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection, Table, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from barometer.store.engine import Store
from barometer.store.tables import Base


def insert_rows(c: Connection, store: Store, model: type[Base], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert tuples in the order of the table's columns. JSON values come as encoded text.

    Raises:
        sqlalchemy.exc.DBAPIError: on both databases.
    """
    if not rows:
        return
    table: Table = model.__table__  # type: ignore[assignment]
    columns = ", ".join(column.name for column in table.columns)
    if store.is_sqlite:
        marks = ", ".join("?" * len(table.columns))
        c.exec_driver_sql(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", list(rows))
        return
    raw = c.connection.driver_connection
    assert raw is not None
    statement = f"COPY {table.name} ({columns}) FROM STDIN"
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as e:
        # COPY goes around SQLAlchemy, whose errors are what callers know.
        if raw.broken:
            c.invalidate(e)
        error = DBAPIError.instance(statement, None, e, psycopg.Error, connection_invalidated=raw.broken)
        assert isinstance(error, BaseException)
        raise error from e


def upsert(store: Store, model: type[Base]) -> Any:
    """An INSERT of the store's dialect that knows ON CONFLICT."""
    return sqlite.insert(model) if store.is_sqlite else postgresql.insert(model)


def insert_new(c: Connection, store: Store, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows whose keys are not there yet."""
    if rows:
        c.execute(upsert(store, model).on_conflict_do_nothing(), list(rows))


def insert_if_absent(c: Connection, store: Store, model: type[Base], row: dict[str, Any]) -> bool:
    """Insert one row; False if its key is there already."""
    table: Table = model.__table__  # type: ignore[assignment]
    key = list(table.primary_key.columns)
    return c.execute(upsert(store, model).values(**row).on_conflict_do_nothing().returning(*key)).first() is not None


def add_up(
    c: Connection,
    store: Store,
    model: type[Base],
    rows: Sequence[dict[str, Any]],
    *,
    add: Sequence[str],
    greatest: Sequence[str] = (),
) -> None:
    """Insert counts, or add them to those that are there; ``greatest`` columns keep the larger value."""
    if not rows:
        return
    statement = upsert(store, model)
    table: Table = model.__table__  # type: ignore[assignment]
    larger = func.max if store.is_sqlite else func.greatest
    changes: dict[str, Any] = {name: table.c[name] + statement.excluded[name] for name in add}
    changes |= {name: larger(table.c[name], statement.excluded[name]) for name in greatest}
    statement = statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes)
    c.execute(statement, list(rows))
