"""How far the topic is known to be complete: nothing older than the watermark follows, in any partition."""

from __future__ import annotations

from sqlalchemy import Connection, select

from barometer.settings import Settings
from barometer.store.stream.log_epochs import LogEpoch
from barometer.store.tables import Offset


def watermark(c: Connection, log: LogEpoch, settings: Settings, now_ms: int) -> int | None:
    """The least over all partitions of the log of (latest progress - lateness), in epoch ms; None while a partition
    has none.

    With ``progress_from = timestamps`` the records' own times stand in for progress, and the clock for partitions
    that were read to their end (empty ones too), up to when a worker last saw that: weaker, for a delayed producer then
    closes buckets too early.
    """
    rows = c.execute(
        select(
            Offset.progress_t, Offset.last_observed_at, Offset.next_offset, Offset.high_water, Offset.updated_at
        ).where(Offset.log_id == log.id)
    ).all()
    if not log.partitions or len(rows) < log.partitions:
        return None
    times: list[int] = []
    for r in rows:
        t = r.progress_t
        if settings.progress_from == "timestamps":
            idle = r.high_water is not None and r.next_offset >= r.high_water
            t = min(now_ms, r.updated_at) if idle else r.last_observed_at
        if t is None:
            return None
        times.append(t)
    return min(times) - settings.lateness_ms
