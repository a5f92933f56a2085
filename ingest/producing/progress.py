"""Progress records of an import: the lease to write them, and when.

An importer sends its rows in time order. When the time of the next row is at or past the end of the bucket that the
rows so far reached, everything sent so far is waited for, and ``t = time of that row + lateness`` goes into every
partition: nothing older than that row follows, which closes all buckets before it. The end is in :meth:`finish`.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError

from barometer.buckets import Buckets
from barometer.errors import BarometerError
from barometer.progress import progress_record
from barometer.store.engine import Store, is_away
from barometer.store.leases import Lease, acquire, holder_of, progress_lease, release
from ingest.messages.limits import AHEAD_MS
from ingest.producing.sender import Sender

log = structlog.get_logger(__name__)

WAIT_SECONDS = 60.0
"""So long another importer is waited for; the leader gives the lease back after each of its records."""
_POLL_SECONDS = 0.1


class ProgressLease:
    """Holds ``progress:<topic>``, renewed by a thread, between entering and leaving the context.

    Args:
        seconds: life of the lease; renewed three times in it.
        wait_seconds: how long to wait for another holder.

    Raises:
        BarometerError: somebody else held it all the while; names the holder.
    """

    def __init__(self, store: Store, topic: str, seconds: float, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._store, self._name, self._seconds, self._wait = store, progress_lease(topic), seconds, wait_seconds
        self.holder = f"produce@{socket.gethostname()}:{os.getpid()}:{threading.get_ident() & 0xFFFF:x}"
        self._lease: Lease | None = None
        self._valid_until = 0.0
        self._lost: str | None = None
        self._renewing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_in_time, name="progress-lease", daemon=True)

    @property
    def term(self) -> int:
        """The lease's term. Raises BarometerError if the lease is no longer ours."""
        self.check()
        assert self._lease is not None
        return self._lease.term

    def __enter__(self) -> ProgressLease:
        deadline = time.monotonic() + self._wait
        while not self._try():
            if time.monotonic() >= deadline:
                other = holder_of(self._store, self._name)
                who = other.holder if other else "another process"
                raise BarometerError(f"{who} writes progress into this topic ({self._name}); wait until it is done")
            time.sleep(_POLL_SECONDS)
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        if self._lease is not None and self._lost is None:
            try:
                release(self._store, self._lease)
            except DBAPIError as e:  # it runs out by itself
                log.warning("lease not given back", lease=self._name, error=str(e.orig))

    def check(self) -> None:
        """Make sure, just before a progress record, that nobody else may be writing them.

        Raises:
            BarometerError: somebody else took the lease while this process could not renew it.
        """
        if time.monotonic() >= self._valid_until and self._lost is None and not self._try():
            self._lost = self._lost or "it could not be renewed in time"
        if self._lost is not None:
            raise BarometerError(
                f"the lease {self._name} is lost ({self._lost}): what follows would be late. Stopped before it"
            )

    def _try(self) -> bool:
        with self._renewing:
            asked = time.monotonic()
            try:
                lease = acquire(self._store, self._name, self.holder, self._seconds)
            except IntegrityError:  # two first takers raced
                return False
            except DBAPIError as e:
                if not is_away(e):
                    raise
                return False
            if lease is None:
                if self._lease is not None:
                    self._lost = "somebody else holds it"
                return False
            # Where it ran out and we took it again, the term grew by one; by more if anybody had it in between.
            if self._lease is not None and lease.term > self._lease.term + 1:
                self._lost = "somebody else has held it meanwhile"
                release(self._store, lease)
                return False
            self._lease, self._valid_until = lease, asked + self._seconds
            return True

    def _renew_in_time(self) -> None:
        while not self._stop.wait(self._seconds / 3):
            if self._lost is None and not self._try() and self._lost is None:
                log.warning("lease not renewed", lease=self._name)


class ProgressWriter:
    """Writes progress as an import passes buckets' ends.

    Args:
        sender: the import's own: order in a partition holds within one producer only.
        min_time_ms: rows before it are dead letters and move nothing; nor do rows more than an hour ahead.
    """

    def __init__(
        self,
        sender: Sender,
        lease: ProgressLease,
        buckets: Buckets,
        lateness_ms: int,
        min_time_ms: int,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._sender, self._lease, self._buckets = sender, lease, buckets
        self._lateness_ms, self._min_time_ms, self._now_ms = lateness_ms, min_time_ms, now_ms
        self._last: int | None = None
        self._end = 0
        self.records = 0
        """Progress records written, all partitions together."""

    def before(self, time_ms: int) -> None:
        """Call before a row of this time is sent; times never go back.

        Raises:
            BarometerError: the lease was lost, or something sent before did not get into the log.
        """
        if not self._min_time_ms <= time_ms <= self._now_ms() + AHEAD_MS:
            return
        if self._last is not None and time_ms >= self._end:
            self._write(time_ms + self._lateness_ms)
        if self._last is None or time_ms >= self._end:
            self._end = self._buckets.end_of(self._buckets.start_of(time_ms))
        self._last = time_ms

    def finish(self) -> None:
        """After the last row: closes its bucket, but promises nothing beyond the present, where a live stream may go
        on in the same bucket. Returns when it is in the log."""
        if self._last is not None:
            self._write(min(self._end + self._lateness_ms, max(self._now_ms(), self._last + self._lateness_ms)))
            self._sender.flush()

    def _write(self, t: int) -> None:
        self._sender.flush()  # may take long, so the lease is looked at after it
        term = self._lease.term
        headers, value = progress_record(t, self._lease.holder, term)
        # The record's own time says nothing; t may be ahead of the clock, which some brokers refuse.
        self.records += self._sender.broadcast(min(t, self._now_ms()), value, headers, where=f"progress {t}")
