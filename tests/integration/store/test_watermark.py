"""How far the topic is complete: the least over all partitions, from progress records or, weaker, from timestamps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import insert, update

from barometer.settings import Settings
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.stream.log_epochs import current_log
from barometer.store.stream.watermark import watermark

NOW = 1_700_000_000_000
LATE = 120_000
Partition = tuple[int | None, int | None, int, int | None]
"""progress_t, last_observed_at, next_offset, high_water."""


@pytest.fixture
def through(store: Store, settings_for: Callable[..., Settings]) -> Callable[..., int | None]:
    """``through(partitions, progress_from=..., of=...)``: the watermark of a log of ``of`` partitions."""

    def look(
        partitions: list[Partition], progress_from: str = "records", of: int | None = None, previewed_rows: int = NOW
    ) -> int | None:
        settings = settings_for(progress_from=progress_from)
        with store.write() as c:
            count = len(partitions) if of is None else of
            if current_log(c, settings.topic_documents) is None:
                c.execute(
                    insert(t.Log).values(
                        id=1, cluster_id="c", topic=settings.topic_documents, partitions=count, current=True,
                        created_at=0,
                    )
                )  # fmt: skip
                for p in range(len(partitions)):
                    c.execute(insert(t.Offset).values(log_id=1, partition=p, next_offset=0, updated_at=0))
            for p, (progress, last, following, end) in enumerate(partitions):
                c.execute(
                    update(t.Offset)
                    .where(t.Offset.partition == p)
                    .values(
                        progress_t=progress,
                        last_observed_at=last,
                        next_offset=following,
                        high_water=end,
                        updated_at=previewed_rows,
                    )
                )
            log = current_log(c, settings.topic_documents)
            assert log is not None
            return watermark(c, log, settings, NOW)

    return look


def test_the_slowest_partition_counts(through: Callable[..., int | None]) -> None:
    assert through([(NOW, None, 1, 1), (NOW - 50_000, NOW, 9, 9)]) == NOW - 50_000 - LATE


def test_a_partition_without_progress_holds_all(through: Callable[..., int | None]) -> None:
    """However busy it is: no clock and no record's time takes the place of progress."""
    assert through([(NOW, None, 1, 1), (None, NOW, 9, 9)]) is None


def test_a_partition_that_was_never_read_holds_all(through: Callable[..., int | None]) -> None:
    assert through([(NOW, None, 1, 1)], of=2) is None


def test_from_timestamps_idle_partitions_follow_the_clock(through: Callable[..., int | None]) -> None:
    busy, idle = (None, NOW - 70_000, 5, 9), (None, NOW - 9_000_000, 4, 4)
    assert through([busy, idle], "timestamps") == NOW - 70_000 - LATE
    assert through([idle, idle], "timestamps") == NOW - LATE
    assert through([busy, (None, NOW - 9_000_000, 4, None)], "timestamps") == NOW - 9_000_000 - LATE


def test_from_timestamps_an_empty_partition_follows_the_clock(through: Callable[..., int | None]) -> None:
    assert through([(None, NOW - 70_000, 5, 9), (None, None, 0, 0)], "timestamps") == NOW - 70_000 - LATE
    assert through([(None, None, 0, 0), (None, None, 0, 0)], "timestamps") == NOW - LATE


def test_from_timestamps_the_clock_stops_when_nobody_looks(through: Callable[..., int | None]) -> None:
    """A worker is gone: what it last saw of the log's end says nothing of what has come since."""
    idle = (None, NOW - 9_000_000, 4, 4)
    assert through([idle], "timestamps", previewed_rows=NOW - 500_000) == NOW - 500_000 - LATE
    assert through([idle], "timestamps", previewed_rows=NOW + 500_000) == NOW - LATE
