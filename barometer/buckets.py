"""Cutting time into buckets.

Buckets narrower than a day are aligned to the epoch; a bucket of a day runs from midnight to midnight of a zone,
so that it may last 23 or 25 hours where clocks change. All times are UTC epoch milliseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

DAY_MS = 86_400_000


class Buckets:
    """Maps a time to its bucket.

    >>> b = Buckets(600, ZoneInfo("Asia/Shanghai"))
    >>> b.start_of(1_700_000_123_456), b.end_of(1_700_000_000_000 // 600_000 * 600_000)
    (1699999800000, 1700000400000)
    """

    def __init__(self, seconds: int, zone: ZoneInfo) -> None:
        self.width_ms = seconds * 1000
        self.zone = zone
        self._days: list[int] = []
        """Midnights seen so far, ascending: a cache, since a zone look-up costs more than a search."""
        self._ends: dict[int, int] = {}

    def start_of(self, time_ms: int) -> int:
        """Start of the bucket that holds ``time_ms``."""
        if self.width_ms < DAY_MS:
            return time_ms - time_ms % self.width_ms
        i = bisect_right(self._days, time_ms) - 1
        if i >= 0 and time_ms < self._ends[self._days[i]]:
            return self._days[i]
        start, end = self._day(time_ms)
        self._days.insert(i + 1, start)
        self._ends[start] = end
        return start

    def end_of(self, start_ms: int) -> int:
        """End (exclusive) of the bucket that starts at ``start_ms``."""
        if self.width_ms < DAY_MS:
            return start_ms + self.width_ms
        self.start_of(start_ms)
        return self._ends[start_ms]

    def _day(self, time_ms: int) -> tuple[int, int]:
        local = datetime.fromtimestamp(time_ms // 1000, UTC).astimezone(self.zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        following = (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=self.zone)
        return int(midnight.timestamp()) * 1000, int(following.timestamp()) * 1000
