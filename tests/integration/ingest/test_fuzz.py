"""Whatever is in the topic, the worker goes on, and every record is one thing. ``bench/fuzz.py`` is the long run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaProducer
from kafka.record.default_records import DefaultRecordBatchBuilder
from sqlalchemy import select

from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.tables import DeadLetter
from bench.mutations import record
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker
from tests.support.stream import assert_sums, message, topic_of, totals, wait_for, worker


@pytest.mark.timeout(120)
def test_mutated_messages(
    broker: Broker, store: Store, database_url: str, settings_for: Callable[..., Settings]
) -> None:
    settings, sent = settings_for(broker=broker, database_url=database_url), 1500
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
        for i in range(sent):
            r = record(i, seed=20)
            topic.producer.send(
                settings.topic_documents, r.value, key=r.key, partition=i % settings.topic_partitions,
                timestamp_ms=r.timestamp_ms, headers=list(r.headers),
            )  # fmt: skip
        topic.flush()
        wait_for(lambda: totals(store)["records"] >= sent or running.error, 60)
    counts = assert_sums(store, sent)
    assert all(counts[n] for n in ("documents", "repeats", "dead_letters", "tombstones", "progress_records"))
    with store.read() as c:
        reasons = list(c.execute(select(DeadLetter.reason)).scalars())
    assert len(reasons) == counts["dead_letters"]
    assert len(set(reasons)) >= 8


class _Breaking(DefaultRecordBatchBuilder):  # type: ignore[misc]
    """Breaks the compressed bytes before the checksum is made, so that the broker sees nothing wrong."""

    whole = DefaultRecordBatchBuilder._maybe_compress

    def _maybe_compress(self) -> bool:
        compressed = bool(_Breaking.whole(self))
        begin = self.header_size_in_bytes()
        self._buffer[begin:] = bytes(b ^ 0x5A for b in self._buffer[begin:])
        return compressed


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """``broken(True)``: from now on every batch that is sent is broken."""
    with monkeypatch.context() as patch:
        yield lambda on: patch.setattr(
            DefaultRecordBatchBuilder, "_maybe_compress", _Breaking._maybe_compress if on else _Breaking.whole
        )


@pytest.mark.embedded_only("Kafka refuses batches that cannot be unpacked")
@pytest.mark.parametrize("compression", ["gzip", "lz4", "snappy", None])
def test_a_batch_that_cannot_be_unpacked(
    broker: Broker,
    tmp_path: object,
    settings_for: Callable[..., Settings],
    broken: Callable[[bool], None],
    compression: str | None,
) -> None:
    from barometer.store.migrate import open_store

    settings = settings_for(broker=broker, topic_partitions=1)
    store = open_store(settings, migrate=True)
    with topic_of(settings):
        producer = KafkaProducer(**settings.kafka(), linger_ms=200, compression_type=compression)
        for texts, on in ((2, False), (3, True), (2, False)):
            broken(on)
            for i in range(texts):
                producer.send(settings.topic_documents, message(f"text {on} {i} " * 9), partition=0)
            producer.flush()
        producer.close()
        with worker(settings, store, KeywordScorer()) as running:
            wait_for(lambda: totals(store)["records"] >= 7 or running.error, 30)
    counts = assert_sums(store, 7)
    assert (counts["documents"], counts["dead_letters"]) == (4, 3)
    with store.read() as c:
        letters = c.execute(
            select(DeadLetter.row_id, DeadLetter.reason, DeadLetter.value).order_by(DeadLetter.row_id)
        ).all()
    assert [(r.row_id & 0xFF, r.reason) for r in letters] == [(n, "broken_batch") for n in (2, 3, 4)]
    assert [bool(r.value) for r in letters] == [True, False, False]
    store.close()
