"""Counts independent voices: a text is a copy if the same text was seen in the series within the copy window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Connection

from barometer.buckets import Buckets
from barometer.store.engine import Store
from barometer.store.series import sealing as sql
from barometer.store.series.sealing import Counts, Key, Voice

TOGETHER = 20_000
"""So many documents of different series are read at once; a series that has more is read in pages."""


def count_voices(
    c: Connection,
    store: Store,
    counts: Mapping[int, Mapping[Key, Counts]],
    buckets: Buckets,
    window_ms: int,
    totals: Iterable[int],
) -> None:
    """Set the independent voices in ``counts`` and remember the texts for the buckets that come after.

    Args:
        counts: of each bucket; may not be empty.
        window_ms: a text that was seen longer ago is a voice again.
        totals: series that hold every document and keep no memberships.
    """
    begin, end = min(counts), buckets.end_of(max(counts))
    for page in _pages(c, store, counts, begin, end, set(totals)):
        known = sql.known_copies(c, store, ((series_id, v.fingerprint) for series_id, v in page))
        seen: dict[Key, tuple[int, int]] = {}
        for series_id, v in page:
            key = (series_id, v.fingerprint)
            last = seen.get(key) or known.get(key)
            copy = last is not None and v.observed_at - last[0] <= window_ms
            seen[key] = (v.observed_at, last[1] + 1 if copy and last else 1)
            n = counts.get(buckets.start_of(v.observed_at), {}).get((series_id, v.kind))
            if not copy and n is not None:
                n.independent += 1
                n.independent_negative += v.sentiment == 0
        sql.remember_copies(c, store, seen)


def _pages(
    c: Connection, store: Store, counts: Mapping[int, Mapping[Key, Counts]], begin: int, end: int, totals: set[int]
) -> Iterator[list[tuple[int, Voice]]]:
    """All voices; those of one series in the order of (observed_at, row)."""
    scored: dict[int, int] = {}
    for keys in counts.values():
        for (series_id, _), of in keys.items():
            scored[series_id] = scored.get(series_id, 0) + of.total - of.unscored
    few: list[int] = []
    held = 0
    for series_id, n in sorted(scored.items()):
        if series_id in totals or n > TOGETHER:
            for page in sql.voices(c, series_id, begin, end, everything=series_id in totals):
                yield [(series_id, v) for v in page]
            continue
        if few and held + n > TOGETHER:
            yield sql.voices_of(c, store, few, begin, end)
            few, held = [], 0
        few.append(series_id)
        held += n
    if few:
        yield sql.voices_of(c, store, few, begin, end)
