"""Workers are killed (SIGKILL) at random instants of a seeded sequence; the store ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import Identity, Rollup, Series
from ingest.embedded_broker import EmbeddedBroker
from tests.integration.keyword_scorer import KeywordScorer
from tests.integration.stream import (
    T0,
    Topic,
    WorkerProcess,
    assert_sums,
    message,
    rows,
    topic_of,
    totals,
    wait_for,
    worker,
)

KILLS = 4
SEED = int(os.environ.get("BAROMETER_CHAOS_SEED", "20260"))


def produce(topic: Topic, chance: random.Random) -> None:
    """Documents, repeats and revisions over two partitions, dead letters, tombstones, progress that makes some late."""
    for i in range(1_200):
        at = T0 + i * 2_000 - chance.choice((0, 0, 0, 700_000))
        what = chance.random()
        if what < 0.03:
            topic.send(None, at=at)
        elif what < 0.06:
            topic.send(b"{broken", at=at)
        elif what < 0.3:
            topic.send(message(f"opinion {chance.randrange(3)} 下跌", id=f"id-{chance.randrange(60)}"), at=at)
        else:
            topic.documents(1, at=at)
        if i % 50 == 49:
            topic.progress(T0 + i * 2_000)
    topic.flush()


def contents(store: Store) -> tuple[object, ...]:
    """Rollups over all partitions: of two claimants of an identity, the later one to be written takes the other's count
    back in its own partition's row, so that only their sum depends on the log alone."""
    r = Rollup
    columns = [func.sum(x) for x in (r.total, r.negative, r.neutral, r.positive, r.unscored, r.late)]
    with store.read() as c:
        rollups = c.execute(
            select(r.bucket, Series.name, r.kind, *columns)
            .join(Series, Series.id == r.series_id)
            .group_by(r.bucket, Series.name, r.kind)
        ).all()
        holders = c.execute(select(Identity.__table__).order_by(Identity.doc_key, Identity.text_hash)).all()
    return (
        rows(store),
        sorted((*x[:3], *map(int, x[3:])) for x in rollups if any(x[3:])),
        [tuple(h) for h in holders],
        totals(store),
    )


@pytest.mark.slow
def test_killed_workers_leave_the_same_rows(
    store: Store, broker: EmbeddedBroker, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    settings = settings_for(
        broker, store.url.render_as_string(hide_password=False), worker_batch=16, session_timeout_ms=1_500
    )
    workers = 1 if store.is_sqlite else 2
    with topic_of(settings) as topic:
        produce(topic, chance)
        processes: list[WorkerProcess] = []
        try:
            for _ in range(workers):
                processes.append(WorkerProcess(settings, tmp_path / "workers.log", seconds=0.05))
            for _ in range(KILLS):
                before = totals(store)["records"]
                wait_for(lambda n=before: totals(store)["records"] > n)  # type: ignore[misc]
                time.sleep(chance.uniform(0, 0.4))
                victim = processes.pop(chance.randrange(len(processes)))
                victim.kill()
                assert totals(store)["records"] < topic.sent, "killed too late to prove anything"
                processes.append(WorkerProcess(settings, tmp_path / "workers.log", seconds=0.05))
            wait_for(lambda: totals(store)["records"] >= topic.sent, 60)
            assert all(p.terminate() == 0 for p in processes)
        finally:
            for p in processes:
                p.kill()
        t = assert_sums(store, topic.sent)
        assert min(t.values()) > 0

        calm = settings.model_copy(
            update={
                "database_url": f"sqlite:///{tmp_path / 'calm.db'}",
                "consumer_group": settings.consumer_group + "c",
            }
        )
        undisturbed = open_store(calm, migrate=True)
        with worker(calm, undisturbed, KeywordScorer()):
            wait_for(lambda: totals(undisturbed)["records"] >= topic.sent)
        assert contents(store) == contents(undisturbed)
        undisturbed.close()
