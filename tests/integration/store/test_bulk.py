"""Many rows at once on both databases: looked up by key, put, replaced, added up."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from barometer.store import bulk
from barometer.store.engine import Store
from barometer.store.tables import Fingerprint, Identity, SourceRollup

BIG = 1 << 62


def test_keys_are_looked_up_one_by_one(store: Store) -> None:
    keys = [(k, -k * BIG // 40) for k in range(-20, 20)]
    with store.write() as c:
        bulk.put_rows(c, store, Identity, [(*key, 7, n, n % 2 == 0) for n, key in enumerate(keys)])
        found = bulk.rows_with(c, store, Identity, ("doc_key", "text_hash"), [*keys[5:8], (5, 5)], lock=True)
        assert [(r[0], r[1], r[3], bool(r[4])) for r in found] == [(*keys[n], n, n % 2 == 0) for n in (5, 6, 7)]
        assert bulk.rows_with(c, store, Identity, ("doc_key", "text_hash"), []) == []
        if store.is_sqlite:
            # IN with two columns read the whole table.
            statement = bulk._with(Identity, True, ("doc_key", "text_hash"), False)
            plan = [r[-1] for r in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("[]",))]
            assert any("SEARCH t USING PRIMARY KEY (doc_key=? AND text_hash=?)" in line for line in plan), plan


def test_what_is_there_stays_is_replaced_or_added_to(store: Store) -> None:
    with store.write() as c:
        bulk.put_rows(c, store, Fingerprint, [(1, BIG, 10, 1), (1, 2, 10, 1)])
        bulk.put_rows(c, store, Fingerprint, [(1, BIG, 99, 9), (2, 2, 20, 2)])
        bulk.replace_rows(c, store, Fingerprint, [(1, 2, 30, 3), (3, 3, 30, 3)])
        rows = c.execute(select(Fingerprint.__table__)).all()
        assert sorted(map(tuple, rows)) == [(1, 2, 30, 3), (1, BIG, 10, 1), (2, 2, 20, 2), (3, 3, 30, 3)]
        for _ in range(2):
            bulk.add_up(
                c, store, SourceRollup, [(1, 0, 1, 0, 5, 77), (1, 0, 1, 1, 1, 5)], greatest=("last_observed_at",)
            )
        bulk.add_up(c, store, SourceRollup, [(1, 0, 1, 0, -1, 6)], greatest=("last_observed_at",))
        rows = c.execute(select(SourceRollup.__table__)).all()
        assert sorted(map(tuple, rows)) == [(1, 0, 1, 0, 9, 77), (1, 0, 1, 1, 2, 5)]


def test_columns_are_named_not_counted() -> None:
    rows = bulk.rows_of(
        Fingerprint, {"copies": [4, 8], "last_observed_at": [3, 7], "series_id": [1, 5], "fingerprint": (2, 6)}
    )
    assert rows == [(1, 2, 3, 4), (5, 6, 7, 8)]
    columns = {"series_id": [1], "fingerprint": [2], "last_observed_at": [3]}
    for wrong in (columns, {**columns, "copies": [4], "coppies": [4]}, {**columns, "copies": []}):
        with pytest.raises(ValueError):
            bulk.rows_of(Fingerprint, wrong)
