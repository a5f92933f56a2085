"""Dead letters on a real broker and store: found, sent again once and twice, copied to the topic for others."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import func, select, update

from barometer.errors import BarometerError
from barometer.records import MAX_LETTER_BYTES, Flag, Reason, pack_row, unpack_row
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.stream.dead_letters import StoredLetter, find_letters, get_letter
from barometer.store.tables import AuditEntry, Document
from barometer.store.tables import DeadLetter as Row
from ingest.dead_letters.relay import Relay
from ingest.dead_letters.replay import Replayed, Replayer, fetch_value, parse_row
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker
from tests.support.stream import T0, Topic, message, topic_of, totals, wait_for, worker

pytestmark = pytest.mark.both_brokers

OLD = 1_300_000_000_000  # 2011
STRICT = {"min_time": "2020-01-01T00:00:00Z"}


@pytest.fixture
def settings(store: Store, broker: Broker, settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(broker, store.url.render_as_string(hide_password=False))


def work(settings: Settings, store: Store, topic: Topic) -> None:
    """A worker reads everything that was sent."""
    topic.flush()
    with worker(settings, store, KeywordScorer()):
        wait_for(lambda: totals(store)["records"] == topic.sent)


def replay(settings: Settings, store: Store, letters: list[StoredLetter], **kw: Any) -> list[Replayed]:
    with Replayer(settings, store, "tester", **kw) as replayer:
        return replayer.replay(letters)


def test_a_replay_keeps_everything_and_a_second_changes_nothing(settings: Settings, store: Store) -> None:
    with topic_of(settings) as topic:
        # Too old for the settings of then; the operator mends them and replays.
        topic.send(
            message("两千一十一年的旧闻"), at=OLD, headers=[("trace", b"\x00\xff"), ("barometer-replay-of", b"17")]
        )
        topic.send(b"{broken", at=T0)
        work(settings.model_copy(update=STRICT), store, topic)
        old, broken = sorted(find_letters(store), key=lambda x: x.record_timestamp)
        assert (old.reason, broken.reason) == (Reason.TIME, Reason.JSON)
        assert (old.replay_of, broken.replay_of) == (17, None)
        with store.write() as c:  # not really a replay of anything
            c.execute(update(Row).where(Row.row_id == old.row_id).values(replay_of=None))

        for times in (1, 2):
            letters = find_letters(store, rows=[old.row_id, broken.row_id], newest_first=False)
            assert all(r.refused is None for r in replay(settings, store, letters))
            topic.sent += 2
            work(settings, store, topic)
            with store.read() as c:
                [document] = c.execute(select(Document.__table__)).all()
            assert (document.text, document.observed_at) == ("两千一十一年的旧闻", OLD)
            assert document.flags & Flag.REPLAYED
            assert get_letter(store, old.row_id).replays == times
            assert (get_letter(store, old.row_id).replayed_at or 0) > 0
        assert totals(store)["repeats"] == 1
        again = [x for x in find_letters(store) if x.row_id not in (old.row_id, broken.row_id)]
        assert [(x.reason, x.replay_of, x.original) for x in again] == [(Reason.JSON, broken.row_id, broken.row_id)] * 2

        # A replay of a replay is a replay of the first.
        replay(settings, store, again[:1])
        topic.sent += 1
        work(settings, store, topic)
        assert {x.original for x in find_letters(store)} == {old.row_id, broken.row_id}

        record = KafkaConsumer(**settings.kafka(), enable_auto_commit=False)
        try:
            sent = [r for r in everything(record, settings) if r.timestamp == OLD]
        finally:
            record.close()
        assert {r.value for r in sent} == {message("两千一十一年的旧闻")}
        assert dict(sent[1].headers) == {"trace": b"\x00\xff", "barometer-replay-of": str(old.row_id).encode()}
    with store.read() as c:
        entries = c.execute(select(AuditEntry.actor, AuditEntry.action, AuditEntry.data)).all()
    assert [(e.actor, e.action) for e in entries] == [("tester", "dlq.replay")] * 3
    assert entries[0].data == {"rows": sorted([str(old.row_id), str(broken.row_id)], key=int)}


def everything(consumer: KafkaConsumer, settings: Settings, topic: str | None = None, partitions: int = 0) -> list[Any]:
    places = [
        TopicPartition(topic or settings.topic_documents, p) for p in range(partitions or settings.topic_partitions)
    ]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    out: list[Any] = []
    quiet = 0
    while quiet < 3:
        got = consumer.poll(timeout_ms=200)
        quiet = 0 if got else quiet + 1
        out += [r for records in got.values() for r in records]
    return sorted(out, key=lambda r: (r.partition, r.offset))


def test_a_long_value_is_fetched_from_the_log(settings: Settings, store: Store) -> None:
    long = b"[" + b"1," * 100_000 + b"1]"
    with topic_of(settings) as topic:
        topic.send(long)
        work(settings, store, topic)
        [letter] = find_letters(store)
        assert letter.cut
        assert (len(letter.value), letter.value_length) == (MAX_LETTER_BYTES, len(long))
        assert fetch_value(settings, letter.row) == long
        assert replay(settings, store, [letter])[0].refused is None
        topic.sent += 1
        work(settings, store, topic)
        second = find_letters(store)[0]
        assert (second.replay_of, second.value_sha256) == (letter.row_id, sha256(long).digest())

        with store.write() as c:
            c.execute(update(Row).where(Row.row_id == letter.row_id).values(value_sha256=b"0" * 32))
        [outcome] = replay(settings, store, [get_letter(store, letter.row_id)])
        assert "something else in its place" in (outcome.refused or "")
    assert fetch_value(settings, unpack_row(pack_row(1, 0, 99_999))) is None


def test_what_would_fail_again_is_refused(settings: Settings, store: Store) -> None:
    with topic_of(settings) as topic:
        topic.send(message("太早"), at=1_000)
        topic.send(b"{", headers=[("barometer-progress", b"1")])
        topic.send(b"{")
        work(settings, store, topic)
        outcomes = {o.letter.reason: o.refused for o in replay(settings, store, find_letters(store), dry_run=True)}
        assert "out of range" in (outcomes[Reason.TIME] or "")
        assert "progress record" in (outcomes[Reason.PROGRESS] or "")
        assert outcomes[Reason.JSON] is None
        assert all(x.replays == 0 for x in find_letters(store))
        replay(settings, store, find_letters(store))
        assert {x.reason: x.replays for x in find_letters(store)} == {
            Reason.TIME: 0, Reason.PROGRESS: 0, Reason.JSON: 1,
        }  # fmt: skip
        assert [x.reason for x in find_letters(store, not_replayed=True, reason="broken_json")] == []


def test_finding(settings: Settings, store: Store) -> None:
    with topic_of(settings) as topic:
        for i in range(5):
            topic.send(b"{" * (i + 1))
        topic.send(message(""))
        work(settings, store, topic)
    assert len(find_letters(store, limit=4)) == 4
    assert len(find_letters(store, reason="text_empty")) == 1
    assert find_letters(store, since_ms=time.time_ns() // 1_000_000 + 1_000) == []
    ordered = find_letters(store, newest_first=False)
    assert [x.row_id for x in ordered] == sorted(x.row_id for x in ordered)
    assert find_letters(store, newest_first=False, after=ordered[2].row_id) == ordered[3:]
    with pytest.raises(BarometerError, match="no reason 'nonsense'; use one of broken_json"):
        find_letters(store, reason="nonsense")
    with pytest.raises(BarometerError, match="no dead letter at row 5"):
        get_letter(store, 5)


def test_rows_as_people_write_them() -> None:
    row = pack_row(1, 2, 9)
    assert parse_row(str(row)) == parse_row("1/2/9") == row
    for wrong in ("x", "1/2", "1/2/3/4", "-1", "9999/0/0", str(1 << 63), ""):
        with pytest.raises(BarometerError, match="is no row"):
            parse_row(wrong)


def test_the_relay_copies_each_letter(settings: Settings, store: Store) -> None:
    relay = Relay(settings, store)
    assert relay.run() == 0
    with topic_of(settings) as topic:
        topic.send(b"{broken", headers=[("trace", b"1")])
        topic.send(message("没有时间"), at=1_000)
        topic.send(b"x" * 100_000)
        work(settings, store, topic)
    try:
        assert relay.run(limit=2) == 2
        assert relay.run() == 1
        assert relay.run() == 0
    finally:
        relay.close()
    consumer = KafkaConsumer(**settings.kafka(), enable_auto_commit=False)
    try:
        copies = everything(consumer, settings, settings.topic_dlq, 1)
    finally:
        consumer.close()
    letters = {x.row_id: x for x in find_letters(store)}
    assert len(copies) == len(letters) == 3
    for copy in copies:
        headers = dict(copy.headers)
        letter = letters[int(headers["barometer-row"])]
        assert (copy.key, copy.value, copy.timestamp) == (letter.key, letter.value, letter.stored_at)
        assert headers["barometer-reason"].decode() == letter.reason
        assert int(headers["barometer-timestamp"]) == letter.record_timestamp
        assert int(headers["barometer-value-length"]) == letter.value_length
        assert dict(letter.headers).items() <= headers.items()
        assert letter.relayed_at is not None


def test_a_relay_without_a_broker_marks_nothing(settings: Settings, store: Store) -> None:
    with topic_of(settings) as topic:
        topic.send(b"{")
        work(settings, store, topic)
    relay = Relay(settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"}), store)
    with pytest.raises(BarometerError, match="no broker answers"):
        relay.run()
    with store.read() as c:
        assert c.execute(select(func.count()).where(Row.relayed_at.is_(None))).scalar() == 1
