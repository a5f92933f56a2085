"""Judging closed buckets: states that go on exactly, the zone's clock, severities, stretches."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from barometer.store.series.sealing import Counts
from monitor.detection.judge import Judge, Judged

DAY = 86_400_000
T0 = 1_699_977_600_000
KEY = (1, 1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def judge(different: int = 50, bucket_seconds: int = 86_400, zone: ZoneInfo = SHANGHAI) -> Judge:
    return Judge(bucket_seconds, zone, 3.6, lambda series: series != 9, lambda _key, _start, _end: different)


def some(total: int, negative: int) -> Counts:
    return Counts(total=total, negative=negative, neutral=total - negative)


counts = st.dictionaries(
    st.tuples(st.integers(1, 3) | st.just(9), st.integers(1, 2)),
    st.builds(lambda n, share: some(n, round(n * share)), st.integers(1, 60), st.sampled_from([0.1, 0.2, 0.9])),
    max_size=3,
)


@rules(max_examples=60, deadline=None)
@given(st.lists(counts | st.none(), min_size=8, max_size=30), st.integers(1, 29))
def test_a_restart_changes_nothing(life: list[dict[tuple[int, int], Counts] | None], at: int) -> None:
    """The state goes through JSON, as the store keeps it. None: a stretch in which the feed had stopped."""
    through, restarted = judge(), judge()
    for n, found in enumerate(life):
        if n == at:
            kept = {key: json.loads(json.dumps(restarted.state(key))) for key in restarted.detectors}
            restarted = judge()
            restarted.restore(kept.items())
        start = T0 + n * DAY
        outcomes: list[Judged] = []
        for each in (through, restarted):
            outcomes.append(each.skip(start, start + DAY) if found is None else each.bucket(start, start + DAY, found))
        assert outcomes[0] == outcomes[1]


def test_an_empty_bucket_keeps_what_was_expected_of_it() -> None:
    j = judge()
    j.bucket(T0, T0 + DAY, {KEY: some(2, 0)})
    for n in (1, 2):
        (row,) = j.bucket(T0 + n * DAY, T0 + (n + 1) * DAY, {}).rows
        assert (row["start"], row["end"], row["total"], row["score"]) == (T0 + n * DAY, T0 + (n + 1) * DAY, 0, 0.0)
        assert 0 < row["expected_negative"] < row["expected_total"]
        assert row["band_low"] <= row["expected_negative"] <= row["band_high"]


def test_a_stretch_of_which_nothing_was_expected_is_one_row_that_grows() -> None:
    """A feed that has stopped, an outage, and a series that is not judged."""
    j = judge()
    for n in range(10):
        j.bucket(T0 + n * DAY, T0 + (n + 1) * DAY, {KEY: some(60, 6), (9, 1): some(5, 0)})
    for n in (10, 11):
        outage, unjudged = j.bucket(T0 + n * DAY, T0 + (n + 1) * DAY, {}).rows
        for row in (outage, unjudged):
            assert (row["start"], row["end"], row["total"]) == (T0 + 10 * DAY, T0 + (n + 1) * DAY, 0)
            assert (row["score"], row["expected_negative"]) == (None, None)
        assert (outage["outage"], unjudged["outage"]) == (True, False)
    for row in j.skip(T0 + 12 * DAY, T0 + 900 * DAY).rows:
        assert (row["start"], row["end"]) == (T0 + 10 * DAY, T0 + 900 * DAY)


def test_a_stopped_feed_after_a_quiet_bucket_is_no_outage() -> None:
    j = judge()
    j.bucket(T0, T0 + DAY, {KEY: some(2, 0)})
    (quiet,) = j.bucket(T0 + DAY, T0 + 2 * DAY, {}).rows
    (row,) = j.skip(T0 + 2 * DAY, T0 + 900 * DAY).rows
    assert quiet["expected_negative"] is not None
    assert (row["start"], row["end"], row["outage"], row["expected_negative"]) == (
        T0 + 2 * DAY, T0 + 900 * DAY, False, None
    )  # fmt: skip


@pytest.mark.parametrize(("different", "severity"), [(50, "critical"), (3, "warning")])
def test_copies_of_few_texts_page_nobody(different: int, severity: str) -> None:
    j = judge(different)
    for n in range(12):
        j.bucket(T0 + n * DAY, T0 + (n + 1) * DAY, {KEY: some(20, 3)})
    (found,) = j.bucket(T0 + 12 * DAY, T0 + 13 * DAY, {KEY: some(90, 85)}).found
    assert (found.firing, found.new_peak, found.severity) == (True, True, severity)


@pytest.mark.parametrize(("negative", "severity"), [(2, None), (3, "info"), (4, "critical")])
def test_three_texts_where_none_are_usual_are_seen_and_told_to_nobody(negative: int, severity: str | None) -> None:
    j = judge(bucket_seconds=600)
    for n in range(1, 8 * 144):
        j.bucket(T0 + (n - 1) * 600_000, T0 + n * 600_000, {KEY: some(int(n % 12 == 0), 0)})
    n = 8 * 144
    found = j.bucket(T0 + (n - 1) * 600_000, T0 + n * 600_000, {KEY: some(negative, negative)}).found
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_the_total_is_counted_and_never_judged() -> None:
    j = judge()
    for n in range(12):
        j.bucket(T0 + n * DAY, T0 + (n + 1) * DAY, {(9, 1): some(20, 3)})
    out = j.bucket(T0 + 12 * DAY, T0 + 13 * DAY, {(9, 1): some(90, 85)})
    assert out.found == []
    assert [(r["total"], r["negative"], r["score"]) for r in out.rows] == [(90, 85, None)]


def test_the_day_follows_the_zone_at_that_time_not_at_this() -> None:
    """New York is five hours behind in January and four in July, whenever the archive is replayed."""
    for start, hours in ((1_736_942_400_000, -5), (1_752_580_800_000, -4)):
        j = judge(bucket_seconds=600, zone=ZoneInfo("America/New_York"))
        j.bucket(start, start + 600_000, {KEY: some(2, 0)})
        assert j.detectors[KEY].detector.utc_offset_seconds == hours * 3600


def test_a_bucket_that_two_models_scored_is_no_news() -> None:
    """Workers change model in the middle of a day: the new one calls twice as many negative."""
    for new in (10, 45, 55, 90):
        asked: list[tuple[int, int]] = []

        def rebase(_key: object, before: int, now: int, asked: list[tuple[int, int]] = asked) -> float:
            asked.append((before, now))
            return 2.25 ** (now - before)  # odds of 0.1 and of 0.2

        j = Judge(86_400, SHANGHAI, 3.6, lambda _s: True, lambda *_: 50, rebase)
        for n in range(30):
            j.bucket(T0 + n * DAY, T0 + (n + 1) * DAY, {KEY: Counts(1_000, 100, model_id=1)})
        old = 100 - new
        most, least = (1, 2) if old > new else (2, 1)
        both = Counts(1_000, new * 2 + old, model_id=most)
        both.others = ((least, 10 * min(old, new), 2 * new if least == 2 else old),)
        (row,) = j.bucket(T0 + 30 * DAY, T0 + 31 * DAY, {KEY: both}).rows
        assert row["score"] < 0.7
        assert row["negative"] == both.negative
        for n in range(31, 35):
            (row,) = j.bucket(T0 + n * DAY, T0 + (n + 1) * DAY, {KEY: Counts(1_000, 200, model_id=2)}).rows
            assert row["score"] < 0.7
        (found,) = j.bucket(T0 + 35 * DAY, T0 + 36 * DAY, {KEY: Counts(1_600, 800, model_id=2)}).found
        assert found.severity == "critical"
        assert (1, 2) in asked
