"""Model versions: every prediction names its model and precision by a short id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import time_ns
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from barometer.store.bulk import upsert
from barometer.store.engine import Store
from barometer.store.rows import columns_of
from barometer.store.tables import ModelVersion


class ModelVersionRow(NamedTuple):
    """A model version (columns of ``model_versions``); times are epoch ms."""

    id: int
    name: str
    precision: str
    topics: list[str]
    state: str
    created_at: int
    promoted_at: int | None
    metrics: dict[str, Any]


def list_versions(c: Connection) -> list[ModelVersionRow]:
    """All model versions, the newest first."""
    q = select(*columns_of(ModelVersion, ModelVersionRow._fields)).order_by(ModelVersion.id.desc())
    return [ModelVersionRow._make(row) for row in c.execute(q)]


def model_names(c: Connection, ids: Iterable[int] | None = None) -> dict[int, str]:
    """Names of model versions by id; of all, or of ``ids``."""
    q = select(ModelVersion.id, ModelVersion.name)
    return dict(c.execute(q if ids is None else q.where(ModelVersion.id.in_(list(ids)))).tuples().all())


def ensure_model(store: Store, name: str, precision: str, topics: Sequence[str]) -> int:
    """The id of a model version; made when it is seen for the first time (state ``seen``)."""
    query = select(ModelVersion.id).where(ModelVersion.name == name)
    with store.read() as c:
        found = c.execute(query).scalar()
    if found is not None:
        return int(found)
    row = {
        "name": name,
        "precision": precision,
        "topics": list(topics),
        "state": "seen",
        "created_at": time_ns() // 1_000_000,
        "metrics": {},
    }
    with store.write() as c:
        c.execute(upsert(store, ModelVersion).values(**row).on_conflict_do_nothing())
        return int(c.execute(query).scalar_one())
