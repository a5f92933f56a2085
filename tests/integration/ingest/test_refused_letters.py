"""Dead letters that Apache Kafka refuses, copied or sent again: named, while all others go their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest
from sqlalchemy import insert

from barometer.errors import BarometerError
from barometer.records import Reason, pack_row
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.stream.dead_letters import find_letters
from barometer.store.tables import DeadLetter
from ingest.dead_letters.relay import Relay
from ingest.dead_letters.replay import Replayer
from ingest.local_broker.apache_kafka import ApacheKafka
from tests.integration.ingest.test_refusals import HOUR, log_of, make_topic, now_ms


@pytest.fixture
def settings(settings_for: Callable[..., Settings], kafka: ApacheKafka) -> Settings:
    return settings_for(kafka)


@pytest.fixture
def opened(settings: Settings) -> Iterator[Store]:
    store = open_store(settings, migrate=True)
    yield store
    store.close()


def keep(store: Store, offset: int, value: bytes, at: int) -> int:
    row = pack_row(1, 0, offset)
    letter = {
        "row_id": row, "record_timestamp": at, "reason": Reason.JSON, "detail": "test", "headers": [], "key": b"k",
        "value": value, "value_length": len(value), "value_sha256": sha256(value).digest(), "stored_at": now_ms(),
        "replays": 0,
    }  # fmt: skip
    with store.write() as c:
        c.execute(insert(DeadLetter).values(**letter))
    return row


def test_a_refused_copy_holds_up_no_other(settings: Settings, opened: Store, kafka: ApacheKafka) -> None:
    make_topic(kafka, settings.topic_dlq, partitions=1, max_message_bytes="20000")
    rows = [keep(opened, i, b"x" * (60_000 if i == 3 else 10), now_ms()) for i in range(7)]
    relay = Relay(settings, opened)
    try:
        for _ in range(2):  # the second time nothing is sent again
            with pytest.raises(
                BarometerError, match=rf"refuses 1 dead letters.*row {rows[3]}: refused by the broker: la"
            ):
                relay.run()
            assert len(log_of(kafka, settings.topic_dlq, 1)[0]) == 6
        keep(opened, 9, b"later", now_ms())
        with pytest.raises(BarometerError, match="refuses 1 dead letters"):
            relay.run()
        assert log_of(kafka, settings.topic_dlq, 1)[0][-1].value == b"later"
    finally:
        relay.close()
    waiting = {x.row_id for x in find_letters(opened) if x.relayed_at is None}
    assert waiting == {rows[3]}


def test_a_refused_replay_is_said_and_the_others_are_marked(
    settings: Settings, opened: Store, kafka: ApacheKafka
) -> None:
    make_topic(kafka, settings.topic_documents, message_timestamp_before_max_ms=str(24 * HOUR))
    for i in range(6):
        keep(opened, i, b"{}", now_ms() - (48 * HOUR if i == 2 else 0))
    with Replayer(settings, opened, "tester") as replayer:
        outcomes = replayer.replay(find_letters(opened, newest_first=False))
    assert [x.refused is None for x in outcomes] == [True, True, False, True, True, True]
    assert "out of range" in str(outcomes[2].refused)
    assert [x.replays for x in find_letters(opened, newest_first=False)] == [1, 1, 0, 1, 1, 1]
    assert sum(map(len, log_of(kafka, settings.topic_documents).values())) == 5
