"""The worker's transaction: rows, counts and the offsets that they cover, or nothing.

Order inside the transaction: (1) the partitions' offsets are locked, in sorted order, and only if they stand where this
worker thinks they do; (2) identities decide who holds a (document, text) that several rows claim; (3) rows and counts;
(4) the offsets are moved. Nothing here depends on a clock except ``stored_at``, so the same log leaves the same rows.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from barometer.buckets import Buckets
from barometer.readable import around, readable
from barometer.records import DeadLetter, Document, Prediction, Progress
from barometer.rules import Match
from barometer.store.bulk import add_up, insert_rows
from barometer.store.engine import Store
from barometer.store.search.index import enqueue
from barometer.store.stream.identities import NO_MODEL, Claim, claim_identities, withdraw
from barometer.store.stream.months import Months
from barometer.store.stream.names import Names
from barometer.store.stream.offsets import NOWHERE, OffsetUpdate, hold_offsets, move_offsets
from barometer.store.tables import DeadLetter as DeadLetterRow
from barometer.store.tables import Document as DocumentRow
from barometer.store.tables import Prediction as PredictionRow
from barometer.store.tables import Rollup, RuleHit, SeriesDocument, SourceRollup

ALL = "all"
"""The series of every document; counted, never judged."""
HOUR_MS = 3_600_000
HIT_TEXT = 600
"""Characters of a text that a rule matched that its alert keeps."""


@dataclass(slots=True)
class Move:
    """How far a batch moves one partition."""

    partition: int
    expected: int | None
    """The stored next offset that the batch starts at; None where the partition has no row yet."""
    next_offset: int
    records: int
    tombstones: int = 0
    progress_records: int = 0
    progress: Progress | None = None
    """The one with the largest t in this batch."""
    last_observed_at: int | None = None
    high_water: int | None = None
    leader_epoch: int | None = None
    """Of the last record; None where the broker gives none."""


@dataclass(slots=True)
class Batch:
    """What one transaction writes. ``predictions``, ``langs`` and ``reasons`` run parallel to ``documents``; a
    prediction of None is an unscored document, its reason says why."""

    log_id: int
    model_id: int
    moves: list[Move]
    documents: list[Document]
    predictions: list[Prediction | None]
    langs: list[str]
    reasons: list[str | None]
    letters: list[DeadLetter]
    hits: list[tuple[Document, Match]] = field(default_factory=list)
    """Red-line rules that documents of the batch match."""


class Committed(NamedTuple):
    """What became of a batch's records."""

    documents: int
    repeats: int
    dead_letters: int
    late: int


class Scored(NamedTuple):
    """A document with what was said of it."""

    document: Document
    prediction: Prediction | None
    lang: str
    reason: str | None


