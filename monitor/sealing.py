"""Sealing: what the watermark has passed is copied, counted for copies, judged, and never touched again.

Each step is one transaction that checks the leader's term and the place where sealing stands, so that a leader that was
frozen writes nothing when it wakes. What comes out depends on the log alone, not on how often or in how large steps
sealing ran.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection

from barometer.buckets import Buckets
from barometer.errors import StaleWrite
from barometer.settings import Settings
from barometer.store import sealing as sql
from barometer.store.alerts import AlertChange, Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.leases import Lease, check
from barometer.store.logs import current_log
from barometer.store.watermark import watermark
from monitor.detector import Detector
from monitor.judge import Found, Judge, Sealed, stopped_after_ms

log = structlog.get_logger(__name__)

STEP = 100
"""Most buckets in one transaction."""


class Sealer:
    """Seals one store's topic. Keeps the detectors in memory while nobody else seals.

    Args:
        on_change: called inside the transaction for every change of an alert (the outbox).
    """

    def __init__(self, store: Store, settings: Settings, on_change: Any = None) -> None:
        self._store, self._settings = store, settings
        self._buckets = Buckets(settings.bucket_seconds, settings.zone)
        self._on_change = on_change
        self._series: dict[int, Any] = {}
        self._judge = self._new_judge()
        self._stands_at: tuple[int, int] | None = None
        """(log, sealed_until) that the detectors in memory belong to."""

    def _new_judge(self) -> Judge:
        offset = datetime.now(self._settings.zone).utcoffset()
        seconds = int(offset.total_seconds()) if offset else 0
        return Judge(self._settings.bucket_seconds, seconds, self._settings.detector_open, self._is_judged)

    def _is_judged(self, series_id: int) -> bool:
        return bool(self._series[series_id].judged)

    def seal_ready(self, lease: Lease) -> int:
        """Seal all that the watermark has passed; returns the number of buckets with records.

        Raises:
            StaleWrite: the lease is gone, or somebody else has sealed in the meantime. Nothing half-written.
        """
        sealed = 0
        while True:
            done, more = self._step(lease)
            sealed += done
            if not more:
                return sealed

    def _step(self, lease: Lease) -> tuple[int, bool]:
        """One transaction; (buckets with records, whether there may be more)."""
        now = time.time_ns() // 1_000_000
        before = self._stands_at
        self._stands_at = None  # whatever fails from here on, memory is read anew
        with self._store.write() as c:
            check(self._store, c, lease)
            current = current_log(c, self._settings.topic_documents)
            if current is None:
                return 0, False
            limit = watermark(c, current, self._settings, now)
            oldest = sql.oldest_bucket(c)
            if limit is None or oldest is None:
                return 0, False
            state = sql.sealing_state(c, current.id)
            if state is None:
                sql.begin_sealing(c, current.id, self._start(c, oldest), lease.term, now)
                state = sql.sealing_state(c, current.id)
            self._series = sql.series_by_id(c)
            if before != (current.id, state.sealed_until):
                self._restore(c)
            end = self._last_end(state.sealed_until, limit)
            if end <= state.sealed_until:
                self._stands_at = (current.id, state.sealed_until)
                return 0, False
            filled = sql.filled_buckets(c, state.sealed_until, end, STEP)
            if len(filled) == STEP:
                end = self._buckets.end_of(filled[-1])
            empty_since = self._seal(c, lease, state, filled, end, now)
            if not sql.advance_sealing(c, current.id, state.sealed_until, end, empty_since, lease.term, now):
                raise StaleWrite("somebody else has sealed in the meantime")
        self._stands_at = (current.id, end)
        return len(filled), len(filled) == STEP

    def _start(self, c: Connection, oldest: int) -> int:
        """Where sealing begins: the oldest bucket, or where the topic's last life was sealed to."""
        from barometer.store.queries import sealed_until

        return max(oldest, sealed_until(c) or oldest)

    def _last_end(self, start: int, limit: int) -> int:
        """End of the last bucket that ``limit`` has passed."""
        return max(start, self._buckets.start_of(limit)) if limit > start else start

    def _restore(self, c: Connection) -> None:
        states = {}
        for key, row in sql.read_states(c).items():
            if row.detector_version != Detector.VERSION:
                log.warning("detector of another version: begins anew", series=key, stored=row.detector_version)
                continue
            states[key] = row.state
        self._judge.restore(states.items())

    def _seal(self, c: Connection, lease: Lease, state: Any, filled: list[int], end: int, now: int) -> int | None:
        """Judge [sealed_until, end) and write it; returns since when the topic is silent, if it is."""
        counts = sql.bucket_counts(c, filled)
        self._count_voices(c, filled, counts)
        rows: dict[tuple[int, int, int], dict[str, Any]] = {}
        at, empty_since = state.sealed_until, state.empty_since
        for bucket in [*filled, end]:
            empty_since = self._silence(c, rows, at, bucket, empty_since, now)
            if bucket == end:
                break
            at = self._buckets.end_of(bucket)
            empty_since = None
            self._keep(c, rows, self._judge.bucket(bucket, at, counts[bucket]), bucket, at, counts[bucket], now)
        sql.write_sealed(c, self._store, [{**r, "term": lease.term} for r in rows.values()])
        sql.write_states(
            c,
            self._store,
            [
                {
                    "series_id": key[0], "kind": key[1], "last_bucket_end": end, "term": lease.term,
                    "detector_version": Detector.VERSION, "state": self._judge.state(key),
                }
                for key in sorted(self._judge.watched)
            ],
        )  # fmt: skip
        return empty_since

    def _silence(
        self, c: Connection, rows: dict[Any, Any], start: int, end: int, empty_since: int | None, now: int
    ) -> int | None:
        """Buckets of [start, end) in which the whole topic had nothing."""
        if start >= end:
            return empty_since
        if empty_since is None:
            empty_since = start
        stopped = empty_since + stopped_after_ms(self._buckets.width_ms)
        while start < end and start < stopped:
            bucket_end = self._buckets.end_of(start)
            self._keep(c, rows, self._judge.bucket(start, bucket_end, {}), start, bucket_end, {}, now)
            start = bucket_end
        if start < end:
            self._keep(c, rows, self._judge.skip(start, end), start, end, {}, now)
        return empty_since

    def _keep(
        self, c: Connection, rows: dict[Any, Any], sealed: Sealed, start: int, end: int, counts: Any, now: int
    ) -> None:
        for row in sealed.rows:
            rows[row["series_id"], row["kind"], row["start"]] = row
        for found in sealed.found:
            change = apply_finding(c, self._finding(c, found, start, end, counts), now)
            if change is not None and self._on_change is not None:
                self._on_change(c, change, now)

    def _finding(self, c: Connection, f: Found, start: int, end: int, counts: Any) -> Finding:
        series_id, kind = f.key
        j = f.judgement
        series = self._series[series_id]
        window_ms = j.window_buckets * self._buckets.width_ms
        evidence: list[dict[str, Any]] = []
        explanation: dict[str, Any] = {}
        if f.new_peak:
            evidence = sql.telling_texts(c, series_id, kind, end - window_ms, end)
            explanation = {
                "kind": kind,
                "window": [end - window_ms, end],
                "independent_negative": len({e["row_id"] for e in evidence}),
                "copies": sum(e["copies"] - 1 for e in evidence),
                "sources": sql.top_sources(c, series_id, kind, end - window_ms, end),
                "expected_share": round(j.expected_share, 4),
            }
        n = counts.get(f.key)
        return Finding(
            type="surge",
            fingerprint=series.name,
            firing=f.firing,
            severity=f.severity,
            bucket_start=f.started_at if f.firing else start,
            bucket_end=end,
            series_id=series_id,
            kind=kind,
            score=j.score if f.new_peak else 0.0,
            expected_negative=j.window_expected_negative,
            seen_negative=round(j.window_seen_negative),
            seen_total=round(j.window_seen_total),
            window_seconds=window_ms // 1000,
            arm=j.arm,
            detector_version=Detector.VERSION,
            model_id=n.model_id if n is not None else None,
            parameters=self._judge.parameters,
            explanation=explanation,
            evidence=evidence,
            quiet=bool(series.trial) or f.severity == "info",
        )

    def _count_voices(self, c: Connection, filled: list[int], counts: Any) -> None:
        """Tell voices from copies: a text is a copy if its like was seen in the series within the copy window."""
        if not filled:
            return
        every = next((i for i, s in self._series.items() if s.name == "all"), None)
        heard = sql.voices(c, filled[0], self._buckets.end_of(filled[-1]), every)
        known = sql.known_copies(c, {(v.series_id, v.fingerprint) for v in heard})
        window = int(self._settings.copy_window_hours * 3_600_000)
        seen: dict[tuple[int, int], tuple[int, int]] = {}
        for v in heard:
            key = (v.series_id, v.fingerprint)
            last = seen.get(key) or known.get(key)
            copy = last is not None and v.observed_at - last[0] <= window
            seen[key] = (v.observed_at, last[1] + 1 if copy and last else 1)
            if copy:
                continue
            n = counts[self._buckets.start_of(v.observed_at)].get((v.series_id, v.kind))
            if n is not None:
                n.independent += 1
                n.independent_negative += v.sentiment == 0
        sql.remember_copies(c, self._store, seen, filled[-1] - window)


__all__ = ["AlertChange", "Sealer"]
