from __future__ import annotations

import doctest
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from barometer.buckets import Buckets
from ingest.worker.lateness import is_late
from monitor.sealing import promises
from monitor.sealing.promises import Promises

LATENESS = 120_000
BUCKETS = Buckets(600, ZoneInfo("UTC"))


def test_the_example_runs() -> None:
    assert doctest.testmod(promises).failed == 0


def test_a_fresh_partition_is_promised_the_present() -> None:
    assert Promises(LATENESS, {}).next(0, 5_000) == 5_000


def test_an_archive_that_was_imported_is_no_gap() -> None:
    made = Promises(LATENESS, {0: 1_000})
    assert made.next(0, 900_000) == 900_000
    made.kept(0, 900_000, 900_000)
    made.excuse()
    assert made.next(0, 5_000_000) == 5_000_000


def test_whoever_starts_while_the_broker_is_away_sees_the_gap_from_there() -> None:
    made = Promises(LATENESS, {0: 1_000})
    assert made.next(0, 900_000) == 900_000  # tried, and not written
    assert made.next(0, 990_000) == 1_000


def test_without_lateness_nothing_is_held_back() -> None:
    made = Promises(0, {})
    made.kept(0, 1_000, 1_000)
    assert made.next(0, 1_000_000) == 1_000_000
    assert not made.holds(1_000_000)


def test_a_gap_of_one_partition_holds_only_its_own_promises() -> None:
    made = Promises(LATENESS, {})
    made.kept(0, 1, 1)
    made.kept(1, 590_000, 590_000)
    assert (made.next(0, 600_000), made.next(1, 600_000)) == (1, 600_000)
    assert made.holds(600_000)
    assert not made.holds(600_000 + LATENESS)


@given(
    st.lists(st.tuples(st.integers(75, 400), st.integers(1, 900)), min_size=1, max_size=5),
    st.integers(0, LATENESS // 2_000),
)
def test_what_producers_held_back_is_not_late(spans: list[tuple[int, int]], delay: int) -> None:
    """The broker is up and down for so many seconds in turn; a producer has a text a second and sends it at once, or
    ``delay`` seconds after the broker is back. Promises never go back, and end at the present."""
    made, now, last, up_since = Promises(LATENESS, {}), 0, 0, 0
    made.kept(0, 0, 0)
    held: list[int] = []
    for up, down in [*spans, (LATENESS // 1000 + 75, 0)]:
        up_since = now
        for _ in range(up):
            now += 1_000
            held.append(now)
            if now - up_since >= delay * 1_000:
                assert not any(is_late(at, last, LATENESS, BUCKETS) for at in held)
                held.clear()
            if now % 3_000 == 0:
                t = made.next(0, now)
                assert t >= last
                made.kept(0, t, now)
                last = t
        for _ in range(down):
            now += 1_000
            held.append(now)
    assert now - last < 3_000
    assert not made.holds(now)
