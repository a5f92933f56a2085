"""Producing on a real broker and store: order, progress records, the lease, late archives, delivery errors."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import insert

from barometer.errors import BarometerError
from barometer.records import Document, Entry, Progress
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.leases import acquire, holder_of, progress_lease, release
from barometer.store.migrate import open_store
from barometer.store.stream.log_epochs import register_log
from barometer.store.tables import Offset
from ingest.messages.decoding import Decoder
from ingest.messages.encoding import encode
from ingest.producing.produce import Record, Sent, min_time_ms, passed_until, produce_records, produce_rows
from ingest.producing.progress import ProgressLease
from ingest.producing.sender import DeliveryError, Sender
from ingest.worker.lateness import Lateness
from tests.conftest import Broker, MakeBroker

pytestmark = pytest.mark.both_brokers

BUCKET = 600_000
T0 = 1_700_000_400_000  # start of a bucket
assert T0 % BUCKET == 0


@pytest.fixture
def settings(settings_for: Callable[..., Settings], broker: Broker) -> Settings:
    return settings_for(broker=broker, lease_seconds=2)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings, migrate=True)
    yield opened
    opened.close()


def read(settings: Settings, topic: str | None = None) -> dict[int, list[tuple[Any, Entry]]]:
    """Every partition's records as (record, entry), in order."""
    topic = topic or settings.topic_documents
    decoder = Decoder(1, min_time_ms=min_time_ms(settings), author_salt=b"", now_ms=lambda: time.time_ns() // 1_000_000)
    consumer = KafkaConsumer(**settings.kafka(), enable_auto_commit=False)
    out: dict[int, list[tuple[Any, Entry]]] = defaultdict(list)
    try:
        parts = [TopicPartition(topic, p) for p in range(settings.topic_partitions)]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        deadline = time.monotonic() + 20
        unread = set(parts)
        while unread:
            assert time.monotonic() < deadline, f"not read to their ends: {unread}"
            for tp, records in consumer.poll(timeout_ms=100).items():
                for r in records:
                    entry = decoder.decode(r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
                    out[tp.partition].append((r, entry))
            ends = {tp: consumer.highwater(tp) for tp in unread}
            unread -= {tp for tp, end in ends.items() if end is not None and consumer.position(tp) >= end}
    finally:
        consumer.close()
    return out


def rows(*times: int) -> list[tuple[int, dict[str, Any]]]:
    return [(t, {"text": f"第{i}条评论", "kind": "comment", "n": i}) for i, t in enumerate(times)]


def test_progress_follows_the_buckets(settings: Settings, store: Store) -> None:
    times = [T0 + 1, T0 + BUCKET - 1, T0 + BUCKET, T0 + 4 * BUCKET + 7, T0 + 4 * BUCKET + 8]
    sent = produce_rows(settings, store, rows(*times))
    assert (sent.records, sent.progress) == (5, 3 * settings.topic_partitions)
    log = read(settings)
    assert sorted(log) == list(range(settings.topic_partitions))
    lateness = settings.lateness_ms
    for entries in log.values():
        ts = [e.t for _, e in entries if isinstance(e, Progress)]
        assert ts == [T0 + BUCKET + lateness, T0 + 4 * BUCKET + 7 + lateness, T0 + 5 * BUCKET + lateness]
        # What every progress record promises: nothing older than t - lateness follows it in its partition.
        promised = 0
        for _, entry in entries:
            if isinstance(entry, Progress):
                promised = entry.t - lateness
            else:
                assert isinstance(entry, Document)
                assert entry.observed_at >= promised
    documents = [e for entries in log.values() for _, e in entries if isinstance(e, Document)]
    assert sorted(d.observed_at for d in documents) == times
    assert holder_of(store, progress_lease(settings.topic_documents)) is None


def test_no_row_of_an_import_is_late(settings: Settings, store: Store) -> None:
    from barometer.buckets import Buckets

    produce_rows(settings, store, rows(*range(T0, T0 + 20 * BUCKET, BUCKET // 3)))
    for entries in read(settings).values():
        walk = Lateness(Buckets(settings.bucket_seconds, settings.zone), settings.lateness_ms)
        for _, entry in entries:
            walk.see(entry)
            assert not (isinstance(entry, Document) and entry.late)


def test_the_end_promises_nothing_beyond_the_present(settings: Settings, store: Store) -> None:
    now = time.time_ns() // 1_000_000
    produce_rows(settings, store, rows(now - 1))
    after = time.time_ns() // 1_000_000
    for entries in read(settings).values():
        [t] = [e.t for _, e in entries if isinstance(e, Progress)]
        assert t <= max(after, now - 1 + settings.lateness_ms)


@pytest.mark.embedded_only("Kafka refuses record times beyond message.timestamp.after.max.ms")
def test_rows_with_impossible_times_are_sent_and_move_nothing(settings: Settings, store: Store) -> None:
    far = 32_472_144_000_000
    sent = produce_rows(settings, store, rows(0, T0, far))
    assert sent.records == 3
    ts = {e.t for entries in read(settings).values() for _, e in entries if isinstance(e, Progress)}
    assert ts == {T0 + BUCKET + settings.lateness_ms}


def test_one_key_stays_in_one_partition_in_order(settings: Settings, store: Store) -> None:
    messages = [(T0 + i, {"text": "同一句话", "kind": "comment", "n": i}) for i in range(50)]
    produce_rows(settings, store, messages)
    places = [
        (r.partition, e.extra) for entries in read(settings).values() for r, e in entries if isinstance(e, Document)
    ]
    assert len({p for p, _ in places}) == 1
    assert [e["n"] for _, e in places if e] == list(range(50))
    assert encode(messages[0][1])[0] == encode(messages[1][1])[0]


def test_without_progress(settings: Settings, store: Store) -> None:
    before = time.time_ns() // 1_000_000
    sent = produce_rows(settings, store, [(None, {"text": "a", "kind": "news"})], progress=False)
    assert (sent.records, sent.progress) == (1, 0)
    [(record, _)] = [x for entries in read(settings).values() for x in entries]
    assert before <= record.timestamp <= time.time_ns() // 1_000_000


def test_without_a_store_there_is_no_progress(settings: Settings) -> None:
    assert produce_rows(settings, None, rows(T0, T0 + BUCKET)).progress == 0


def test_rows_out_of_order_are_refused(settings: Settings, store: Store) -> None:
    with pytest.raises(BarometerError, match=r"row 2: time \d+ is before"):
        produce_rows(settings, store, rows(T0 + 5, T0))
    assert holder_of(store, progress_lease(settings.topic_documents)) is None


def test_a_record_that_is_too_large(settings: Settings, store: Store) -> None:
    records = [Record(T0 + i, b"k", b"x" * n, f"f.csv:{i}") for i, n in enumerate((10, 2 << 20, 10))]
    with pytest.raises(BarometerError, match=r"f\.csv:1: 2,097,152 bytes"):
        produce_records(settings, store, records)
    bad: list[str] = []
    sent = produce_records(settings, store, records, on_bad=lambda e: bad.append(str(e)))
    assert (sent.records, sent.skipped, len(bad)) == (2, 1, 1)


def test_the_lease_is_held_renewed_and_given_back(settings: Settings, store: Store) -> None:
    name = progress_lease(settings.topic_documents)
    during: list[Any] = []

    def slow() -> Iterator[tuple[int, dict[str, Any]]]:
        yield from rows(T0)
        time.sleep(2 * settings.lease_seconds)
        during.append(holder_of(store, name))
        during.append(acquire(store, name, "leader", 5))
        yield T0 + BUCKET, {"text": "b", "kind": "news"}

    produce_rows(settings, store, slow())
    assert during[0].holder.startswith("produce@")
    assert during[1] is None
    taken = acquire(store, name, "leader", 5)
    assert taken is not None
    assert taken.term == during[0].term + 1


def test_another_writer_is_waited_for(settings: Settings, store: Store) -> None:
    name = progress_lease(settings.topic_documents)
    held = acquire(store, name, "leader", 30)
    assert held is not None
    with (
        pytest.raises(BarometerError, match="leader writes progress"),
        ProgressLease(store, settings.topic_documents, 2, wait_seconds=0.3),
    ):
        pass
    threading.Timer(0.5, release, (store, held)).start()
    assert produce_rows(settings, store, rows(T0)).records == 1


def test_a_lost_lease_stops_the_import_before_its_next_progress(settings: Settings, store: Store) -> None:
    name = progress_lease(settings.topic_documents)

    def robbed() -> Iterator[tuple[int, dict[str, Any]]]:
        yield from rows(T0)
        mine = holder_of(store, name)
        assert mine is not None
        release(store, mine)
        assert acquire(store, name, "leader", 30) is not None
        time.sleep(settings.lease_seconds)  # now the lease would have had to be renewed
        yield T0 + BUCKET, {"text": "b", "kind": "news"}

    with pytest.raises(BarometerError, match=r"lease .* is lost \(somebody else holds it\)"):
        produce_rows(settings, store, robbed())
    assert not [e for entries in read(settings).values() for _, e in entries if isinstance(e, Progress)]


def test_a_lease_that_ran_out_untaken_is_taken_again(settings: Settings, store: Store) -> None:
    with ProgressLease(store, settings.topic_documents, 30) as lease:
        first = lease.term
        mine = holder_of(store, lease._name)
        assert mine is not None
        release(store, mine)
        lease._valid_until = 0  # as after a long freeze
        assert lease.term == first + 1
        mine = holder_of(store, lease._name)
        assert mine is not None
        release(store, mine)
        other = acquire(store, lease._name, "leader", 30)
        assert other is not None
        release(store, other)
        lease._valid_until = 0
        with pytest.raises(BarometerError, match="somebody else has held it meanwhile"):
            lease.check()


def test_how_far_the_topic_has_passed(settings: Settings, store: Store) -> None:
    topic = settings.topic_documents
    assert passed_until(settings, store, topic) is None
    log = register_log(store, "c", topic, 2)
    assert passed_until(settings, store, topic) is None
    counters = {k.name: 0 for k in Offset.__table__.columns if k.default is not None}
    with store.write() as c:
        for p, t in ((0, None), (1, T0)):
            row = {"log_id": log.id, "partition": p, "next_offset": 1, "progress_t": t, "updated_at": 0}
            c.execute(insert(Offset).values(**counters, **row))
    assert passed_until(settings, store, topic) == T0 - settings.lateness_ms


def test_no_broker(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(kafka_bootstrap="127.0.0.1:1")
    with pytest.raises(BarometerError, match=r"no broker answers at 127\.0\.0\.1:1"):
        produce_rows(settings, None, rows(T0))


def test_a_broker_that_goes_away_is_reported(settings_for: Callable[..., Settings], own_broker: MakeBroker) -> None:
    with own_broker() as own:
        settings = settings_for(broker=own, kafka_options={"request_timeout_ms": 1_000})
        produce_rows(settings, None, rows(T0))
        with Sender(settings, settings.topic_documents) as sender:
            sender._producer.config["delivery_timeout_ms"] = 1_500
            sender._producer._accumulator.config["delivery_timeout_ms"] = 1_500
            sender.send(T0, b"k", b"v", where="f.csv:1")
            sender.flush()
            assert sender.acknowledged == 1
            own.kill()
            sender.send(T0, b"k", b"v", where="f.csv:2")
            with pytest.raises(DeliveryError, match=r"f\.csv:2: not delivered"):
                sender.flush()


def test_sent_is_told_as_it_goes(settings: Settings, store: Store) -> None:
    seen: list[tuple[int, int | None]] = []

    def note(sent: Sent) -> None:
        seen.append((sent.records, sent.last_time_ms))

    produce_rows(settings, store, rows(T0, T0 + 1), on_sent=note)
    assert seen == [(1, T0), (2, T0 + 1)]


def test_values_arrive_as_they_were(settings: Settings, store: Store) -> None:
    message = {"text": "<b>涨 &amp; 跌</b>", "kind": "news", "symbols": ["000001"]}
    produce_rows(settings, store, [(T0, message)])
    [record] = [r for entries in read(settings).values() for r, e in entries if isinstance(e, Document)]
    assert orjson.loads(record.value) == message
    assert record.key == encode(message)[0]
    assert record.timestamp == T0
