"""A store of an older revision, full of rows, is killed while it is brought up to date; nothing of it changes."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, func, insert, inspect, select

from barometer.store.engine import Store
from barometer.store.migrate import current, head, upgrade, upgrade_in
from barometer.store.month_partitions import create_month, month_of
from barometer.store.search.index import SEARCH
from barometer.store.tables import MONTHLY_TABLES, Base, Document, SearchQueue
from bench.kills.actors import Company, Killing
from bench.kills.rows import Rows, differences, plain
from bench.kills.runs import LOOK_SECONDS, PATIENCE_SECONDS, Outcome, Stage, repair

OLDEST = "0001"
"""The revision that the rows are put back to."""
PAGE = 2_000


def killed_upgrade(stage: Stage, full: str, killings: tuple[Killing, ...], seed: str, *, sqlite: bool) -> Outcome:
    """Age a full store, upgrade it with kills, compare every row of every table with an upgrade without.

    Args:
        full: the URL of a store of the present revision.
    """
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="aged-", dir=stage.folder))
    calm, url = (_new(stage, folder, name, sqlite) for name in ("calm", "killed"))
    for made in (calm, url):
        _age(full, made)
    upgraded = Store(calm)
    upgrade(upgraded)
    want = _everything(upgraded)
    upgraded.close()
    store = Store(url)
    documents = _documents(store)
    company = Company(
        stage.settings("aged", folder, url),
        folder,
        stage.broker,
        stage.postgres,
        killings,
        random.Random(seed),
        0.0,
        lambda: None,
    )
    company.start("upgrade")
    (actor,) = company.actors
    wrong: list[str] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while actor.process.exitcode != 0 and not wrong:
        company.look(True)
        if actor.due is not None and (sqlite or (stage.postgres is not None and stage.postgres.alive)):
            wrong += _half_done(store, documents)
        if time.monotonic() > deadline:
            wrong.append("not upgraded in time")
        time.sleep(LOOK_SECONDS)
    company.look(True)
    company.kill_all()
    repair(stage)
    wrong += company.faults
    have = _everything(store)
    wrong += differences(have, want)
    if current(store) != head():
        wrong.append(f"at revision {current(store)}, not {head()}")
    store.close()
    if not sqlite and stage.postgres is not None:
        for made in (calm, url):
            stage.postgres.drop(made)
    rows = sum(map(len, have.values()))
    return Outcome(company.kills, company.restarts, time.monotonic() - began, wrong, rows)


def _new(stage: Stage, folder: Path, name: str, sqlite: bool) -> str:
    if sqlite:
        return f"sqlite:///{folder / name}.db"
    assert stage.postgres is not None
    return stage.postgres.database()


def _age(full: str, url: str) -> None:
    """Make the tables of the oldest revision and fill them with what a full store has in the same columns."""
    source, target = Store(full), Store(url)
    try:
        with target.write() as c:
            upgrade_in(c, OLDEST)
        old, new = MetaData(), MetaData()
        old.reflect(target.engine, only=lambda name, _: name in Base.metadata.tables)
        new.reflect(source.engine, only=lambda name, _: name in Base.metadata.tables)
        with source.read() as read, target.write() as write:
            if not target.is_sqlite:
                monthly = [name for name in MONTHLY_TABLES if name in old.tables]
                for month in {month_of(at) for at in read.execute(select(Document.observed_at)).scalars()}:
                    create_month(write, month, monthly)
            for table in old.sorted_tables:
                if table.name not in new.tables:
                    continue
                both = [k.name for k in table.columns if k.name in new.tables[table.name].columns]
                rows = read.execute(select(*(new.tables[table.name].columns[k] for k in both))).mappings()
                for page in rows.partitions(PAGE):
                    write.execute(insert(table), [dict(r) for r in page])
    finally:
        source.close()
        target.close()


def _documents(store: Store) -> int:
    with store.read() as c:
        return int(c.execute(select(func.count()).select_from(Document)).scalar_one())


def _half_done(store: Store, documents: int) -> list[str]:
    """All or nothing: after a kill the store is at the old revision or at the new one."""
    try:
        at, have = current(store), _documents(store)
    except Exception as e:
        return [] if "connect" in str(e) or "terminat" in str(e) or "closed" in str(e) else [f"unreadable: {e}"]
    out = [] if at in (OLDEST, head()) else [f"half-way, at revision {at}"]
    return out if have == documents else [*out, f"{have} documents of {documents}"]


def _everything(store: Store) -> Rows:
    """Every row of every table, by the schema that is there."""
    found = MetaData()
    parts = tuple(f"{name}_" for name in MONTHLY_TABLES)
    names = [n for n in inspect(store.engine).get_table_names() if not n.startswith(parts)]
    # The index is as it was filled, and nothing fills it here: its queue is what is compared.
    names = [n for n in names if n == SearchQueue.__tablename__ or not n.startswith(SEARCH)]
    found.reflect(store.engine, only=names)
    out: Rows = {}
    with store.read() as c:
        for table in found.sorted_tables:
            rows: list[tuple[Any, ...]] = [tuple(map(plain, r)) for r in c.execute(select(table))]
            out[table.name] = sorted(rows, key=repr)
        out["schema"] = sorted(
            (table.name, k.name, str(k.type), k.nullable) for table in found.sorted_tables for k in table.columns
        )
    return out
