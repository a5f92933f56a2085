"""Model versions as the store knows them: a short id by which every prediction names its model and precision."""

from __future__ import annotations

from collections.abc import Sequence
from time import time_ns

from sqlalchemy import select

from barometer.store.bulk import upsert
from barometer.store.engine import Store
from barometer.store.tables import ModelVersion


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
