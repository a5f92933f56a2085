"""What the detector says of streams: surges, what only looks like one, outages, wide and narrow buckets, restarts."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detection.detector import Detector, DetectorParams, Judgement

DAY = 86_400
T0 = 1_709_510_400
"""Monday, 00:00 UTC."""
Bucket = tuple[float, int, int]


def stream(
    days: float, per_hour: float = 60.0, share: float = 0.2, width: int = 600, start: float = T0, seed: int = 1
) -> Iterator[Bucket]:
    """Poisson counts with a day's shape: (end, total, negative)."""
    rng = random.Random(seed)
    for n in range(1, int(days * DAY / width) + 1):
        end = start + n * width
        shape = 1 + 0.6 * math.cos(2 * math.pi * ((end % DAY) / DAY - 0.6)) if width < DAY else 1.0
        total = poisson(rng, per_hour * width / 3600 * shape)
        yield end, total, sum(rng.random() < share for _ in range(total))


def poisson(rng: random.Random, mean: float) -> int:
    if mean > 200:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    n, p, least = 0, 1.0, math.exp(-mean)
    while (p := p * rng.random()) > least:
        n += 1
    return n


def taught(days: float = 10, width: int = 600, **how: float) -> tuple[Detector, float]:
    """A detector that has seen usual days, and where they end."""
    d = Detector(width, utc_offset_seconds=0)
    end = float(T0)
    for end, total, negative in stream(days, width=width, **how):  # type: ignore[arg-type]
        d.update(end, total, negative)
    return d, end


def judge(d: Detector, buckets: list[Bucket]) -> list[Judgement]:
    return [d.update(*b) for b in buckets]


def usual(end: float, hours: float, width: int = 600, per_hour: float = 60.0, seed: int = 2) -> list[Bucket]:
    return list(stream(hours / 24, per_hour, width=width, start=end, seed=seed))


def test_usual_days_raise_nothing() -> None:
    d = Detector(600, utc_offset_seconds=0)
    assert not any(d.update(*b).alert for b in stream(30))


@pytest.mark.parametrize("per_hour", [0.5, 6, 60, 2_000])
def test_a_surge_is_noticed_within_an_hour(per_hour: float) -> None:
    d, end = taught(per_hour=per_hour)
    extra = max(5, round(per_hour / 6))
    found = judge(d, [(e, n + extra, x + extra) for e, n, x in usual(end, 1, per_hour=per_hour)])
    assert any(j.alert for j in found)
    last = found[-1]
    assert last.severity == "critical"
    assert last.arm in ("volume", "share")
    assert last.window_seen_negative > 3 * last.window_expected_negative
    assert 1 <= last.window_buckets <= 72


def test_a_surge_that_goes_on_slowly_is_noticed() -> None:
    """Half as many negatives again for half a day: no bucket tells it, the long windows do."""
    d, end = taught(per_hour=600)
    rng = random.Random(5)
    found = judge(d, [(e, n + (k := poisson(rng, 0.5 * n * 0.2)), x + k) for e, n, x in usual(end, 12, per_hour=600)])
    assert any(j.alert for j in found)


def test_an_alert_ends_soon_after_the_surge_and_does_not_come_again() -> None:
    d, end = taught()
    assert judge(d, [(e, n + 15, x + 15) for e, n, x in usual(end, 1)])[-1].alert
    after = [j.alert for j in judge(d, usual(end + 3600, 24))]
    assert True not in after[after.index(False) :]
    assert after.index(False) <= 12


