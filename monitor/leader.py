"""The monitor's process: of all replicas one leads, by a lease in the database; the others stand by.

APScheduler only triggers. What a job does is safe to do at any time and by anybody who holds the lease: each of its
transactions checks the term.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from barometer.broker.clients import check_access
from barometer.metrics import serve
from barometer.settings import Settings
from barometer.store import leases
from barometer.store.alerts.life_cycle import AlertChange
from barometer.store.engine import Store, is_away
from barometer.store.health.processes import heartbeat
from barometer.store.leases import Lease
from barometer.store.retention import drop_old
from barometer.store.search.index import index_waiting
from barometer.store.series.downsampling import fold
from barometer.store.stuck_sessions import end_frozen_sessions
from barometer.store.waiting import say_away
from monitor import metrics
from monitor.alarms.channel_health import notify_conditions
from monitor.alarms.checks import Alarms
from monitor.alarms.dead_mans_switch import Heartbeat
from monitor.jobs import PeriodicJob, Runner
from monitor.notify.outbox.enqueue import enqueue
from monitor.notify.outbox.reminders import repeat_due
from monitor.notify.outbox.sender_pool import SenderPool
from monitor.notify.outbox.sending import send_due
from monitor.notify.reload import WatchedNotifyFile
from monitor.rules.redlines import raise_hits
from monitor.sealing.progress import ProgressTicker
from monitor.sealing.seal import Sealer

log = structlog.get_logger(__name__)

BEAT_SECONDS = 3.0
HEALTHY_SECONDS = 120.0
"""More than a database that vanished without a word can hold up a heartbeat."""
RETENTION_SECONDS = 3_600.0
SEARCH_SECONDS = 2.0
FOLD_SECONDS = 60.0
ALARM_SECONDS = 10.0
RULE_SECONDS = 2.0
SEND_SECONDS = 2.0
REMIND_SECONDS = 15.0

ExtraJob = tuple[str, float, Callable[[Lease], object]]


def run_monitor(
    settings: Settings,
    store: Store,
    stop: threading.Event,
    extra_jobs: Sequence[ExtraJob] = (),
) -> None:
    """Stand by, lead when it is our turn, until ``stop`` is set.

    Args:
        extra_jobs: (name, every so many seconds, what to do under the lease): what the monitor must not import itself.

    Raises:
        SettingsError: the metrics port is taken; the file of receivers is wrong, or an option for Kafka.
    """
    check_access(settings)
    Monitor(settings, store, stop, extra_jobs).run()


class Monitor:
    """One replica; see :func:`run_monitor`."""

    def __init__(
        self, settings: Settings, store: Store, stop: threading.Event, extra_jobs: Sequence[ExtraJob] = ()
    ) -> None:
        self._settings, self._store, self._stop = settings, store, stop
        self.id = f"monitor-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._lease: Lease | None = None
        self._renewed_at = 0.0
        self._beat_at = time.monotonic()
        self._database = "unknown"
        self._notify = WatchedNotifyFile(settings)
        self._pool = SenderPool()
        self._sealer = Sealer(store, settings, self._enqueue)
        self._ticker = ProgressTicker(settings, store, self.id)
        self._alarms = Alarms(
            store, settings, self._enqueue, more=lambda c, now: notify_conditions(c, self._notify, now)
        )
        self._runner = Runner(store, self.lease, self._give_up)
        self._jobs = [
            PeriodicJob("seal", settings.tick_seconds, self._seal),
            PeriodicJob("alarms", ALARM_SECONDS, self._alarms.check),
            PeriodicJob("rules", RULE_SECONDS, self._red_lines),
            PeriodicJob("outbox", SEND_SECONDS, self._send),
            PeriodicJob("reminders", REMIND_SECONDS, self._remind),
            PeriodicJob("search", SEARCH_SECONDS, lambda lease: index_waiting(store, lease, stopped=stop.is_set)),
            PeriodicJob("fold", FOLD_SECONDS, lambda lease: fold(store, settings, lease)),
            PeriodicJob("retention", RETENTION_SECONDS, lambda lease: drop_old(store, settings, lease)),
            *(PeriodicJob(*extra) for extra in extra_jobs),
        ]
        if settings.heartbeat_url:
            self._jobs.append(PeriodicJob("heartbeat", settings.heartbeat_seconds, Heartbeat(store, settings).beat))
        if settings.progress_from == "records":
            self._jobs.insert(0, PeriodicJob("progress", settings.progress_interval_seconds, self._tick))

    def lease(self) -> Lease | None:
        """The lease, if it is held and was renewed lately by our own clock too."""
        lease = self._lease
        if lease is None or time.monotonic() - self._renewed_at > self._settings.lease_seconds:
            return None
        return lease

    def run(self) -> None:
        server = serve(self._settings.metrics_host, self._settings.metrics_port_monitor, self._health)
        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(len(self._jobs) + 2)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        scheduler.add_job(self._renew, "interval", seconds=max(0.5, self._settings.lease_seconds / 4))
        scheduler.add_job(self._beat, "interval", seconds=BEAT_SECONDS)
        for job in self._jobs:
            scheduler.add_job(
                self._runner, "interval", seconds=job.seconds, args=[job], id=job.name, next_run_time=datetime.now(UTC)
            )
        self._renew()
        self._beat()
        scheduler.start()
        log.info("monitor starts", id=self.id)
        try:
            while not self._stop.wait(0.5):
                pass
        finally:
            scheduler.shutdown(wait=True)
            self._ticker.close()
            self._pool.close()
            self._release()
            server.shutdown()

    def _renew(self) -> None:
        began = time.monotonic()
        try:
            lease = leases.acquire(self._store, leases.LEADER, self.id, self._settings.lease_seconds)
        except DBAPIError as e:
            if is_away(e) or "UNIQUE" in str(e).upper():
                return  # away, or two were first at once: next time
            raise
        if lease is not None and (self._lease is None or lease.term != self._lease.term):
            log.info("leading", term=lease.term)
        elif lease is None and self._lease is not None:
            log.warning("somebody else leads now")
        self._lease, self._renewed_at = lease, began
        metrics.LEADING.set(lease is not None)
        if lease is not None:
            metrics.TERM.set(lease.term)

    def _give_up(self) -> None:
        self._lease = None
        metrics.LEADING.set(0)

    def _release(self) -> None:
        lease, self._lease = self._lease, None
        try:
            if lease is not None:
                leases.release(self._store, lease)
            heartbeat(self._store, self.id, "monitor", "stopped", {})
        except DBAPIError as e:
            if not is_away(e):
                raise

    def _beat(self) -> None:
        state = "leading" if self.lease() is not None else "standing by"
        try:
            heartbeat(self._store, self.id, "monitor", state, {"term": self._lease.term if self._lease else None})
            end_frozen_sessions(self._store)
            self._database = "there"
        except DBAPIError as e:
            if not is_away(e):
                raise
            state = say_away(e)
            self._database = state.removeprefix("database ")
        self._beat_at = time.monotonic()

    def _seal(self, lease: Lease) -> None:
        metrics.SEALED.inc(self._sealer.seal_ready(lease))

    def _red_lines(self, lease: Lease) -> None:
        s = self._settings
        hold = int(s.rule_hold_hours * 3_600_000)
        raise_hits(self._store, lease, self._enqueue, int(s.copy_window_hours * 3_600_000), hold, self._now_ms())

    def _tick(self, _lease: Lease) -> None:
        self._ticker.tick()

    def _enqueue(self, c: Connection, change: AlertChange, now_ms: int) -> None:
        """In the transaction that changed an alert: write what people have to be told."""
        if change.reason is not None:
            metrics.ALERT_CHANGES.labels(change.reason).inc()
        enqueue(c, change, self._notify.current(), now_ms)

    def _now_ms(self) -> int:
        """The database's clock, by which alerts and silences are dated too."""
        with self._store.read() as c:
            return self._store.now_ms(c)

    def _send(self, lease: Lease) -> None:
        config, now = self._notify.current(), self._now_ms()
        send_due(self._store, lease, config, now, leading=lambda: self.lease() is not None, pool=self._pool)

    def _remind(self, lease: Lease) -> None:
        repeat_due(self._store, lease, self._notify.current(), self._now_ms())

    def _health(self) -> tuple[bool, dict[str, Any]]:
        """Waiting for a database is healthy: a restart would not bring it back."""
        age = time.monotonic() - self._beat_at
        said = {"role": "monitor", "leading": self.lease() is not None, "database": self._database}
        return age < HEALTHY_SECONDS, {**said, "beat_seconds_ago": round(age, 1)}
