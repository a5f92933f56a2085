"""Sealing on both databases: sealed once, by the watermark alone, whatever the steps and restarts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError

from barometer.errors import StaleWrite
from barometer.records import Document, Prediction, Progress, fingerprint, hash64, pack_row
from barometer.settings import Settings
from barometer.store import engine, leases
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.series.sealing import sealing_state
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.vocabulary import Kind, Sentiment
from monitor.sealing import seal
from monitor.sealing.seal import Sealer

T0 = 1_699_999_800_000  # a bucket's start
BUCKET = 600_000
LATE = 120_000


class Log:
    """Two partitions that a test fills bucket by bucket."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        with store.write() as c:
            c.execute(
                insert(t.Log).values(
                    id=1, cluster_id="c", topic=settings.topic_documents, partitions=2, current=True, created_at=0
                )
            )
        self.writer = Writer(store, seal.Buckets(settings.bucket_seconds, settings.zone))
        self.next = [0, 0]

    def add(
        self, partition: int, texts: list[tuple[int, str, Sentiment]], progress: int | None, late: bool = False
    ) -> None:
        """Texts as (observed_at, text, sentiment), then a progress record."""
        first = self.next[partition]
        documents, predictions = [], []
        for i, (at, text, sentiment) in enumerate(texts):
            row = pack_row(1, partition, first + i)
            documents.append(
                Document(
                    row, at, Kind.NEWS, text, hash64("row", str(row)), hash64(text), fingerprint(text), False,
                    source="s", late=late,
                )
            )  # fmt: skip
            predictions.append(Prediction(sentiment, 0.8, 0.1, 0.1, {"real_estate": 0.9}))
        end = first + len(texts) + (progress is not None)
        record = Progress(pack_row(1, partition, end - 1), progress, "w", 1) if progress is not None else None
        move = Move(partition, first or None, end, end - first, 0, int(progress is not None), record)
        self.writer.commit(
            Batch(1, 1, [move], documents, list(predictions), ["zh"] * len(documents), [None] * len(documents), [])
        )
        self.next[partition] = end


def stream(seed: int, buckets: int, surge: range) -> list[list[tuple[int, str, Sentiment]]]:
    rng = random.Random(seed)
    out = []
    for b in range(buckets):
        texts = []
        for i in range(rng.randint(2, 8) + (18 if b in surge else 0)):
            bad = rng.random() < (0.9 if b in surge else 0.15)
            text = f"文 {rng.randint(0, 400)}" if rng.random() < 0.5 else f"文 {b} {i}"
            at = T0 + b * BUCKET + rng.randrange(BUCKET)
            texts.append((at, text, Sentiment.NEGATIVE if bad else Sentiment.NEUTRAL))
        out.append(sorted(texts))
    return out


def sealed(store: Store) -> list[tuple[Any, ...]]:
    s = t.SealedBucket
    with store.read() as c:
        rows = c.execute(
            select(t.Series.name, *[k for k in s.__table__.columns if k.name not in ("series_id", "term")])
            .join(t.Series, t.Series.id == s.series_id)
            .order_by(t.Series.name, s.kind, s.start)
        )
        return [tuple(r) for r in rows]


def alerts(store: Store) -> list[tuple[Any, ...]]:
    a = t.Alert
    with store.read() as c:
        return [
            tuple(r)
            for r in c.execute(
                select(a.fingerprint, a.state, a.severity, a.started_at, a.detected_at, a.peak_at, a.ended_at, a.score,
                       a.seen_negative, a.seen_total, a.evidence).order_by(a.id)
            )
        ]  # fmt: skip


def lead(store: Store, name: str = "a") -> leases.Lease:
    lease = leases.acquire(store, leases.LEADER, name, 60)
    assert lease is not None
    return lease