class Writer:
    """Writes batches. Not safe to share between threads; one a worker.

    Args:
        store: where to.
        buckets: how rollups are cut.
    """

    def __init__(self, store: Store, buckets: Buckets) -> None:
        self._store = store
        self._buckets = buckets
        self._months = Months(store)
        self._names = Names(store)

    def commit(self, batch: Batch) -> Committed:
        """Write a batch in one transaction.

        Raises:
            StaleWrite: another worker has moved one of the partitions, or the log is no longer the current one.
                Nothing was written; read the store again.
            sqlalchemy.exc.DBAPIError: see :func:`barometer.store.engine.is_away`. Nothing was written.
        """
        sources = self._names.sources(d.source for d in batch.documents if d.source)
        topics = {t for p in batch.predictions if p for t in p.topics}
        series = self._names.series([ALL, *(f"topic:{t}" for t in topics)])
        self._months.ensure(d.observed_at for d in batch.documents)
        items = [
            Scored(d, p, lang, reason)
            for d, p, lang, reason in zip(batch.documents, batch.predictions, batch.langs, batch.reasons, strict=True)
        ]
        now = time.time_ns() // 1_000_000
        with self._store.write() as c:
            hold_offsets(c, self._store, batch.log_id, {m.partition: m.expected for m in batch.moves})
            kept, losers = claim_identities(c, self._store, items)
            rollups = _Rollups(self._buckets, batch.log_id)
            for claim in losers:
                withdraw(c, claim, rollups.subtract)
            self._documents(c, kept, sources, now)
            self._predictions(c, kept, batch.model_id)
            self._series(c, kept, series)
            enqueue(c, self._store, [(item.document.observed_at, item.document.row_id) for item in kept])
            for item in kept:
                rollups.add(item, batch.model_id, series)
            rollups.write(c, self._store)
            self._hits(c, batch.hits, kept)
            self._sources(c, batch, sources)
            self._letters(c, batch.letters, now)
            committed = self._move(c, batch, kept, losers, now)
        return committed

    def _move(self, c: Connection, batch: Batch, kept: list[Scored], losers: list[Claim], now: int) -> Committed:
        """Move the offsets and add the batch's outcomes to the partitions' counters; a document that lost its place is
        a repeat now."""
        stored = _by_partition(kept)
        late: dict[int, int] = defaultdict(int)
        letters: dict[int, int] = defaultdict(int)
        lost: dict[int, int] = defaultdict(int)
        lost_late: dict[int, int] = defaultdict(int)
        for item in kept:
            if item.document.late:
                late[_partition(item.document.row_id)] += 1
        for letter in batch.letters:
            letters[_partition(letter.row_id)] += 1
        seen = _by_partition(Scored(d, None, "", None) for d in batch.documents)
        for claim in losers:
            lost[_partition(claim.winner.row_id)] += 1
            lost_late[_partition(claim.winner.row_id)] += claim.late
        updates = []
        for move in sorted(batch.moves, key=lambda m: m.partition):
            p, tick = move.partition, move.progress
            documents = stored[p] - lost[p]
            updates.append(
                OffsetUpdate(
                    batch.log_id, p, NOWHERE if move.expected is None else move.expected, move.next_offset, now,
                    move.records, documents, seen[p] - documents, letters[p], move.tombstones, move.progress_records,
                    late[p] - lost_late[p], move.high_water, move.leader_epoch, move.last_observed_at,
                    *((tick.t, tick.writer, tick.term) if tick is not None else (None, None, None)),
                )
            )  # fmt: skip
        move_offsets(c, self._store, updates)
        total = len(kept) - len(losers)
        return Committed(total, len(batch.documents) - total, len(batch.letters), sum(late.values()))

    def _documents(self, c: Connection, kept: list[Scored], sources: dict[str, int], now: int) -> None:
        rows = []
        for d, p, lang, reason in kept:
            rows.append(
                (
                    d.observed_at, d.row_id, d.doc_key, d.text_hash, d.fingerprint, int(d.kind),
                    sources.get(d.source) if d.source else None, lang, p is not None, d.late, int(d.flags),
                    d.text, d.title, d.url, d.external_id, d.author_hash, d.published_at,
                    _json(d.symbols), _json(d.engagement), _json(self._extra(d)), reason, now,
                )
            )  # fmt: skip
        insert_rows(c, self._store, DocumentRow, rows)

    def _extra(self, d: Document) -> dict[str, Any] | None:
        """What the message had besides; the name of a source that has no row of its own is kept here."""
        if d.source and not self._names.has_source(d.source):
            return {**(d.extra or {}), "source": d.source}
        return d.extra

    def _predictions(self, c: Connection, kept: list[Scored], model_id: int) -> None:
        rows = [
            (
                d.observed_at,
                d.row_id,
                model_id,
                int(p.sentiment),
                p.p_negative,
                p.p_neutral,
                p.p_positive,
                _json(p.topics) or "{}",
            )
            for d, p, _, _ in kept
            if p is not None
        ]
        insert_rows(c, self._store, PredictionRow, rows)

    def _series(self, c: Connection, kept: list[Scored], series: dict[str, int]) -> None:
        rows = [
            (
                series[f"topic:{t}"],
                d.observed_at,
                d.row_id,
                int(d.kind),
                int(p.sentiment),
                p.p_negative,
                d.fingerprint,
                d.late,
            )
            for d, p, _, _ in kept
            if p is not None
            for t in p.topics
        ]
        insert_rows(c, self._store, SeriesDocument, rows)

    def _hits(self, c: Connection, hits: list[tuple[Document, Match]], kept: list[Scored]) -> None:
        if not hits:
            return
        new = {item.document.row_id for item in kept}
        rows = [
            (
                d.row_id, m.rule.name, d.observed_at, m.series, int(d.kind), m.rule.severity, m.rule.level,
                m.rule.quiet, _json(list(m.words)) or "[]", m.company, m.tier, d.fingerprint,
                around(readable(d.text), m.words, HIT_TEXT),
                d.title, d.url, d.source, _json(m.rule.title.model_dump()), _json(list(m.about)) or "[]", None,
            )
            for d, m in hits
            if d.row_id in new
        ]  # fmt: skip
        insert_rows(c, self._store, RuleHit, rows)

    def _sources(self, c: Connection, batch: Batch, sources: dict[str, int]) -> None:
        """Every valid record counts for its source, repeats too: this says who is talking, not what was said."""
        totals: dict[tuple[int, int, int], list[int]] = {}
        for d in batch.documents:
            if d.source and d.source in sources:
                entry = totals.setdefault(
                    (sources[d.source], d.observed_at - d.observed_at % HOUR_MS, _partition(d.row_id)), [0, 0]
                )
                entry[0] += 1
                entry[1] = max(entry[1], d.observed_at)
        rows = [(s, h, batch.log_id, p, n, last) for (s, h, p), (n, last) in sorted(totals.items())]
        add_up(c, self._store, SourceRollup, rows, greatest=("last_observed_at",))

    def _letters(self, c: Connection, letters: list[DeadLetter], now: int) -> None:
        rows = [
            (
                x.row_id, x.record_timestamp, str(x.reason), x.detail,
                _json([[k, b64encode(v or b"").decode()] for k, v in x.headers]) or "[]",
                x.key, x.value, x.value_length, x.value_sha256, x.replay_of, now, None, None, 0,
            )
            for x in letters
        ]  # fmt: skip
        insert_rows(c, self._store, DeadLetterRow, rows)


