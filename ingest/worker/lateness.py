"""Whether a record comes too late for its bucket: decided from the log alone, never from a clock.

A progress record in a partition says "nothing older than t - lateness follows here". A document is late if an earlier
progress record of its own partition had passed its bucket's end by then (event-time watermarks: Akidau et al., The
Dataflow Model, VLDB 2015, with the watermark written into the log).
"""

from __future__ import annotations

from barometer.buckets import Buckets
from barometer.records import Document, Entry, Progress


def is_late(observed_at: int, progress_t: int | None, lateness_ms: int, buckets: Buckets) -> bool:
    """Whether a bucket that holds ``observed_at`` had been passed.

    Args:
        observed_at: the record's time, UTC epoch ms.
        progress_t: largest t of the partition's progress so far; None: there was none.
        lateness_ms: how much longer than t a bucket stays open.
    """
    if progress_t is None:
        return False
    return buckets.end_of(buckets.start_of(observed_at)) <= progress_t - lateness_ms


class Lateness:
    """Walks the entries of one partition in the order of their offsets and marks the late ones.

    >>> from zoneinfo import ZoneInfo
    >>> walk = Lateness(Buckets(600, ZoneInfo("UTC")), 120_000, progress_t=719_999)
    >>> is_late(599_999, walk.progress_t, 120_000, Buckets(600, ZoneInfo("UTC")))
    False
    >>> is_late(599_999, walk.progress_t + 1, 120_000, Buckets(600, ZoneInfo("UTC")))
    True

    Args:
        progress_t: where the partition's progress stands, as stored with the offset that reading starts at.
        from_timestamps: take progress from the records' own times (the largest so far), for topics that nobody may
            write progress records into. Weaker: one record from the future makes all that follow it late.
    """

    def __init__(
        self, buckets: Buckets, lateness_ms: int, progress_t: int | None = None, *, from_timestamps: bool = False
    ) -> None:
        self._buckets, self._lateness_ms, self._from_timestamps = buckets, lateness_ms, from_timestamps
        self.progress_t = progress_t

    def see(self, entry: Entry) -> None:
        """Take the partition's next entry: sets ``late`` on a document, moves on at a progress record."""
        if isinstance(entry, Document):
            entry.late = is_late(entry.observed_at, self.progress_t, self._lateness_ms, self._buckets)
            if self._from_timestamps:
                self._advance(entry.observed_at)
        elif isinstance(entry, Progress) and not self._from_timestamps:
            self._advance(entry.t)

    def _advance(self, t: int) -> None:
        if self.progress_t is None or t > self.progress_t:
            self.progress_t = t
