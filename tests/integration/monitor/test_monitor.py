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
from socket import socket
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from barometer.settings import Settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.migrate import open_store
from barometer.store.retention import drop_old
from barometer.store.stream.writer import Writer
from ingest.producing.produce import produce_rows
from monitor.alarms.checks import Alarms
from monitor.leader import Monitor
from monitor.sealing.seal import Sealer
from testing.keyword_scorer import KeywordScorer
from testing.postgres import PostgresServer
from tests.conftest import Broker
from tests.integration.monitor.test_sealing import BUCKET, LATE, T0, Log, lead, stream
from tests.support.stream import topic_of, wait_for, worker

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
    store: Store, broker: Broker, settings_for: MakeSettings, tmp_path: Path
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
def test_one_leads_and_the_other_takes_over(store: Store, broker: Broker, settings_for: MakeSettings) -> None:
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
def test_health_and_metrics_are_served(store: Store, broker: Broker, settings_for: MakeSettings) -> None:
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


@pytest.mark.postgres
@pytest.mark.timeout(120)
def test_a_database_that_goes_away_is_waited_for(
    own_postgres: PostgresServer, broker: Broker, settings_for: MakeSettings
) -> None:
    """The process lives on, healthy, and leads again with a new term when the database is back."""
    settings = settings_for(broker, own_postgres.url, lease_seconds=2.0, progress_interval_seconds=0.5)
    store = open_store(settings, migrate=True)
    with topic_of(settings), monitoring(settings, store) as monitor:
        first = wait_for(monitor.lease)
        own_postgres.stop()
        wait_for(lambda: monitor.lease() is None, seconds=20)
        wait_for(lambda: monitor._health()[1]["database"] == "away", seconds=20)
        assert monitor._health()[0] is True
        own_postgres.start()
        again = wait_for(monitor.lease, seconds=20)
        assert again.term > first.term
        wait_for(lambda: monitor._health()[1]["database"] == "there", seconds=20)
        wait_for(lambda: state_of_job(store, "seal") is True, seconds=20)
    store.close()


@pytest.mark.timeout(60)
def test_a_broker_that_is_away_stops_only_what_needs_it(store: Store, settings_for: MakeSettings) -> None:
    with socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    settings = settings_for(database_url=url_of(store), kafka_bootstrap=f"127.0.0.1:{port}", tick_seconds=0.2)
    log = Log(store, settings)
    for p in range(2):
        log.add(p, [(T0, f"a {p}", stream(1, 1, range(0))[0][0][2])], T0 + BUCKET + LATE)
    with monitoring(settings, store):
        wait_for(lambda: state_of_job(store, "progress") is False, seconds=30)
        with store.read() as c:
            assert c.execute(select(func.count()).select_from(t.SealedBucket)).scalar() == 2