@pytest.mark.parametrize("times", [3, 10, 40])
def test_a_burst_of_neutral_texts_raises_nothing(times: int) -> None:
    d, end = taught()
    found = judge(d, [(e, n + 10 * times, x + times // 4) for e, n, x in usual(end, 2)])
    assert not any(j.alert for j in found)
    share = d.update(end + 7800, 10, 2).expected_share
    assert share == pytest.approx(0.2, abs=0.03)  # nor does it teach that fewer are negative


def test_a_wide_bucket_has_seen_more_bursts() -> None:
    """Five times the texts of a day, hardly more negative than usual: rare in ten minutes, less so in a day."""
    seldom = DetectorParams(burst_prior=DetectorParams().burst_prior / math.sqrt(48))
    for params, alert in ((None, False), (seldom, True)):
        d = Detector(DAY, params=params)
        for n in range(1, 61):
            d.update(T0 + n * DAY, 10, 2 if n % 2 else 1)
        assert d.update(T0 + 61 * DAY, 50, 10).alert == alert
    d.update(T0 + 62 * DAY, 10, 1)
    assert d.update(T0 + 63 * DAY, 50, 22).alert


def test_a_shift_of_the_share_without_more_texts_is_noticed() -> None:
    d, end = taught(per_hour=300)
    found = judge(d, [(e, n, round(0.5 * n)) for e, n, _ in usual(end, 2, per_hour=300)])
    assert any(j.alert for j in found)


@pytest.mark.parametrize("known", [True, False], ids=["left out", "zeros"])
def test_an_outage_and_its_backlog_raise_nothing(known: bool) -> None:
    d, end = taught()
    down = [(e, 0, 0) for e, _, _ in usual(end, 5)]
    during = [] if known else judge(d, down)
    backlog = [(end + 18_000 + 600 * k, 150 + k, 30 + k) for k in (1, 2)]
    after = judge(d, [*backlog, *usual(backlog[-1][0], 12)])
    assert not any(j.alert for j in during + after)
    if not known:
        assert during[-1].outage
        assert not after[0].outage
    assert after[5].expected_total == pytest.approx(d.update(end + 2 * DAY, 10, 2).expected_total, rel=1.5)


def test_silence_overnight_is_no_outage() -> None:
    d, end = taught(per_hour=0.5)
    assert not any(d.update(end + 600 * k, 0, 0).outage for k in range(1, 40))


def test_it_is_silent_for_a_day_and_seven_wide_buckets() -> None:
    d = Detector(600)
    first = [d.update(T0 + 600 * k, 30, 30 if k > 72 else 3) for k in range(1, 145)]
    assert all(j.cold and j.score == 0 and not j.alert for j in first)
    wide = Detector(DAY)
    assert [wide.update(T0 + DAY * k, 30, 3).cold for k in range(1, 10)] == [True] * 7 + [False] * 2


def test_buckets_of_a_day() -> None:
    d, end = taught(60, width=DAY, per_hour=2.0)
    quiet = judge(d, usual(end, 24 * 10, width=DAY, per_hour=2.0))
    assert not any(j.alert for j in quiet)
    end = quiet and end + 10 * DAY
    surge = judge(d, [(end + DAY, 130, 95), (end + 2 * DAY, 100, 60)])
    assert surge[0].alert
    assert surge[0].window_buckets <= 3
    calm = judge(d, usual(end + 2 * DAY, 24 * 3, width=DAY, per_hour=2.0))
    assert not calm[-1].alert


def test_a_day_of_25_hours_is_no_gap() -> None:
    d, end = taught(60, width=DAY, per_hour=20.0)
    d.update(end + DAY + 3600, 480, 96)
    state = d.state()
    assert state["learning"][1:] == [0.0, 0]  # nothing missed, no backlog


def test_narrow_buckets() -> None:
    d, end = taught(2.5, width=10, per_hour=600)
    assert len(json.dumps(d.state())) < 25_000
    found = judge(d, [(e, n + 2, x + 2) for e, n, x in usual(end, 0.5, width=10, per_hour=600)])
    assert any(j.alert for j in found[:90])
    assert not any(j.alert for j in found[:2])


def test_univariate_series_have_only_a_volume_arm() -> None:
    d = Detector(300, mode="univariate", utc_offset_seconds=0)
    end = float(T0)
    for end, total, _ in stream(10, width=300):
        assert not d.update(end, total, total).alert
    found = judge(d, [(end + 300 * k, 25, 25) for k in range(1, 5)])
    assert found[-1].alert
    assert {j.arm for j in found if j.score} == {"volume"}
    assert found[-1].expected_share == 1.0


def test_an_erratic_series_is_judged_more_coolly() -> None:
    """Spikes for no reason: with the offset a series opens fewer alerts, and still the great surge."""
    opened = []
    for most in (0.0, 1.5):
        rng = random.Random(7)
        d = Detector(600, "univariate", DetectorParams(offset_most=most), utc_offset_seconds=0)
        held, n = False, 0
        for k in range(1, 144 * 42):
            x = poisson(rng, 3 * rng.paretovariate(1.3))
            j = d.update(T0 + 600 * k, x, x)
            n += j.alert and not held
            held = j.alert
        opened.append(n)
        surge = [d.update(T0 + 600 * (144 * 42 + k), 900, 900) for k in range(6)]
        assert surge[-1].alert
    assert opened[0] > 8
    assert opened[1] < 0.85 * opened[0]


def test_the_clock_and_the_calendar_of_a_place() -> None:
    """A day's shape is learnt by the hour of its own clock, and apart for days off."""
    fridays_off = Detector(3_600, utc_offset_seconds=8 * 3600, is_day_off=lambda day: day.weekday() == 4)
    asked: list[date] = []
    seen = Detector(3_600, utc_offset_seconds=8 * 3600, is_day_off=lambda day: bool(asked.append(day)))
    for k in range(1, 24 * 28):
        end = T0 - 8 * 3600 + 3600 * k
        day, hour = divmod(k - 1, 24)
        busy = 9 <= hour < 18 and day % 7 != 4
        fridays_off.update(end, 100 if busy else 10, 20 if busy else 2)
        seen.update(end, 10, 2)
    assert (asked[0], asked[1]) == (date(2024, 3, 4), date(2024, 3, 5))
    thursday = T0 - 8 * 3600 + 31 * DAY
    assert fridays_off.update(thursday + 13 * 3600, 100, 20).expected_total > 70
    assert fridays_off.update(thursday + DAY + 13 * 3600, 10, 2).expected_total < 30


@pytest.mark.parametrize("rebased", [True, False])
def test_a_change_of_model_is_not_news(rebased: bool) -> None:
    """The new model calls twice as many negative, in the same texts."""
    d, end = taught(per_hour=300)
    if rebased:
        d.rebase((0.4 / 0.6) / (0.2 / 0.8))
    found = judge(d, list(stream(1, 300, share=0.4, start=end, seed=3)))
    assert any(j.alert for j in found) is not rebased
    if rebased:
        assert found[0].expected_share == pytest.approx(0.4, abs=0.03)


def test_rebase_in_the_middle_of_a_surge_keeps_it() -> None:
    d, end = taught()
    surge = [(e, n + 15, x + 15) for e, n, x in usual(end, 2)]
    assert judge(d, surge[:6])[-1].alert
    d.rebase(1.2)
    assert all(j.alert for j in judge(d, surge[6:]))


def test_a_share_that_rises_for_good_becomes_usual() -> None:
    """Learning is damped while something is up, for 36 hours and the calm in between, not for ever."""
    d, end = taught(14, per_hour=200)
    found = judge(d, list(stream(10, 200, share=0.45, start=end, seed=51)))
    assert any(j.alert for j in found)
    assert not any(j.alert for j in found[7 * 144 :])
    assert found[-1].expected_share == pytest.approx(0.45, abs=0.05)


@pytest.mark.parametrize("ratio", [0, -1, math.nan, math.inf])
def test_a_ratio_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Detector(600).rebase(ratio)


@pytest.mark.parametrize("bad", [(5, 6), (-1, -1), (math.nan, 0), (5, math.nan), (math.inf, 1), (5, -1)])
def test_counts_that_cannot_be_are_refused_and_not_learnt(bad: tuple[float, float]) -> None:
    d, end = taught(2)
    before = d.state()
    with pytest.raises(ValueError, match="use 0 <= negative <= total"):
        d.update(end + 600, *bad)
    assert d.state() == before


@pytest.mark.parametrize(("width", "mode"), [(9, "counts"), (86_401, "counts"), (600, "rates")])
def test_what_it_cannot_do_is_refused(width: int, mode: str) -> None:
    with pytest.raises(ValueError, match="use"):
        Detector(width, mode)


def test_a_state_of_another_make_is_refused() -> None:
    state = taught(1)[0].state()
    for wrong in ({**state, "version": "surge-0"}, {**state, "bucket_seconds": 60.0}, {**state, "mode": "univariate"}):
        with pytest.raises(ValueError, match="detector state of"):
            Detector.restore(wrong, 600)


def test_severity_is_the_worst_since_the_alert_began() -> None:
    p = DetectorParams(open=0.5, warning=1.0, critical=1.5, close=0.2)
    d = Detector(600, params=p, utc_offset_seconds=0)
    order = {None: 0, "info": 1, "warning": 2, "critical": 3}
    worst = 0.0
    held = False
    seen = set()
    for b in stream(20):
        j = d.update(*b)
        worst = max(worst, j.score) if held else j.score
        held = j.alert
        if j.alert:
            assert order[j.severity] == 1 + (worst >= 1.0) + (worst >= 1.5)
        seen.add(j.severity)
    assert {None, "info"} < seen


lives = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 40), st.floats(0, 1), st.just(1)),
        st.tuples(st.just(0), st.just(0.0), st.sampled_from([1, 3, 90])),  # silence, and stretches left out
        st.tuples(st.integers(50, 300), st.floats(0.5, 1), st.just(1)),
    ),
    min_size=20,
    max_size=120,
)


