"""The worker on a real broker, SQLite and PostgreSQL: nothing lost, nothing twice, nothing stopped by bad input."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from kafka import KafkaProducer
from sqlalchemy import func, select

from barometer.errors import StoreError
from barometer.records import Flag
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.processes import list_processes
from barometer.store.migrate import open_store
from barometer.store.stream.log_epochs import current_log
from barometer.store.tables import DeadLetter, Document, Offset, Prediction, Series, SeriesDocument
from ingest.worker.main import run_worker
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker
from tests.support.stream import T0, assert_sums, message, rows, topic_of, totals, wait_for, worker

pytestmark = pytest.mark.both_brokers

MakeSettings = Callable[..., Settings]


def settings_on(store: Store, broker: Broker, settings_for: MakeSettings, **overrides: object) -> Settings:
    return settings_for(broker, store.url.render_as_string(hide_password=False), **overrides)


def test_every_record_ends_up_as_exactly_one_thing(store: Store, broker: Broker, settings_for: MakeSettings) -> None:
    settings = settings_on(store, broker, settings_for)
    with topic_of(settings) as topic:
        topic.documents(120)
        for value in (b"{broken", b"\xff\xfe", message(""), message("t", kind="rumour"), b"[]"):
            topic.send(value)
        topic.send(message("from long ago"), at=1_000)
        topic.send(None)
        topic.send(None)
        for _ in range(3):
            topic.send(message("one opinion", id="a-1"), partition=1)
        topic.send(message("a changed opinion", id="a-1"), partition=1)
        topic.send(message("a text that is POISON"), partition=0)
        topic.send(message("texte en français", lang="xx"), partition=0)
        topic.progress(T0 + 600_000 + 120_000)
        topic.send(message("too late for its bucket"), at=T0 + 599_999)
        topic.send(message("in time"), at=T0 + 600_000)
        topic.flush()
        with worker(settings, store, KeywordScorer()) as running:
            wait_for(lambda: totals(store)["records"] == topic.sent)
        t = assert_sums(store, topic.sent)
        assert t == {
            "records": topic.sent, "documents": 126, "repeats": 2, "dead_letters": 6, "tombstones": 2,
            "progress_records": 3, "late": 1,
        }  # fmt: skip
        sums = [data for name, data in running.events if name == "batch"]
        assert sum(b["documents"] for b in sums) == 126
        assert sum(b["records"] for b in sums) == topic.sent
    with store.read() as c:
        late = c.execute(select(Document.text).where(Document.late)).scalars().all()
        unscored = dict(
            c.execute(select(Document.unscored_reason, Document.text).where(~Document.scored)).tuples().all()
        )
        assert late == ["too late for its bucket"]
        assert unscored == {
            "scorer_error": "a text that is POISON",
            "language_not_covered": "texte en français",
        }
        assert c.execute(select(func.count()).select_from(Prediction)).scalar() == 124
        assert c.execute(select(func.count()).select_from(DeadLetter)).scalar() == 6
        negative = c.execute(select(func.count()).select_from(Prediction).where(Prediction.sentiment == 0)).scalar()
        assert negative == 40
        estate = c.execute(select(Series.id).where(Series.name == "topic:real_estate")).scalar()
        members = c.execute(
            select(func.count()).select_from(SeriesDocument).where(SeriesDocument.series_id == estate)
        ).scalar()
        assert members == 80
        offsets = c.execute(select(Offset.partition, Offset.progress_t).order_by(Offset.partition)).all()
        assert [tuple(o) for o in offsets] == [(p, T0 + 720_000) for p in range(3)]
        log = current_log(c, settings.topic_documents)
        assert log is not None
        assert (log.cluster_id, log.partitions) == (broker.cluster_id, 3)
        (process,) = list_processes(c)
        assert (process.role, process.state) == ("worker", "stopped")


def test_a_second_worker_goes_on_where_the_first_stopped(
    store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    settings = settings_on(store, broker, settings_for)
    with topic_of(settings) as topic:
        topic.documents(50)
        topic.progress(T0 + 720_000)
        topic.flush()
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == topic.sent)
        topic.documents(1, at=T0)
        topic.documents(10, at=T0 + 600_000)
        topic.flush()
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == topic.sent)
        assert assert_sums(store, topic.sent)["late"] == 1, "progress must be taken up from the store"


def test_a_text_has_its_row_within_two_seconds(store: Store, broker: Broker, settings_for: MakeSettings) -> None:
    settings = settings_on(store, broker, settings_for)
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer(0.02)) as running:
        wait_for(lambda: running.state == "running")
        for _ in range(40):
            now = time.time_ns() // 1_000_000
            topic.documents(10, at=now)
            topic.flush()
            time.sleep(0.1)
        wait_for(lambda: totals(store)["records"] == topic.sent)
        with store.read() as c:
            waits = sorted(c.execute(select(Document.stored_at - Document.observed_at)).scalars())
        assert waits[int(len(waits) * 0.99)] < 2_000


def test_progress_alone_is_stored_in_few_transactions(store: Store, broker: Broker, settings_for: MakeSettings) -> None:
    settings = settings_on(store, broker, settings_for, topic_partitions=12)
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
        wait_for(lambda: running.state == "running")
        for i in range(3):
            topic.progress(T0 + i)
            topic.flush()
            time.sleep(0.5)
        wait_for(lambda: totals(store)["progress_records"] == 36)
        assert len([1 for name, _ in running.events if name == "batch"]) <= 8


def test_a_batch_that_somebody_else_wrote_first_is_refused_and_read_again(
    store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    settings = settings_on(store, broker, settings_for, worker_batch=10)
    stolen: list[int] = []

    def steal(_texts: object) -> None:
        """Another worker, to which the group gave partition 0 while this one slept, writes it first."""
        if stolen:
            return
        stolen.append(1)
        other = Offset.__table__.update().where(Offset.partition == 0).values(next_offset=Offset.next_offset + 5)
        with store.write() as c:
            c.execute(other)

    with topic_of(settings) as topic:
        topic.documents(3)
        topic.flush()
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == 3)
        topic.documents(60)
        topic.flush()
        with worker(settings, store, KeywordScorer(before=steal)):
            wait_for(lambda: totals(store)["records"] == 63 - 5)
            time.sleep(0.5)
        assert totals(store)["records"] == len(rows(store)) == 63 - 5, "each row once, those of the other not at all"


def test_the_model_changes_between_two_batches(store: Store, broker: Broker, settings_for: MakeSettings) -> None:
    settings = settings_on(store, broker, settings_for)
    present = [KeywordScorer()]
    with topic_of(settings) as topic, worker(settings, store, lambda: present[0]):
        topic.documents(5)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 5)
        successor = KeywordScorer()
        successor.name = "keywords-2"
        present[0] = successor
        topic.documents(7)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 12)
    with store.read() as c:
        models = c.execute(select(func.count()).select_from(Prediction).group_by(Prediction.model_id)).scalars().all()
    assert sorted(models) == [5, 7]


def test_a_second_worker_on_sqlite_is_refused(tmp_path: object, broker: Broker, settings_for: MakeSettings) -> None:
    settings = settings_for(broker)
    store = open_store(settings, migrate=True)
    with worker(settings, store, KeywordScorer()) as running:
        wait_for(lambda: running.state == "running")
        with pytest.raises(StoreError, match="SQLite allows one"):
            run_worker(settings, store, KeywordScorer(), running.stop)
    store.close()


def test_large_and_compressed_records_come_through(
    tmp_path: object, broker: Broker, settings_for: MakeSettings
) -> None:
    settings = settings_for(broker, worker_batch=4)
    store = open_store(settings, migrate=True)
    with topic_of(settings) as topic:
        for codec in ("gzip", "snappy", "lz4", "zstd"):
            producer = KafkaProducer(**settings.kafka(), compression_type=codec)
            for i in range(3):
                producer.send(settings.topic_documents, message(f"{codec} {i} " + "楼" * 500), timestamp_ms=T0)
            producer.close()
        for n in (2, 12, 20):
            topic.send(message("长" * (n * 2**20 // 3)), partition=0)
        topic.send(b"{" + b"x" * 20 * 2**20, partition=0)
        topic.send(message("after the large ones"), partition=0)
        topic.flush()
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == 17)
    assert assert_sums(store, 17)["dead_letters"] == 1
    with store.read() as c:
        value, length = c.execute(select(DeadLetter.value, DeadLetter.value_length)).one()
        cut = c.execute(select(func.count()).where(Document.flags == int(Flag.TEXT_CUT))).scalar()
    assert (len(value), length, cut) == (65_536, 1 + 20 * 2**20, 3)
    store.close()


@pytest.mark.slow
def test_a_slow_scorer_does_not_lose_the_group(tmp_path: object, broker: Broker, settings_for: MakeSettings) -> None:
    """One batch takes longer than the group waits for a member that does not poll."""
    settings = settings_for(broker, worker_poll_interval_seconds=10, worker_batch=8)
    store = open_store(settings, migrate=True)
    slept: list[float] = []

    def sleep_once(_texts: object) -> None:
        if not slept:
            slept.append(time.monotonic())
            time.sleep(13)

    with topic_of(settings) as topic:
        topic.documents(100)
        topic.flush()
        with worker(settings, store, KeywordScorer(before=sleep_once)) as running:
            wait_for(lambda: totals(store)["records"] == 100, 40)
        assert_sums(store, 100)
        assert running.states.count("joining") == 1
        assert running.states.count("positioning") == 1
    store.close()
