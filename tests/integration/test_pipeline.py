"""The stages behind the poll loop, on a real store."""

from __future__ import annotations

import time
from zoneinfo import ZoneInfo

from barometer.buckets import Buckets
from barometer.store.engine import Store
from barometer.store.stream.batch import Move
from barometer.store.stream.log_epochs import register_log
from ingest.worker import metrics
from ingest.worker.batching import Work
from ingest.worker.pipeline import Pipeline
from tests.integration.keyword_scorer import KeywordScorer
from tests.integration.stream import totals, wait_for


def work(log_id: int, expected: int, generation: int) -> Work:
    move = Move(0, expected or None, expected + 2, 2, tombstones=2)
    return Work(generation, log_id, [move], [], [], time.monotonic())


def test_what_was_read_behind_a_refused_batch_is_not_tried(store: Store) -> None:
    """It was read on from where the refused one ended: each would be refused in its turn."""
    log_id = int(register_log(store, "cluster", "topic", 1).id)
    pipeline = Pipeline(store, Buckets(600, ZoneInfo("UTC")), KeywordScorer, lambda _state: None)
    refused = metrics.STALE._value.get()
    pipeline.open(1, 1.0)
    for n in range(3):
        while not pipeline.submit(work(log_id, 10 + 2 * n, 1), timeout=1.0):
            pass
        if n == 0:
            pipeline.start()
    wait_for(lambda: pipeline.idle, 10)
    assert metrics.STALE._value.get() == refused + 1
    assert [o.committed for o in pipeline.outcomes] == [None]
    pipeline.outcomes.clear()
    pipeline.open(2, 1.0)
    pipeline.submit(work(log_id, 0, 2), timeout=1.0)
    wait_for(lambda: pipeline.idle and pipeline.outcomes, 10)
    assert totals(store)["tombstones"] == 2
    pipeline.close(1.0)