@settings(max_examples=60, deadline=None)
@given(
    lives, st.sets(st.integers(0, 119), min_size=1, max_size=5), st.sampled_from([10, 60, 600, 3_600, DAY]),
    st.sampled_from(["counts", "univariate"]),
)  # fmt: skip
def test_a_restart_changes_nothing(
    life: list[tuple[int, float, int]], restarts: set[int], width: int, mode: str
) -> None:
    """State goes through JSON at any bucket; everything after is the same to the last bit."""
    quick = DetectorParams(cold_for=3 * width, wary_for=6 * width, open=2.0)
    through = Detector(width, mode, params=quick)
    restarted = Detector(width, mode, params=quick)
    end = float(T0)
    for n, (total, share, step) in enumerate(life):
        end += step * width
        negative = total if mode == "univariate" else round(total * share)
        if n in restarts:
            kept = json.loads(json.dumps(restarted.state()))
            restarted = Detector.restore(kept, width, mode, params=quick)
        if n % 37 == 36:
            through.rebase(1.3)
            restarted.rebase(1.3)
        assert through.update(end, total, negative) == restarted.update(end, total, negative)
    assert through.state() == restarted.state()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 1)), min_size=10, max_size=80),
    st.sampled_from([10, 600, DAY]),
)
def test_any_counts_give_finite_answers(life: list[tuple[int, float]], width: int) -> None:
    d = Detector(width, params=DetectorParams(cold_for=0, wary_for=0, wide_cold=0))
    for n, (total, share) in enumerate(life):
        j = d.update(T0 + n * width, total, round(total * share))
        for value in (j.score, j.expected_total, j.expected_negative, j.expected_share, j.band_low, j.band_high):
            assert math.isfinite(value)
            assert value >= 0
    json.dumps(d.state(), allow_nan=False)


def test_it_is_quick_and_does_not_grow() -> None:
    d, end = taught(3, per_hour=600)
    size = len(json.dumps(d.state()))
    buckets = list(stream(28, 600, start=end))
    began = time.process_time()
    for b in buckets:
        d.update(*b)
    each = (time.process_time() - began) / len(buckets)
    assert each < 250e-6  # 20 to 40 microseconds on a machine with nothing else to do
    assert len(json.dumps(d.state())) < 1.2 * size + 500
