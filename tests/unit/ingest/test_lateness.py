from __future__ import annotations

from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from barometer.buckets import Buckets
from barometer.records import Document, Progress, Tombstone
from barometer.vocabulary import Kind
from ingest.worker.lateness import Lateness, is_late

BUCKETS = Buckets(600, ZoneInfo("Asia/Shanghai"))
LATENESS = 120_000


def document(observed_at: int) -> Document:
    return Document(1, observed_at, Kind.NEWS, "text", 1, 1, 1, False)


def test_nothing_is_late_before_the_first_progress_record() -> None:
    assert not is_late(0, None, LATENESS, BUCKETS)


def test_a_bucket_stays_open_for_the_lateness() -> None:
    end = 600_000
    assert not is_late(end - 1, end + LATENESS - 1, LATENESS, BUCKETS)
    assert is_late(end - 1, end + LATENESS, LATENESS, BUCKETS)
    assert not is_late(end, end + LATENESS, LATENESS, BUCKETS)


def test_only_progress_that_came_before_counts() -> None:
    walk = Lateness(BUCKETS, LATENESS)
    first, second = document(0), document(0)
    for entry in (first, Progress(2, 10_000_000, "leader", 1), second):
        walk.see(entry)
    assert (first.late, second.late) == (False, True)


def test_progress_never_goes_back() -> None:
    walk = Lateness(BUCKETS, LATENESS, 5_000_000)
    walk.see(Progress(1, 4_000_000, "archive", 7))
    assert walk.progress_t == 5_000_000


def test_a_stored_late_mark_does_not_depend_on_where_reading_began() -> None:
    entries = [document(0), Progress(1, 800_000, "w", 1), document(599_999), document(650_000), Tombstone(5)]
    whole = Lateness(BUCKETS, LATENESS)
    marks = []
    for e in entries:
        whole.see(e)
        marks.append(getattr(e, "late", None))
    for cut in range(len(entries)):
        walk = Lateness(BUCKETS, LATENESS)
        for e in entries[:cut]:
            walk.see(e)
        resumed = Lateness(BUCKETS, LATENESS, walk.progress_t)
        for e in entries[cut:]:
            resumed.see(e)
        assert [getattr(e, "late", None) for e in entries] == marks


def test_progress_from_timestamps_ignores_progress_records() -> None:
    walk = Lateness(BUCKETS, LATENESS, from_timestamps=True)
    walk.see(Progress(1, 10_000_000, "w", 1))
    old, newer, after = document(0), document(720_000), document(599_999)
    for d in (old, newer, after):
        walk.see(d)
    assert (old.late, newer.late, after.late) == (False, False, True)


def test_a_day_bucket_ends_at_midnight_of_its_zone() -> None:
    days = Buckets(86_400, ZoneInfo("Asia/Shanghai"))
    midnight = 1_760_025_600_000  # 2025-10-10T00:00+08:00
    assert not is_late(midnight - 1, midnight + LATENESS - 1, LATENESS, days)
    assert is_late(midnight - 1, midnight + LATENESS, LATENESS, days)


@given(st.integers(0, 10**13), st.integers(0, 10**13), st.integers(0, 10**7))
def test_late_means_that_the_bucket_could_have_been_sealed(observed_at: int, t: int, lateness: int) -> None:
    end = observed_at - observed_at % 600_000 + 600_000
    assert is_late(observed_at, t, lateness, BUCKETS) == (end + lateness <= t)
