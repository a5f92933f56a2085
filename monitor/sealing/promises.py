"""What the leader's next progress record may promise to a partition: "nothing older than t - lateness follows".

While a partition could not be written to, producers held their records back too. They arrive when it can be written
again, with the times at which they were meant to be sent; if the first progress record then said ``t = now``, all of
them would come after their buckets were passed. A gap in the whole stream is the stream's delay, not its texts'. So
after a gap the last promise is repeated for as long as a text may be late, and only then the present is promised.
"""

from __future__ import annotations

from collections.abc import Mapping

SHORTEST_GAP_MS = 10_000
"""Progress is written every few seconds; less is no gap. While a promise is held, this much is one again."""


class Promises:
    """The promises to each partition, in epoch ms.

    >>> promises = Promises(lateness_ms=120_000, known={0: 1_000_000})
    >>> promises.next(0, 1_003_000)
    1003000
    >>> promises.kept(0, 1_003_000, now_ms=1_003_000)
    >>> promises.next(0, 1_603_000)  # the broker was away for ten minutes
    1003000
    >>> for now in range(1_603_000, 1_723_000, 3_000):
    ...     promises.kept(0, promises.next(0, now), now)
    >>> promises.next(0, 1_723_000)  # what was held back has had two minutes to come
    1723000

    Args:
        lateness_ms: how long after its time a text may arrive.
        known: the last promises that are in the log, by partition, as far as the store knows them.
    """

    def __init__(self, lateness_ms: int, known: Mapping[int, int]) -> None:
        self._lateness_ms = lateness_ms
        self._gap_ms = max(SHORTEST_GAP_MS, lateness_ms // 2)
        self._promised = dict(known)
        self._written: dict[int, int] = {}
        """When a record was last written, or first tried: a promise that is held back is written all the same."""
        self._held_until: dict[int, int] = {}

    def next(self, partition: int, now_ms: int) -> int:
        """What to promise to this partition now; never less than before."""
        since = self._written.setdefault(partition, now_ms)
        last = self._promised.get(partition)
        if last is None:
            return now_ms
        holding = now_ms < self._held_until.get(partition, now_ms)
        if now_ms - since > (SHORTEST_GAP_MS if holding else self._gap_ms):
            self._held_until[partition] = now_ms + self._lateness_ms
        if now_ms < self._held_until.get(partition, now_ms):
            return last
        return max(now_ms, last)

    def kept(self, partition: int, t: int, now_ms: int) -> None:
        """The promise ``t`` was written into the log at ``now_ms``."""
        self._promised[partition], self._written[partition] = t, now_ms

    def excuse(self) -> None:
        """Somebody else has written progress meanwhile: that we have not is no gap."""
        self._written.clear()

    def holds(self, now_ms: int) -> bool:
        """Whether the present is not promised yet to some partition."""
        return any(until > now_ms for until in self._held_until.values())