@pytest.mark.timeout(120)
def test_steps_and_restarts_do_not_matter(
    tmp_path: Any, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same log sealed in one go, and bucket by bucket with a new leader now and then."""
    texts = stream(5, 260, range(220, 228))
    texts[30:50] = [[] for _ in range(20)]
    results = []
    for way in ("at once", "piecemeal"):
        settings = settings_for(database_url=f"sqlite:///{tmp_path / way}.db")
        store = open_store(settings, migrate=True)
        log, sealer, rng = Log(store, settings), Sealer(store, settings), random.Random(9)
        monkeypatch.setattr(seal, "STEP", 100 if way == "at once" else 3)
        for b, bucket in enumerate(texts):
            end = T0 + (b + 1) * BUCKET
            log.add(0, bucket[::2], end + LATE)
            log.add(1, bucket[1::2], end + LATE)
            if way == "piecemeal" and rng.random() < 0.4:
                if rng.random() < 0.3:
                    sealer = Sealer(store, settings)
                sealer.seal_ready(lead(store))
        sealer.seal_ready(lead(store))
        results.append((sealed(store), alerts(store)))
        store.close()
    assert results[0] == results[1]
    rows, found = results[0]
    assert sum(r[4] for r in rows if r[0] == "all") == sum(map(len, texts))
    assert [(a[0], a[1]) for a in found] == [("topic:real_estate", "resolved")]
    assert T0 + 219 * BUCKET <= found[0][4] <= T0 + 224 * BUCKET
    assert len(found[0][-1]) >= 5


def test_nothing_is_sealed_before_every_partition_has_passed_it(
    store: Store, settings_for: Callable[..., Settings]
) -> None:
    settings = settings_for()
    log, sealer = Log(store, settings), Sealer(store, settings)
    log.add(0, [(T0 + 5, "a", Sentiment.NEUTRAL)], T0 + 10 * BUCKET)
    assert sealer.seal_ready(lead(store)) == 0  # partition 1 has said nothing yet
    log.add(1, [(T0 + 6, "b", Sentiment.NEGATIVE)], T0 + BUCKET + LATE - 1)
    assert sealer.seal_ready(lead(store)) == 0  # a millisecond short
    log.add(1, [], T0 + BUCKET + LATE)
    assert sealer.seal_ready(lead(store)) == 1
    row = next(r for r in sealed(store) if r[0] == "topic:real_estate")
    assert row[1:8] == (1, T0, T0 + BUCKET, 2, 1, 1, 0)


def test_what_comes_late_changes_nothing(store: Store, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    log, sealer = Log(store, settings), Sealer(store, settings)
    log.add(0, [(T0 + 5, "a", Sentiment.NEUTRAL)], T0 + BUCKET + LATE)
    log.add(1, [], T0 + BUCKET + LATE)
    sealer.seal_ready(lead(store))
    before = sealed(store)
    log.add(0, [(T0 + 6, "b", Sentiment.NEGATIVE)], None, late=True)
    log.add(1, [(T0 + BUCKET + 5, "c", Sentiment.NEUTRAL)], T0 + 2 * BUCKET + LATE)
    log.add(0, [], T0 + 2 * BUCKET + LATE)
    sealer.seal_ready(lead(store))
    assert sealed(store)[: len(before)] != []
    assert [r for r in sealed(store) if r[3] == T0 + BUCKET] == before


def test_copies_are_not_voices(store: Store, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(copy_window_hours=1.0)
    log, sealer = Log(store, settings), Sealer(store, settings)
    copies = [(T0 + i, "恒远停工！", Sentiment.NEGATIVE) for i in range(5)]
    log.add(0, [*copies, (T0 + 9, "另一条", Sentiment.NEGATIVE)], T0 + 20 * BUCKET)
    again = [(T0 + 3 * BUCKET, "恒远停工", Sentiment.NEGATIVE), (T0 + 12 * BUCKET, "恒远，停工", Sentiment.NEGATIVE)]
    log.add(1, again, T0 + 20 * BUCKET)
    sealer.seal_ready(lead(store))
    with store.read() as c:
        s = t.SealedBucket
        rows = c.execute(
            select(s.start, s.negative, s.independent, s.independent_negative)
            .join(t.Series, t.Series.id == s.series_id)
            .where(t.Series.name == "topic:real_estate", s.total > 0)
            .order_by(s.start)
        ).all()
    assert [tuple(r) for r in rows] == [(T0, 6, 2, 2), (T0 + 3 * BUCKET, 1, 0, 0), (T0 + 12 * BUCKET, 1, 1, 1)]


def test_a_day_of_nothing_is_judged_and_years_are_one_row(store: Store, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    log, sealer = Log(store, settings), Sealer(store, settings)
    years = 5 * 365 * 86_400_000 // BUCKET * BUCKET
    log.add(0, [(T0, "a", Sentiment.NEUTRAL)], T0 + 3 * BUCKET + LATE)
    log.add(1, [], T0 + 3 * BUCKET + LATE)
    sealer.seal_ready(lead(store))
    log.add(0, [(T0 + years, "b", Sentiment.NEUTRAL)], T0 + years + BUCKET + LATE)
    log.add(1, [], T0 + years + BUCKET + LATE)
    sealer.seal_ready(lead(store))
    rows = [r[2:5] for r in sealed(store) if r[0] == "topic:real_estate"]
    judged = 1 + 144  # then the feed is known to have stopped
    stretch = (T0 + judged * BUCKET, T0 + years, 0)
    assert rows[0] == (T0, T0 + BUCKET, 1)
    assert rows[1:judged] == [(T0 + n * BUCKET, T0 + (n + 1) * BUCKET, 0) for n in range(1, judged)]
    assert rows[judged:] == [stretch, (T0 + years, T0 + years + BUCKET, 1)]


def test_a_frozen_leader_writes_nothing_when_it_wakes(store: Store, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    log = Log(store, settings)
    frozen, frozen_lease = Sealer(store, settings), lead(store, "frozen")
    log.add(0, [(T0, "a", Sentiment.NEUTRAL)], T0 + BUCKET + LATE)
    log.add(1, [], T0 + BUCKET + LATE)
    with store.write() as c:
        c.execute(update(t.Lease).values(expires_at=0))
    other = lead(store, "other")
    assert other.term == frozen_lease.term + 1
    with pytest.raises(StaleWrite):
        frozen.seal_ready(frozen_lease)
    assert sealed(store) == []
    assert Sealer(store, settings).seal_ready(other) == 1
    with store.write() as c:
        state = sealing_state(c, 1)
    assert (state.sealed_until, state.term) == (T0 + BUCKET, other.term)


@pytest.mark.postgres
def test_a_leader_frozen_inside_a_transaction_is_taken_over(
    fresh_postgres: str, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lease's row; the server ends its session, so that the others need not wait for it to wake."""
    settings = settings_for(database_url=fresh_postgres)
    open_store(settings, migrate=True).close()
    monkeypatch.setattr(engine, "IDLE_WRITER_SECONDS", 1)
    frozen, other = Store(fresh_postgres), Store(fresh_postgres)
    lease = leases.acquire(frozen, leases.LEADER, "frozen", 2)
    assert lease is not None
    with pytest.raises(DBAPIError) as woken, frozen.write() as c:
        leases.check(frozen, c, lease)
        time.sleep(2.1)
        taken = leases.acquire(other, leases.LEADER, "other", 2)
        assert taken is not None
        assert taken.term == lease.term + 1
        c.execute(update(t.Lease).values(holder="frozen"))
    assert engine.is_away(woken.value)
    frozen.close()
    other.close()
