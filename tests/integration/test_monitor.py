"""The monitor's process on a real broker and real databases: it leads, ticks, seals, alerts and tells."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from barometer.settings import Settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.retention import drop_old
from barometer.store.writer import Writer
from ingest.embedded_broker import EmbeddedBroker
from ingest.produce import produce_rows
from monitor.alarms import Alarms
from monitor.leader import Monitor
from tests.integration.keyword_scorer import KeywordScorer
from tests.integration.stream import topic_of, wait_for, worker
from tests.integration.test_sealing import BUCKET, LATE, T0, Log, lead, stream

MakeSettings = Callable[..., Settings]


@contextmanager
def monitoring(settings: Settings, store: Store) -> Iterator[Monitor]:
    stop = threading.Event()
    monitor = Monitor(settings, store, stop)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            monitor.run()
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield monitor
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
        if errors:
            raise errors[0]


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of notifications: its address, and what it got."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        server.server_close()


def url_of(store: Store) -> str:
    return str(store.url.render_as_string(hide_password=False))


@pytest.mark.timeout(120)
def test_from_the_stream_to_the_receiver(
    store: Store, broker: EmbeddedBroker, settings_for: MakeSettings, tmp_path: Path
) -> None:
    """Ten days of an archive with a surge: a worker reads it, the monitor alerts and tells, then ticks by itself."""
    days = 9 * 144
    texts = []
    for b in range(days):
        bad = b >= days - 12
        for i in range(14 if bad else 3):
            word = "下跌" if bad or (b + i) % 9 == 0 else "平稳"
            at = T0 + b * BUCKET + i * 1000
            texts.append((at, {"kind": "news", "text": f"楼市{word} {b} {i}", "source": "晨报"}))
    with webhook() as (url, got):
        notify = tmp_path / "notify.yaml"
        notify.write_text(
            f"receivers:\n  - name: desk\n    channels:\n      - type: webhook\n        url: {url}\n"
            "routes:\n  - receivers: [desk]\n"
        )
        settings = settings_for(
            broker, url_of(store), notify_file=notify, tick_seconds=0.2, progress_interval_seconds=0.5
        )
        with topic_of(settings), worker(settings, store, KeywordScorer()):
            produce_rows(settings, store, texts)
            with monitoring(settings, store):
                wait_for(lambda: any(g["status"] == "firing" for g in got), seconds=60)
                wait_for(lambda: any(g["status"] == "resolved" for g in got), seconds=60)
                wait_for(lambda: state_of_job(store, "progress") is True, seconds=20)
        with store.read() as c:
            alerts = c.execute(select(t.Alert).where(t.Alert.type == "surge")).all()
            late = c.execute(select(func.sum(t.Offset.late))).scalar()
            ticks = c.execute(select(func.count()).where(t.Offset.progress_writer.like("monitor-%"))).scalar()
    assert {a.fingerprint for a in alerts} == {"topic:real_estate"}
    assert late == 0
    assert ticks == settings.topic_partitions
    first = next(g for g in got if g["status"] == "firing" and "real_estate" in json.dumps(g))
    assert first["version"] == "4"


def state_of_job(store: Store, name: str) -> bool | None:
    with store.read() as c:
        return c.execute(select(t.Job.ok).where(t.Job.name == name)).scalar()


@pytest.mark.timeout(60)
def test_one_leads_and_the_other_takes_over(store: Store, broker: EmbeddedBroker, settings_for: MakeSettings) -> None:
    settings = settings_for(broker, url_of(store), lease_seconds=2.0, progress_interval_seconds=0.5)
    with topic_of(settings), monitoring(settings, store) as a:
        wait_for(lambda: a.lease() is not None)
        with monitoring(settings, store) as b:
            time.sleep(2.5)
            assert b.lease() is None
            first = a.lease()
            assert first is not None
            with store.write() as c:  # as if a's machine had been frozen beyond its lease
                c.execute(update(t.Lease).where(t.Lease.name == leases.LEADER).values(holder="nobody", expires_at=0))
            leader = wait_for(lambda: leases.holder_of(store, leases.LEADER), seconds=10)
            assert leader.term > first.term
            assert leader.holder in (a.id, b.id)
            other = b if leader.holder == a.id else a
            wait_for(lambda: other.lease() is None, seconds=10)


@pytest.mark.timeout(60)
def test_health_and_metrics_are_served(store: Store, broker: EmbeddedBroker, settings_for: MakeSettings) -> None:
    from socket import socket

    with socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    settings = settings_for(broker, url_of(store), metrics_port_monitor=port)
    with topic_of(settings), monitoring(settings, store) as monitor:
        wait_for(lambda: monitor.lease() is not None)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as r:
            assert json.load(r)["leading"] is True
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as r:
            assert b"barometer_monitor_leading 1.0" in r.read()


class TestAlarms:
    """Conditions come and go; each is one alert."""

    def look(self, store: Store, settings: Settings) -> dict[str, str]:
        Alarms(store, settings).check(lead(store))
        with store.read() as c:
            return {
                r.fingerprint: r.state
                for r in c.execute(select(t.Alert.fingerprint, t.Alert.state).order_by(t.Alert.id))
            }

    def test_what_is_wrong_is_named_and_resolves(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for(lag_alarm_records=10)
        log = Log(store, settings)
        log.add(0, [(T0, "a", stream(1, 1, range(0))[0][0][2])], T0 + BUCKET + LATE)
        found = self.look(store, settings)
        assert found["system:missing_ticks"] == "firing"
        assert found["system:no_worker"] == "firing"
        assert "system:lag" not in found
        with store.write() as c:
            c.execute(update(t.Offset).values(high_water=50))
        found = self.look(store, settings)
        assert found["system:lag"] == "firing"
        assert found["system:missing_ticks"] == "resolved"
        with store.write() as c:
            now = store.now_ms(c)
            c.execute(update(t.Offset).values(high_water=None, progress_t=now))
            c.execute(update(t.Log).values(partitions=1))
            c.execute(
                insert(t.Process).values(
                    id="w", role="worker", host="h", pid=1, started_at=now, seen_at=now, state="running", info={}
                )
            )
        assert set(self.look(store, settings).values()) == {"resolved"}

    def test_an_import_is_no_missing_tick(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for()
        Log(store, settings).add(0, [], T0)
        leases.acquire(store, leases.progress_lease(settings.topic_documents), "produce-x", 60)
        assert "system:missing_ticks" not in self.look(store, settings)

    def test_a_replaced_log_is_critical(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for()
        Log(store, settings)
        with store.write() as c:
            c.execute(update(t.Log).values(replaced_reason="the broker is of another cluster"))
        assert self.look(store, settings) == {"system:log_replaced": "firing"}


def test_retention_drops_texts_and_keeps_counts(store: Store, settings_for: MakeSettings) -> None:
    settings = settings_for(retention_days=30)
    log = Log(store, settings)
    neutral = stream(1, 1, range(0))[0][0][2]
    day = 86_400_000
    log.add(0, [(T0, "old", neutral), (T0 + 80 * day, "new", neutral)], None)
    drop_old(store, settings, lead(store), now_ms=T0 + 90 * day)
    with store.read() as c:
        assert list(c.execute(select(t.Document.text)).scalars()) == ["new"]
        assert c.execute(select(func.count()).select_from(t.SeriesDocument)).scalar() == 1
        assert c.execute(select(func.sum(t.Rollup.total))).scalar() == 4
    assert isinstance(log.writer, Writer)
