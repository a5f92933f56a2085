"""Many rows at once. A statement has the same text and is run once, however many rows there are: COPY or arrays on
PostgreSQL, where a round trip a row would cost most; executemany and JSON on SQLite, where statements are cheap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from barometer.store.engine import Store
from barometer.store.tables import Base

_POSTGRES = postgresql.dialect()  # type: ignore[no-untyped-call]


Columns = Mapping[str, Iterable[object]]
"""The values of columns, by their names."""


def rows_of(model: type[Base], columns: Columns) -> list[tuple[Any, ...]]:
    """Rows as the functions below take them, from named columns: the order of a table's columns is written in the table
    alone.

    Args:
        columns: the values of each column of the table, all of one length. JSON values come as encoded text.

    Raises:
        ValueError: columns are missing, are not of this table, or are not of one length.
    """
    names = model.__table__.columns.keys()
    if columns.keys() != set(names):
        wrong = ", ".join(sorted(columns.keys() ^ set(names)))
        raise ValueError(f"{model.__tablename__}: columns missing or unknown: {wrong}")
    return list(zip(*(columns[name] for name in names), strict=True))


def insert_rows(c: Connection, store: Store, model: type[Base], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert tuples in the order of the table's columns. JSON values come as encoded text.

    Raises:
        sqlalchemy.exc.DBAPIError: on both databases.
    """
    if not rows:
        return
    table: Table = model.__table__  # type: ignore[assignment]
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
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


def put_rows(
    c: Connection, store: Store, model: type[Base], rows: Sequence[tuple[Any, ...]], conflict: str = "DO NOTHING"
) -> None:
    """Insert tuples in the order given, or do what ``conflict`` says where the primary key is there already.

    Args:
        rows: in the order of the table's columns; JSON values come as encoded text. No key twice.
        conflict: SQL after ``ON CONFLICT (key)``; ``excluded`` is the new row, the table's name the old one.
    """
    if not rows:
        return
    statement = _put(model, store.is_sqlite, conflict)
    if store.is_sqlite:
        c.exec_driver_sql(statement, list(rows))
    else:
        c.exec_driver_sql(statement, tuple(map(list, zip(*rows, strict=True))))


@cache
def _put(model: type[Base], is_sqlite: bool, conflict: str) -> str:
    table: Table = model.__table__  # type: ignore[assignment]
    names = [f'"{k.name}"' for k in table.columns]
    into = f"INSERT INTO {table.name} ({', '.join(names)})"
    key = ", ".join(k.name for k in table.primary_key.columns)
    if is_sqlite:
        return f"{into} VALUES ({', '.join('?' * len(names))}) ON CONFLICT ({key}) {conflict}"
    types = [k.type.compile(_POSTGRES) for k in table.columns]
    # An array of JSON is sent as one of text.
    arrays = ", ".join(f"%s::{'TEXT' if t == 'JSONB' else t}[]" for t in types)
    values = ", ".join(f"{n}::JSONB" if t == "JSONB" else n for n, t in zip(names, types, strict=True))
    return f"{into} SELECT {values} FROM unnest({arrays}) AS w({', '.join(names)}) ON CONFLICT ({key}) {conflict}"


def replace_rows(
    c: Connection, store: Store, model: type[Base], rows: Sequence[tuple[Any, ...]], but: Sequence[str] = ()
) -> None:
    """Insert rows (see :func:`put_rows`) or set all columns that are not in the key, ``but`` some."""
    table: Table = model.__table__  # type: ignore[assignment]
    change = [k.name for k in table.columns if not k.primary_key and k.name not in but]
    put_rows(c, store, model, rows, "DO UPDATE SET " + ", ".join(f'"{n}" = excluded."{n}"' for n in change))


def add_up(
    c: Connection, store: Store, model: type[Base], rows: Sequence[tuple[Any, ...]], greatest: Sequence[str] = ()
) -> None:
    """Insert counts (see :func:`put_rows`), or add them to those that are there; ``greatest`` columns keep the larger
    value."""
    table: Table = model.__table__  # type: ignore[assignment]
    larger = "max" if store.is_sqlite else "greatest"
    changes = []
    for column in table.columns:
        if not column.primary_key:
            old, new = f"{table.name}.{column.name}", f"excluded.{column.name}"
            changes.append(
                f"{column.name} = {f'{larger}({old}, {new})' if column.name in greatest else f'{old} + {new}'}"
            )
    put_rows(c, store, model, rows, "DO UPDATE SET " + ", ".join(changes))


def rows_with(
    c: Connection,
    store: Store,
    model: type[Base],
    columns: Sequence[str],
    keys: Sequence[tuple[int, ...]],
    lock: bool = False,
) -> list[Any]:
    """The rows (all columns) whose ``columns``, the first of the primary key, are among ``keys``.

    ``IN`` with several columns reads the whole table on SQLite; this looks each key up.

    Args:
        lock: the rows are locked until the transaction ends, in the order of their keys.
    """
    if not keys:
        return []
    statement = _with(model, store.is_sqlite, tuple(columns), lock)
    parameters = (orjson.dumps(keys).decode(),) if store.is_sqlite else tuple(map(list, zip(*keys, strict=True)))
    return list(c.exec_driver_sql(statement, parameters))


@cache
def _with(model: type[Base], is_sqlite: bool, columns: tuple[str, ...], lock: bool) -> str:
    table: Table = model.__table__  # type: ignore[assignment]
    wanted = ", ".join(f"t.{k.name}" for k in table.columns)
    if is_sqlite:
        where = " AND ".join(f"t.{n} = json_extract(w.value, '$[{i}]')" for i, n in enumerate(columns))
        return f"SELECT {wanted} FROM json_each(?) AS w CROSS JOIN {table.name} AS t ON {where}"
    arrays = ", ".join(f"%s::{table.c[n].type.compile(_POSTGRES)}[]" for n in columns)
    where = " AND ".join(f"t.{n} = w.{n}" for n in columns)
    order = ", ".join(f"t.{n}" for n in columns)
    return f"SELECT {wanted} FROM unnest({arrays}) AS w({', '.join(columns)}) JOIN {table.name} AS t ON {where}" + (
        f" ORDER BY {order} FOR UPDATE OF t" if lock else ""
    )


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
