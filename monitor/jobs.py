"""Jobs that only the leader runs: each under the lease, each run kept in the table ``jobs``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from kafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from barometer.broker.errors import BrokerError
from barometer.errors import BarometerError, StaleWrite
from barometer.store.engine import Store, is_away
from barometer.store.health.jobs import JobRun, record_run
from barometer.store.leases import Lease
from monitor import metrics

log = structlog.get_logger(__name__)

KEEP_SECONDS = 10.0
"""A job that goes well is written down at most so often."""


@dataclass(slots=True)
class PeriodicJob:
    """One thing to do every so many seconds, while leading."""

    name: str
    seconds: float
    run: Callable[[Lease], object]


class Runner:
    """Runs jobs, keeps their outcomes, and lets none of them end the process.

    Args:
        lease: says what lease is held now, if any.
        lost: called when a job finds that the lease is gone.
    """

    def __init__(self, store: Store, lease: Callable[[], Lease | None], lost: Callable[[], None]) -> None:
        self._store, self._lease, self._lost = store, lease, lost
        self._kept: dict[str, tuple[float, bool]] = {}
        self._said: dict[str, str] = {}
        """The last failure of each job that fails: it is logged once."""
        self._lock = threading.Lock()

    def __call__(self, job: PeriodicJob) -> None:
        lease = self._lease()
        if lease is None:
            return
        started = time.time_ns() // 1_000_000
        begin = time.perf_counter()
        message: str | None = None
        try:
            job.run(lease)
        except StaleWrite as e:
            log.warning("no longer leading", job=job.name, reason=str(e))
            self._lost()
            return
        except (DBAPIError, KafkaError, BarometerError, OSError) as e:
            message = _first_line(e)
            if isinstance(e, BrokerError):
                message = f"{e.state}: {message}"  # the state says which alarm it is
            away = isinstance(e, KafkaError | BrokerError) or is_away(e)
            say = log.debug if self._said.get(job.name) == message else log.warning
            say("job could not be done", job=job.name, error=message, away=away)
        except Exception as e:  # a defect in one job must not stop the others; it is shown and counted
            message = f"{type(e).__name__}: {_first_line(e)}"
            log.exception("job failed", job=job.name)
        if message is None:
            self._said.pop(job.name, None)
        else:
            self._said[job.name] = message
        metrics.JOB_SECONDS.labels(job.name).observe(time.perf_counter() - begin)
        if message is not None:
            metrics.JOB_FAILURES.labels(job.name).inc()
        self._keep(job.name, started, message)

    def _keep(self, name: str, started: int, message: str | None) -> None:
        ok = message is None
        with self._lock:
            last = self._kept.get(name)
            if last is not None and last[1] == ok and time.monotonic() - last[0] < KEEP_SECONDS:
                return
            self._kept[name] = (time.monotonic(), ok)
        finished = time.time_ns() // 1_000_000
        try:
            record_run(self._store, JobRun(name, started, finished, ok, message))
        except DBAPIError as e:
            if not is_away(e):
                raise


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
