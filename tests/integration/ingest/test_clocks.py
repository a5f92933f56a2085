"""Clocks that are wrong, and partitions that only a clock can speak for."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import insert, select

from barometer.errors import BarometerError
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.stream import log_epochs
from barometer.store.tables import Alert, Offset
from ingest.topic.topics import ensure_topics
from monitor.alarms.checks import Alarms
from monitor.sealing.progress import ProgressTicker
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker
from tests.integration.monitor.test_sealing import lead
from tests.support.stream import message, topic_of, totals, wait_for, worker

MakeSettings = Callable[..., Settings]


def url_of(store: Store) -> str:
    return store.url.render_as_string(hide_password=False)


def test_a_leader_whose_clock_has_jumped_writes_no_progress(
    store: Store, broker: Broker, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(broker, url_of(store))
    ensure_topics(settings)
    log_epochs.register_log(store, broker.cluster_id, settings.topic_documents, 3)
    ticker, real = ProgressTicker(settings, store, "leader"), time.time_ns
    try:
        assert ticker.tick()
        for seconds in (90, -90):
            monkeypatch.setattr(time, "time_ns", lambda by=seconds: real() + by * 1_000_000_000)
            with pytest.raises(BarometerError, match="NTP"):
                ticker.tick()
        monkeypatch.undo()
        assert ticker.tick()
    finally:
        ticker.close()


def test_progress_ahead_of_the_present_is_an_alarm(store: Store, settings_for: MakeSettings) -> None:
    """Texts until then are late and raise nothing: that is no calm."""
    settings = settings_for(database_url=url_of(store))
    log_id = int(log_epochs.register_log(store, "c", settings.topic_documents, 1).id)
    now = time.time_ns() // 1_000_000
    with store.write() as c:
        row = {"log_id": log_id, "partition": 0, "next_offset": 5, "records": 5, "progress_records": 5}
        c.execute(insert(Offset).values(progress_t=now + 900_000, updated_at=now, **row))
    problem = next(p for p in status(store, settings)["problems"] if p["code"] == "clock")
    assert 890 <= problem["seconds"] <= 900
    Alarms(store, settings, lambda *_: None).check(lead(store))
    with store.read() as c:
        assert "system:clock" in c.execute(select(Alert.fingerprint)).scalars().all()


def test_from_timestamps_a_partition_that_was_never_filled_holds_nothing_up(
    store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    settings = settings_for(broker, url_of(store), progress_from="timestamps")
    now = time.time_ns() // 1_000_000
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()):
        topic.send(message("股价下跌"), partition=1, at=now)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 1)
        mark = wait_for(lambda: status(store, settings)["watermark"])
        assert now - settings.lateness_ms - 10_000 <= mark <= time.time_ns() // 1_000_000 - settings.lateness_ms
