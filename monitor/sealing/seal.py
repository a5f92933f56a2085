"""Sealing: once the watermark has passed a bucket, its counts are copied, copies told apart, the bucket is judged, and
never changed again.

Each step is one transaction that checks the leader's term and the place where sealing stands, so that a leader that was
frozen writes nothing when it wakes. What comes out depends on the log alone, not on how often or in how large steps
sealing ran.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from sqlalchemy import Connection

from barometer.buckets import Buckets
from barometer.errors import SettingsError, StaleWrite
from barometer.rules import RuleSet, load_rules
from barometer.settings import Settings
from barometer.store.alerts import evidence
from barometer.store.alerts.life_cycle import AlertChange, Finding, apply_finding
from barometer.store.engine import Store
from barometer.store.leases import Lease, check
from barometer.store.series import sealing as sql
from barometer.store.series.context import NegativeText
from barometer.store.series.sealing import Counts, Key
from barometer.store.stream.log_epochs import current_log
from barometer.store.stream.watermark import watermark
from barometer.vocabulary import stated_kind
from barometer.workdays import Sessions
from monitor.detection.detector import Detector
from monitor.detection.judge import STATE_VERSION, Judge, Judged, SurgeUpdate, stopped_after_ms
from monitor.detection.rebase import ratio_between
from monitor.detection.voices import count_voices
from monitor.explanation.explain import explain, matter_of, negatives

log = structlog.get_logger(__name__)

STEP = 100
"""Most buckets with records in one transaction."""
JUDGEMENTS = 4_000
"""About so many judgements in one transaction: some 0.5 s with buckets of 10 min, since workers wait meanwhile on
SQLite, and a lease must not run out."""
DOCUMENTS = 50_000
"""About so many documents are told apart in one transaction, for the same reason."""
WARM_UP_MS = 28 * 86_400_000
"""What a detector of a new version is taught before it takes over."""

OnChange = Callable[[Connection, AlertChange, int], None]


class Sealer:
    """Seals one store's topic. Keeps the detectors in memory while nobody else seals.

    Args:
        on_change: called inside the transaction for every change of an alert (the outbox).
        clock: dates what is done, in epoch milliseconds; nothing is judged by it.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        on_change: OnChange | None = None,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._clock = clock
        self._store, self._settings = store, settings
        self._buckets = Buckets(settings.bucket_seconds, settings.zone)
        self._on_change = on_change
        self._series: dict[int, Any] = {}
        self._ratios: dict[int, Any] = {}
        self._rules = _rules(settings)
        self._c: Connection | None = None
        """The transaction that is open, for what the judge asks."""
        self._judge = Judge(
            settings.bucket_seconds,
            settings.zone,
            settings.detector_open,
            judged=lambda series_id: bool(self._series[series_id].judged),
            different=self._different,
            rebase=lambda key, before, now: ratio_between(
                self._ratios, self._series[key[0]].name, stated_kind(key[1]), before, now
            ),
            is_day_off=Sessions.of(settings).is_closed,
        )
        self._stands_at: tuple[int, int] | None = None
        """(log, sealed_until) of the detectors in memory."""

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
        now = self._clock()
        before = self._stands_at
        self._stands_at = None  # whatever fails from here on, memory is read anew
        with self._store.write() as c:
            self._c = c
            check(self._store, c, lease)
            current = current_log(c, self._settings.topic_documents)
            if current is None:
                return 0, False
            limit = watermark(c, current, self._settings, now)
            oldest = sql.oldest_bucket(c)
            if limit is None or oldest is None:
                return 0, False
            limit = self._buckets.start_of(limit)
            state = sql.sealing_state(c, current.id)
            if state is None:
                begin = max(oldest, sql.furthest_sealed(c) or oldest)
                if limit <= begin:
                    return 0, False  # something older may still come
                sql.begin_sealing(c, current.id, begin, lease.term, now)
                state = sql.sealing_state(c, current.id)
            start = state.sealed_until
            self._series = sql.series_by_id(c)
            if before != (current.id, start):
                self._restore(c, start, now)
            if limit <= start:
                self._stands_at = (current.id, start)
                return 0, False
            self._ratios = sql.model_ratios(c)
            counts = sql.bucket_counts(c, sql.filled_buckets(c, start, limit, STEP))
            filled, end = self._extent(start, limit, counts, state.empty_since)
            empty_since = self._seal(c, lease, state, {b: counts[b] for b in filled}, end, now)
            if not sql.advance_sealing(c, current.id, start, end, empty_since, lease.term, now):
                raise StaleWrite("somebody else has sealed in the meantime")
        self._stands_at = (current.id, end)
        return len(filled), end < limit

    def _extent(
        self, start: int, limit: int, counts: Mapping[int, Mapping[Key, Counts]], empty_since: int | None
    ) -> tuple[list[int], int]:
        """How much of [start, limit) one transaction takes, at least a bucket: (buckets with records, its end)."""
        watched = self._judge.detectors.keys() | {key for keys in counts.values() for key in keys}
        most = max(1, JUDGEMENTS // max(1, len(watched)))
        silence = stopped_after_ms(self._buckets.width_ms)
        found = sorted(counts)
        if len(found) >= STEP:
            limit = self._buckets.end_of(found[-1])
        filled: list[int] = []
        at, stops = start, (start if empty_since is None else empty_since) + silence
        judged = documents = 0
        for bucket in [*found, limit]:
            while at < min(bucket, stops):
                if judged >= most:
                    return filled, at
                at = self._buckets.end_of(at)
                judged += 1
            at = bucket
            if bucket == limit or (filled and (judged >= most or documents >= DOCUMENTS)):
                return filled, at
            filled.append(bucket)
            at = self._buckets.end_of(bucket)
            stops = at + silence
            judged += 1
            documents += sum(n.total for n in counts[bucket].values())
        return filled, limit

    def _restore(self, c: Connection, sealed_until: int, now: int) -> None:
        """Read the detectors that belong to this place.

        Raises:
            StaleWrite: a series has been judged further than the topic was sealed.
        """
        states: dict[Key, Any] = {}
        others: list[Key] = []
        for key, row in sql.read_states(c).items():
            if row.last_bucket_end > sealed_until:
                raise StaleWrite(f"series {key} was judged until {row.last_bucket_end}, beyond {sealed_until}")
            if row.detector_version == STATE_VERSION:
                states[key] = row.state
                continue
            log.warning("detector of another version: learns anew", series=key, stored=row.detector_version)
            others.append(key)
        self._judge.restore(states.items())
        for key in others:
            past = sql.sealed_since(c, *key, sealed_until - WARM_UP_MS)
            if not self._judge.warm_up(key, past, self._buckets.end_of):
                self._apply(c, self._let_go(key, sealed_until), now)

    def _let_go(self, key: Key, at: int) -> Finding:
        """Ends what a detector of an older version may hold open."""
        return Finding(
            type="surge",
            fingerprint=self._series[key[0]].name,
            series_id=key[0],
            kind=key[1],
            firing=False,
            severity="info",
            bucket_start=at,
            bucket_end=at,
            summary=f"detector {Detector.VERSION} took over",
        )

    def _seal(
        self, c: Connection, lease: Lease, state: Any, counts: dict[int, dict[Key, Counts]], end: int, now: int
    ) -> int | None:
        """Judge [sealed_until, end) and write it; returns since when the topic is silent, if it is."""
        if counts:
            window = int(self._settings.copy_window_hours * 3_600_000)
            totals = [i for i, row in self._series.items() if row.name == "all"]
            count_voices(c, self._store, counts, self._buckets, window, totals)
            sql.forget_copies(c, max(counts) - window)
        rows: dict[tuple[int, int, int], dict[str, Any]] = {}
        at, empty_since = state.sealed_until, state.empty_since
        for bucket in [*counts, end]:
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
                    "series_id": key[0],
                    "kind": key[1],
                    "last_bucket_end": end,
                    "term": lease.term,
                    "detector_version": STATE_VERSION,
                    "state": self._judge.state(key),
                }
                for key in sorted(self._judge.detectors)
            ],
        )
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
        self,
        c: Connection,
        rows: dict[Any, Any],
        sealed: Judged,
        start: int,
        end: int,
        counts: Mapping[Key, Counts],
        now: int,
    ) -> None:
        for row in sealed.rows:
            rows[row["series_id"], row["kind"], row["start"]] = row
        for found in sealed.found:
            self._apply(c, self._finding(c, found, start, end, counts, rows), now)

    def _apply(self, c: Connection, finding: Finding, now: int) -> None:
        change = apply_finding(c, finding, now)
        if change is not None and self._on_change is not None:
            self._on_change(c, change, now)

    def _finding(
        self, c: Connection, f: SurgeUpdate, start: int, end: int, counts: Mapping[Key, Counts], rows: Mapping[Any, Any]
    ) -> Finding:
        """``rows``: sealed in this transaction and not written yet."""
        series_id, kind = f.key
        j = f.judgement
        series = self._series[series_id]
        window_ms = j.window_buckets * self._buckets.width_ms
        window = (end - window_ms, end)
        texts: list[dict[str, Any]] = []
        explanation: dict[str, Any] = {}
        read: list[NegativeText] | None = None
        if f.new_peak:
            texts = evidence.telling_texts(c, series_id, kind, *window)
        n = counts.get(f.key)
        whole = f.whole or window
        by_kind = sql.counts_by_kind(c, series_id, *whole, rows.values())
        if f.new_peak:
            read = negatives(c, series_id, whole, start)
            explanation = explain(c, series_id, whole, by_kind, self._rules, read)
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
            expected_negative=sum(k.expected_negative for k in by_kind),
            seen_negative=sum(k.negative for k in by_kind),
            seen_total=sum(k.total for k in by_kind),
            window_seconds=(whole[1] - whole[0]) // 1000,
            arm=j.arm,
            detector_version=Detector.VERSION,
            model_id=n.model_id if n is not None else None,
            parameters={**self._judge.parameters, "exchange": self._settings.exchange},
            explanation=explanation,
            evidence=texts,
            quiet=bool(series.trial) or f.severity == "info",
            matter=matter_of(c, series_id, kind, start, end, self._rules, read) if f.firing else None,
        )

    def _different(self, key: Key, start: int, end: int) -> int:
        assert self._c is not None
        return evidence.different_texts(self._c, *key, start, end)


def _rules(settings: Settings) -> RuleSet:
    """The rules, for the names of companies only: workers do the matching, and refuse a bad file."""
    try:
        return load_rules(settings.rules_file)
    except SettingsError as e:
        log.warning("rules_file_unread", so="alerts name companies by their symbols only", error=str(e))
        return RuleSet()


__all__ = ["AlertChange", "Sealer"]