class _Rollups:
    """Counts of one batch, added up before they are written."""

    def __init__(self, buckets: Buckets, log_id: int) -> None:
        self._buckets, self._log = buckets, log_id
        self._counts: dict[tuple[int, int, int, int, int], list[int]] = {}

    def _bump(
        self, bucket: int, series_id: int, kind: int, partition: int, model_id: int, column: int, by: int
    ) -> None:
        counts = self._counts.setdefault((bucket, series_id, kind, partition, model_id), [0, 0, 0, 0, 0, 0])
        counts[column] += by
        if column != 5:
            counts[0] += by

    def add(self, item: Scored, model_id: int, series: dict[str, int]) -> None:
        d, p = item.document, item.prediction
        column = 5 if d.late else 4 if p is None else 1 + int(p.sentiment)
        bucket, partition = self._buckets.start_of(d.observed_at), _partition(d.row_id)
        names = [ALL, *(f"topic:{t}" for t in p.topics)] if p is not None else [ALL]
        model = NO_MODEL if p is None else model_id
        for name in names:
            self._bump(bucket, series[name], int(d.kind), partition, model, column, 1)

    def subtract(self, claim: Claim, series_ids: Iterable[int], model_id: int, sentiment: int | None) -> None:
        """Take back what a document counted that lost its place, in the winner's own rows of the table."""
        column = 5 if claim.late else 4 if sentiment is None else 1 + sentiment
        bucket, partition = self._buckets.start_of(claim.observed_at), _partition(claim.winner.row_id)
        for series_id in series_ids:
            self._bump(bucket, series_id, claim.kind, partition, model_id, column, -1)

    def write(self, c: Connection, store: Store) -> None:
        rows = [(b, s, k, self._log, p, m, *n) for (b, s, k, p, m), n in sorted(self._counts.items())]
        add_up(c, store, Rollup, rows)


def _partition(row_id: int) -> int:
    return (row_id >> 40) & 0xFFF


def _by_partition(items: Iterable[Scored]) -> dict[int, int]:
    out: dict[int, int] = defaultdict(int)
    for item in items:
        out[_partition(item.document.row_id)] += 1
    return out


def _json(value: Any) -> str | None:
    return orjson.dumps(value).decode() if value else None
