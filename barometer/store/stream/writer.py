"""The worker's transaction: rows, counts and the offsets that they cover, or nothing.

Order inside the transaction: (1) the partitions' offsets are locked, in sorted order, and only if they stand where this
worker thinks they do; (2) identities decide who holds a (document, text) that several rows claim; (3) rows and counts;
(4) the offsets are moved. Nothing here depends on a clock except ``stored_at``, so the same log leaves the same rows.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence

import orjson
from sqlalchemy import Connection

from barometer.buckets import Buckets
from barometer.readable import around, readable
from barometer.records import DeadLetter, Document, partition_of
from barometer.rules import Match
from barometer.store.bulk import Columns, add_up, insert_rows, rows_of
from barometer.store.engine import Store
from barometer.store.month_partitions import Months
from barometer.store.search.index import enqueue
from barometer.store.stream.batch import ALL, Batch, Committed, ScoredDocument
from barometer.store.stream.identities import DisplacedDocument, claim_identities, withdraw_document
from barometer.store.stream.names import Names
from barometer.store.stream.offsets import NOWHERE, OffsetUpdate, hold_offsets, move_offsets
from barometer.store.stream.rollups import RollupCounts, series_of
from barometer.store.tables import DeadLetter as DeadLetterRow
from barometer.store.tables import Document as DocumentRow
from barometer.store.tables import Prediction as PredictionRow
from barometer.store.tables import RuleHit, SeriesDocument, SourceRollup

HOUR_MS = 3_600_000
HIT_TEXT = 600
"""Characters of a text that a rule matched that its alert keeps."""


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
        items = list(batch.scored())
        source_ids = self._names.sources(d.source for d in batch.documents if d.source)
        series_ids = self._names.series({ALL, *(name for item in items for name in series_of(item))})
        self._months.ensure(d.observed_at for d in batch.documents)
        now = time.time_ns() // 1_000_000
        with self._store.write() as c:
            hold_offsets(c, self._store, batch.log_id, {m.partition: m.expected for m in batch.moves})
            kept, displaced = claim_identities(c, self._store, items)
            rollups = RollupCounts(self._buckets, batch.log_id)
            for each in displaced:
                counted = withdraw_document(c, each)
                if counted is not None:
                    rollups.subtract(each, counted)
            self._documents(c, kept, source_ids, now)
            self._predictions(c, kept, batch.model_id)
            self._memberships(c, kept, series_ids)
            enqueue(c, self._store, [(item.document.observed_at, item.document.row_id) for item in kept])
            for item in kept:
                rollups.add(item, batch.model_id, series_ids)
            rollups.write(c, self._store)
            self._hits(c, batch.hits, kept)
            self._sources(c, batch, source_ids)
            self._letters(c, batch.letters, now)
            return self._move(c, batch, kept, displaced, now)

    def _documents(self, c: Connection, kept: Sequence[ScoredDocument], source_ids: dict[str, int], now: int) -> None:
        documents = [item.document for item in kept]
        columns: Columns = {
            "observed_at": [d.observed_at for d in documents],
            "row_id": [d.row_id for d in documents],
            "doc_key": [d.doc_key for d in documents],
            "text_hash": [d.text_hash for d in documents],
            "fingerprint": [d.fingerprint for d in documents],
            "kind": [int(d.kind) for d in documents],
            "source_id": [source_ids.get(d.source) if d.source else None for d in documents],
            "lang": [item.lang for item in kept],
            "scored": [item.prediction is not None for item in kept],
            "late": [d.late for d in documents],
            "flags": [int(d.flags) for d in documents],
            "text": [d.text for d in documents],
            "title": [d.title for d in documents],
            "url": [d.url for d in documents],
            "external_id": [d.external_id for d in documents],
            "author_hash": [d.author_hash for d in documents],
            "published_at": [d.published_at for d in documents],
            "symbols": [_json(d.symbols) for d in documents],
            "engagement": [_json(d.engagement) for d in documents],
            "extra": [_json(self._extra(d)) for d in documents],
            "unscored_reason": [item.reason for item in kept],
            "stored_at": [now] * len(kept),
        }
        insert_rows(c, self._store, DocumentRow, rows_of(DocumentRow, columns))

    def _extra(self, d: Document) -> dict[str, object] | None:
        """The message's unknown fields, and the name of a source that has no row of its own."""
        if d.source and not self._names.has_source(d.source):
            return {**(d.extra or {}), "source": d.source}
        return d.extra

    def _predictions(self, c: Connection, kept: Sequence[ScoredDocument], model_id: int) -> None:
        scored = [(item.document, item.prediction) for item in kept if item.prediction is not None]
        columns: Columns = {
            "observed_at": [d.observed_at for d, _ in scored],
            "row_id": [d.row_id for d, _ in scored],
            "model_id": [model_id] * len(scored),
            "sentiment": [int(p.sentiment) for _, p in scored],
            "p_negative": [p.p_negative for _, p in scored],
            "p_neutral": [p.p_neutral for _, p in scored],
            "p_positive": [p.p_positive for _, p in scored],
            "topics": [_json(p.topics) or "{}" for _, p in scored],
        }
        insert_rows(c, self._store, PredictionRow, rows_of(PredictionRow, columns))

    def _memberships(self, c: Connection, kept: Sequence[ScoredDocument], series_ids: dict[str, int]) -> None:
        """The documents of each topic's series."""
        members = [(d, p, t) for d, p, _, _ in kept if p is not None for t in p.topics]
        columns: Columns = {
            "series_id": [series_ids[f"topic:{t}"] for _, _, t in members],
            "observed_at": [d.observed_at for d, _, _ in members],
            "row_id": [d.row_id for d, _, _ in members],
            "kind": [int(d.kind) for d, _, _ in members],
            "sentiment": [int(p.sentiment) for _, p, _ in members],
            "p_negative": [p.p_negative for _, p, _ in members],
            "fingerprint": [d.fingerprint for d, _, _ in members],
            "late": [d.late for d, _, _ in members],
        }
        insert_rows(c, self._store, SeriesDocument, rows_of(SeriesDocument, columns))

    def _hits(self, c: Connection, hits: Sequence[tuple[Document, Match]], kept: Sequence[ScoredDocument]) -> None:
        """What red-line rules matched in documents that are stored; the leader raises the alerts."""
        stored = {item.document.row_id for item in kept}
        hits = [(d, m) for d, m in hits if d.row_id in stored]
        if not hits:
            return
        columns: Columns = {
            "row_id": [d.row_id for d, _ in hits],
            "rule": [m.rule.name for _, m in hits],
            "observed_at": [d.observed_at for d, _ in hits],
            "series": [m.series for _, m in hits],
            "kind": [int(d.kind) for d, _ in hits],
            "severity": [m.rule.severity for _, m in hits],
            "level": [m.rule.level for _, m in hits],
            "quiet": [m.rule.quiet for _, m in hits],
            "words": [_json(list(m.words)) or "[]" for _, m in hits],
            "company": [m.company for _, m in hits],
            "tier": [m.tier for _, m in hits],
            "fingerprint": [d.fingerprint for d, _ in hits],
            "text": [around(readable(d.text), m.words, HIT_TEXT) for d, m in hits],
            "title": [d.title for d, _ in hits],
            "url": [d.url for d, _ in hits],
            "source": [d.source for d, _ in hits],
            "summary": [_json(m.rule.title.model_dump()) for _, m in hits],
            "about": [_json(list(m.about)) or "[]" for _, m in hits],
            "handled_at": [None] * len(hits),
        }
        insert_rows(c, self._store, RuleHit, rows_of(RuleHit, columns))

    def _sources(self, c: Connection, batch: Batch, source_ids: dict[str, int]) -> None:
        """Every valid record counts for its source, repeats too: this says who is talking, not what was said."""
        totals: Counter[tuple[int, int, int]] = Counter()
        last: dict[tuple[int, int, int], int] = {}
        for d in batch.documents:
            if d.source and d.source in source_ids:
                key = (source_ids[d.source], d.observed_at - d.observed_at % HOUR_MS, partition_of(d.row_id))
                totals[key] += 1
                last[key] = max(last.get(key, 0), d.observed_at)
        keys = sorted(totals)
        columns: Columns = {
            "source_id": [source for source, _, _ in keys],
            "hour": [hour for _, hour, _ in keys],
            "log_id": [batch.log_id] * len(keys),
            "partition": [partition for _, _, partition in keys],
            "total": [totals[key] for key in keys],
            "last_observed_at": [last[key] for key in keys],
        }
        add_up(c, self._store, SourceRollup, rows_of(SourceRollup, columns), greatest=("last_observed_at",))

    def _letters(self, c: Connection, letters: Sequence[DeadLetter], now: int) -> None:
        unset = [None] * len(letters)
        columns: Columns = {
            "row_id": [x.row_id for x in letters],
            "record_timestamp": [x.record_timestamp for x in letters],
            "reason": [str(x.reason) for x in letters],
            "detail": [x.detail for x in letters],
            "headers": [_json([[k, b64encode(v or b"").decode()] for k, v in x.headers]) or "[]" for x in letters],
            "key": [x.key for x in letters],
            "value": [x.value for x in letters],
            "value_length": [x.value_length for x in letters],
            "value_sha256": [x.value_sha256 for x in letters],
            "replay_of": [x.replay_of for x in letters],
            "stored_at": [now] * len(letters),
            "relayed_at": unset,
            "replayed_at": unset,
            "replays": [0] * len(letters),
        }
        insert_rows(c, self._store, DeadLetterRow, rows_of(DeadLetterRow, columns))

    def _move(
        self,
        c: Connection,
        batch: Batch,
        kept: Sequence[ScoredDocument],
        displaced: Sequence[DisplacedDocument],
        now: int,
    ) -> Committed:
        """Move the offsets and add the batch's outcomes to the partitions' counters; a displaced document is a repeat
        from now on."""
        documents = Counter(partition_of(item.document.row_id) for item in kept)
        documents.subtract(partition_of(x.winner.row_id) for x in displaced)
        late = Counter(partition_of(item.document.row_id) for item in kept if item.document.late)
        late_in_all = late.total()
        late.subtract(partition_of(x.winner.row_id) for x in displaced if x.late)
        received = Counter(partition_of(d.row_id) for d in batch.documents)
        letters = Counter(partition_of(x.row_id) for x in batch.letters)
        updates = []
        for move in sorted(batch.moves, key=lambda m: m.partition):
            p, progress = move.partition, move.progress
            updates.append(
                OffsetUpdate(
                    log_id=batch.log_id,
                    partition=p,
                    expected=NOWHERE if move.expected is None else move.expected,
                    next_offset=move.next_offset,
                    updated_at=now,
                    records=move.records,
                    documents=documents[p],
                    repeats=received[p] - documents[p],
                    dead_letters=letters[p],
                    tombstones=move.tombstones,
                    progress_records=move.progress_records,
                    late=late[p],
                    high_water=move.high_water,
                    leader_epoch=move.leader_epoch,
                    last_observed_at=move.last_observed_at,
                    progress_t=None if progress is None else progress.t,
                    progress_writer=None if progress is None else progress.writer,
                    progress_term=None if progress is None else progress.term,
                )
            )
        move_offsets(c, self._store, updates)
        stored = documents.total()
        return Committed(stored, len(batch.documents) - stored, len(batch.letters), late_in_all)


def _json(value: object) -> str | None:
    return orjson.dumps(value).decode() if value else None
