"""A store with sealed buckets and texts, as labelling wants it; for tests of drawing, labelling and auditing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from sqlalchemy import insert, select

from barometer.store.accounts.users import add_user, list_users
from barometer.store.documents.keys import Key
from barometer.store.engine import Store
from barometer.store.labels.queues import Draw
from barometer.store.tables import SealedBucket, SealingState, Series
from tests.support.corpus import Doc, prepare, put

BUCKET = 600_000
NOW = 1_700_000_400_000 // BUCKET * BUCKET
PASSWORD = "a long enough password"


def fill(store: Store, docs: Sequence[Doc], now: int = NOW) -> list[Key]:
    """Texts with the sealed counts that they come to."""
    prepare(store)
    keys = put(store, list(docs))
    counts: Counter[tuple[str, int, int]] = Counter()
    for d in docs:
        for name in ("all", *(f"topic:{t}" for t in d.topics)):
            if d.sentiment is not None:
                counts[name, d.kind, d.at // BUCKET * BUCKET] += 1
    with store.write() as c:
        ids = dict(c.execute(select(Series.name, Series.id)).tuples().all())
        c.execute(
            insert(SealedBucket),
            [
                {"series_id": ids[name], "kind": kind, "start": start, "end": start + BUCKET, "total": n,
                 "negative": 0, "neutral": n, "positive": 0, "unscored": 0, "independent": n,
                 "independent_negative": 0, "model_id": 1, "alert": False, "outage": False, "term": 1}
                for (name, kind, start), n in counts.items()
            ],
        )  # fmt: skip
        c.execute(insert(SealingState).values(log_id=1, sealed_until=now, term=1, updated_at=now))
    return keys


def people(store: Store, *names: str) -> list[int]:
    for name in names:
        add_user(store, name, PASSWORD, "analyst", actor="tests")
    with store.read() as c:
        ids = {u.name: u.id for u in list_users(c)}
    return [ids[n] for n in names]


def drawing(store: Store, now: int = NOW, seed: int = 1) -> Draw:
    return Draw(store, BUCKET, now, Random(seed))
