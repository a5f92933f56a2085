"""Tail probabilities against exact sums; windows against plain sums; scatter against what made it."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detection.tail_probabilities import count_surprise, share_surprise
from monitor.detection.windows import Scatter, Windows, block_buckets


def exact_count(seen: int, mean: float, dispersion: float) -> float:
    """-log10 of P(X > seen) + P(X = seen) / 2 of a negative binomial, summed."""
    k = 1 / dispersion

    def log_p(x: int) -> float:
        return (
            math.lgamma(x + k) - math.lgamma(k) - math.lgamma(x + 1)
            + k * math.log(k / (k + mean)) + x * math.log(mean / (k + mean))
        )  # fmt: skip

    first = log_p(seen)
    return -(first + math.log(0.5 + sum(math.exp(log_p(x) - first) for x in range(seen + 1, seen + 4_000)))) / math.log(
        10
    )


def exact_share(negative: int, total: int, share: float) -> float:
    p = Fraction(share)
    tail = [math.comb(total, x) * p**x * (1 - p) ** (total - x) for x in range(negative, total + 1)]
    exact = sum(tail) - tail[0] / 2
    return (math.log(exact.denominator) - math.log(exact.numerator)) / math.log(10)


@settings(deadline=None)
@given(st.floats(0.02, 150), st.floats(0.005, 1.5), st.floats(1.3, 12))
def test_the_tail_of_counts(mean: float, dispersion: float, times: float) -> None:
    seen = math.ceil(mean * times) + 2
    exact = exact_count(seen, mean, dispersion)
    assert count_surprise(seen, mean, dispersion) == pytest.approx(exact, rel=0.02, abs=0.03)


@settings(deadline=None)
@given(st.integers(4, 150), st.sampled_from([0.02, 0.1, 0.25, 0.5, 0.7]), st.floats(0, 1))
def test_the_tail_of_shares(total: int, share: float, where: float) -> None:
    least = math.ceil(total * share) + 1
    negative = min(total, least + round(where * (total - least)))
    assert share_surprise(negative, total, share, 1.0) == pytest.approx(
        exact_share(negative, total, share), rel=0.04, abs=0.06
    )


def test_what_is_not_more_than_usual_surprises_nobody() -> None:
    assert count_surprise(3, 3, 0.1) == 0
    assert share_surprise(2, 10, 0.2, 1.0) == 0
    assert share_surprise(0, 0, 0.2, 1.0) == 0


def test_texts_that_go_together_surprise_less() -> None:
    assert share_surprise(60, 100, 0.2, 5.0) < share_surprise(60, 100, 0.2, 1.0) / 3


def test_huge_counts_do_not_underflow() -> None:
    assert count_surprise(1e9, 1e3, 0.001) > 1_000
    assert 1e8 < share_surprise(1e9, 1e9, 0.2, 1.0) < 1e9


rows = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=500)


@settings(deadline=None)
@given(rows, st.sampled_from([10, 100, 300, 600, 3_600]), st.sets(st.integers(0, 499), max_size=1))
def test_windows_are_plain_sums(seen: list[tuple[int, int]], width: int, clears: set[int]) -> None:
    w = Windows(width, wide=width > 1_800)
    per_block = block_buckets(width)
    kept: list[tuple[int, int]] = []
    for n, (total, negative) in enumerate(seen):
        w.push(total, negative, total / 2, negative / 2)
        kept.append((total, negative))
        sums = w.sums()
        whole, part = divmod(len(kept), per_block)
        assert len(sums) == 1 + sum(length <= whole for length in w.lengths[1:])
        for length, s in zip(w.lengths, sums, strict=False):
            last = kept[-(length * per_block + part) :] if length > (per_block == 1) else kept[-1:]
            assert s.buckets == len(last)
            assert s.total == sum(t for t, _ in last)
            assert s.negative == sum(x for _, x in last)
            assert s.expected_negative == pytest.approx(sum(x for _, x in last) / 2)
        assert w.tail_excess(1) == pytest.approx(sum(x for _, x in kept[-(per_block + part) :]) / 2)
        if n in clears:
            w.clear()
            kept = []


def poisson(rng: random.Random, mean: float) -> int:
    at, n = rng.expovariate(1.0), 0
    while at < mean:
        at, n = at + rng.expovariate(1.0), n + 1
    return n


@pytest.mark.parametrize(("mean", "within"), [(0.5, 0.4), (5.0, 0.2), (40.0, 0.2)])
def test_scatter_finds_the_over_dispersion_that_made_the_counts(mean: float, within: float) -> None:
    """Rare texts tell little of it: there the prior pulls, and the cut of what looks like a surge."""
    rng = random.Random(3)
    found = Scatter(0.15, 30.0)
    true = 0.4
    for _ in range(10_000):
        rate = mean * rng.gammavariate(1 / true, true)
        x = poisson(rng, rate)
        found.learn(x - mean, mean, mean * mean, 1.0, 0.5 ** (1 / 3_000))
    assert found.value == pytest.approx(true, rel=within)


def test_one_surge_hardly_moves_the_scatter() -> None:
    found = Scatter(0.1, 30.0)
    for k in range(500):
        found.learn(2.0 if k % 2 else -2.0, 10.0, 100.0, 1.0, 0.999)
    before = found.value
    found.learn(5_000.0, 10.0, 100.0, 1.0, 0.999)
    assert found.value < before + 0.05