class TestAlarms:
    """Conditions come and go; each is one alert."""

    def look(self, store: Store, settings: Settings, hold: float = 0.0, patience: float = 0.0) -> dict[str, str]:
        Alarms(store, settings, hold_seconds=hold, patience_seconds=patience).check(lead(store))
        with store.read() as c:
            rows = c.execute(select(t.Alert.fingerprint, t.Alert.state).order_by(t.Alert.id))
            return {r.fingerprint: r.state for r in rows}

    def a_worker(self, store: Store) -> int:
        """Lives, as far as the table says; returns the time."""
        with store.write() as c:
            now = store.now_ms(c)
            c.execute(
                insert(t.Process).values(
                    id="w", role="worker", host="h", pid=1, started_at=now, seen_at=now, state="running", info={}
                )
            )
        return now

    def test_partitions_without_progress_are_no_alarm_in_the_two_minutes_of_a_first_start(
        self, store: Store, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = settings_for()
        Log(store, settings)  # two partitions are there, and none was read yet
        begun, alarms = self.a_worker(store), Alarms(store, settings)
        found = {}
        for seconds in (0, 30, 60, 119, 121):
            now = begun + seconds * 1000
            with store.write() as c:
                c.execute(update(t.Process).values(seen_at=now))
            monkeypatch.setattr(store, "now_ms", lambda _c, now=now: now)
            alarms.check(lead(store))
            with store.read() as c:
                found[seconds] = list(c.execute(select(t.Alert.fingerprint, t.Alert.severity)).tuples())
        assert found == {0: [], 30: [], 60: [], 119: [], 121: [("system:missing_ticks", "critical")]}

    def test_what_is_wrong_is_named_and_resolves(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for(lag_alarm_records=10)
        log = Log(store, settings)
        log.add(0, [(T0, "a", stream(1, 1, range(0))[0][0][2])], T0 + BUCKET + LATE)
        assert self.look(store, settings) == {"system:no_worker": "firing"}
        now = self.a_worker(store)
        assert self.look(store, settings) == {"system:no_worker": "resolved", "system:missing_ticks": "firing"}
        with store.write() as c:
            c.execute(update(t.Offset).values(high_water=50))
        found = self.look(store, settings)
        assert found["system:lag"] == "firing"
        assert found["system:missing_ticks"] == "resolved"  # what waits explains it
        with store.write() as c:
            c.execute(update(t.Offset).values(high_water=None, progress_t=now))
            c.execute(update(t.Log).values(partitions=1))
        assert set(self.look(store, settings).values()) == {"resolved"}

    @pytest.mark.parametrize(("state", "code"), [("broker away", "broker"), ("not reading", "not_reading")])
    def test_a_worker_that_runs_and_does_not_read_is_named(
        self, store: Store, settings_for: MakeSettings, state: str, code: str
    ) -> None:
        settings = settings_for()
        log = Log(store, settings)
        log.add(0, [(T0, "a", stream(1, 1, range(0))[0][0][2])], T0 + BUCKET + LATE)
        self.a_worker(store)
        with store.write() as c:
            c.execute(update(t.Process).values(state=state, info={"reason": "why"}))
        assert self.look(store, settings)[f"system:{code}"] == "firing"
        problem = next(p for p in status(store, settings)["problems"] if p["code"] == code)
        assert problem["process"] == "w"
        assert "why" in problem["text"]
        with store.write() as c:
            c.execute(update(t.Process).values(state="running"))
        assert self.look(store, settings)[f"system:{code}"] == "resolved"

    def test_a_refused_file_of_red_lines_is_an_alarm(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for()
        log = Log(store, settings)
        log.add(0, [(T0, "a", stream(1, 1, range(0))[0][0][2])], T0 + BUCKET + LATE)
        self.a_worker(store)
        with store.write() as c:
            c.execute(update(t.Process).values(info={"rules_fault": "rules_file: x has no rules"}))
        assert self.look(store, settings)["system:rules_file"] == "firing"
        with store.write() as c:
            c.execute(update(t.Process).values(info={}))
        assert self.look(store, settings)["system:rules_file"] == "resolved"

    def test_few_records_that_are_old_are_lag_too(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for(lag_alarm_seconds=60.0)
        log = Log(store, settings)
        now = self.a_worker(store)
        for p in range(2):
            log.add(p, [], now - 70_000)
        with store.write() as c:
            c.execute(update(t.Offset).values(high_water=3))
        assert self.look(store, settings) == {"system:lag": "firing"}
        with store.write() as c:
            c.execute(update(t.Offset).values(progress_t=now))
        assert self.look(store, settings) == {"system:lag": "resolved"}

    def test_what_comes_and_goes_is_one_alarm(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for(lag_alarm_records=10)
        log = Log(store, settings)
        now = self.a_worker(store)
        for p in range(2):
            log.add(p, [], now)
        for waiting in (50, 5, 50, 5):
            with store.write() as c:
                c.execute(update(t.Offset).values(high_water=waiting))
            assert self.look(store, settings, hold=60) == {"system:lag": "firing"}
        with store.read() as c:
            assert c.execute(select(func.count()).select_from(t.Alert)).scalar() == 1
        with store.write() as c:
            c.execute(update(t.Alert).values(last_bucket_end=now - 61_000))
        assert self.look(store, settings, hold=60) == {"system:lag": "resolved"}

    def test_sealing_that_stands_still_and_jobs_that_fail(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for()
        log = Log(store, settings)
        now = self.a_worker(store)
        for p in range(2):
            log.add(p, [], now)
        with store.write() as c:
            c.execute(insert(t.SealingState).values(log_id=1, sealed_until=now - 3_600_000, term=1, updated_at=now))
            c.execute(
                insert(t.Job).values(name="outbox", started_at=now, finished_at=now, ok=False, message="no route")
            )
        assert self.look(store, settings, patience=60) == {}  # it may be over at the next try
        assert self.look(store, settings) == {"system:sealing": "firing", "system:job:outbox": "firing"}
        with store.write() as c:
            c.execute(update(t.SealingState).values(sealed_until=now))
            c.execute(update(t.Job).values(ok=True))
        assert set(self.look(store, settings).values()) == {"resolved"}

    def test_a_source_that_fell_silent_is_named_unless_muted(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for(silent_source_factor=6.0)
        log = Log(store, settings)
        now = self.a_worker(store)
        for p in range(2):
            log.add(p, [], now)
        hour, week = 3_600_000, 7 * 24
        rows = [
            {"source_id": 1, "hour": (now // hour - h) * hour, "log_id": 1, "partition": 0, "total": 3,
             "last_observed_at": (now // hour - h) * hour}
            for h in range(5, week + 5)
        ]  # fmt: skip
        with store.write() as c:
            c.execute(insert(t.Source).values(id=1, name="晨报", created_at=0, muted=False))
            c.execute(insert(t.SourceRollup), rows)
        assert self.look(store, settings) == {"system:silent:晨报": "firing"}
        with store.write() as c:
            c.execute(update(t.Source).values(muted=True))
        assert self.look(store, settings) == {"system:silent:晨报": "resolved"}

    def test_texts_that_nobody_could_label(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for(unscored_alarm_share=0.3)
        log = Log(store, settings)
        now = self.a_worker(store)
        for p in range(2):
            log.add(p, [], now)
        with store.write() as c:
            every = c.execute(select(t.Series.id).where(t.Series.name == "all")).scalar_one()
            c.execute(
                insert(t.Rollup).values(
                    bucket=now // BUCKET * BUCKET, series_id=every, kind=1, log_id=1, partition=0, model_id=0, total=60,
                    negative=0, neutral=40, positive=0, unscored=20, late=0,
                )
            )  # fmt: skip
        assert self.look(store, settings) == {"system:unscored": "firing"}

    def test_an_import_is_no_missing_tick(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for()
        Log(store, settings).add(0, [], T0)
        self.a_worker(store)
        leases.acquire(store, leases.progress_lease(settings.topic_documents), "produce-x", 60)
        assert self.look(store, settings) == {}

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
    log.add(1, [], T0 + 81 * day)
    assert drop_old(store, settings, lead(store), now_ms=T0 + 90 * day) == 0  # not sealed yet
    log.add(0, [], T0 + 81 * day)
    Sealer(store, settings).seal_ready(lead(store))
    assert drop_old(store, settings, lead(store), now_ms=T0 + 90 * day) > 0
    with store.read() as c:
        assert list(c.execute(select(t.Document.text)).scalars()) == ["new"]
        assert c.execute(select(func.count()).select_from(t.SeriesDocument)).scalar() == 1
        assert c.execute(select(func.sum(t.Rollup.total))).scalar() == 4
    assert isinstance(log.writer, Writer)
