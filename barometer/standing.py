"""Compares the negatives of a period with what was expected: above, below, as usual, or too few texts to say.

For display and sorting, not for alerts: those are the detector's, bucket by bucket. Everything that says "above
expectation" uses it: Home, Overview, the heat map, a series' page, the API.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal, NamedTuple

FEW = 4
"""With fewer negatives than this both seen and expected, nothing is said; so many are what an alert takes, too."""
TOGETHER = 2.0
"""The variance of a count over that of independent texts: those about one event come together."""
Z99 = 2.575829
"""Two-sided, 99 %: of hundreds of series that are looked at, few are called unusual by chance."""

Way = Literal["above", "below", "usual", "few", "unknown"]


class Standing(NamedTuple):
    """``unknown``: nothing was expected yet; ``few``: too few negatives to say anything."""

    way: Way
    seen: int
    expected: float
    ratio: float | None = None
    """Seen over expected, with its 99 % interval; None where nothing is said, or nothing was expected."""
    low: float | None = None
    high: float | None = None
    far: float = 0.0
    """For sorting: rough standard deviations above expectation; 0 where nothing is said."""


def stand(seen: int, expected: float | None) -> Standing:
    """Judge the negatives of the buckets that had an expectation.

    The interval is that of a Poisson count by Byar's approximation, widened for texts that come together. Above and
    below mean that all of it is.

    >>> stand(60, 30.0).way, stand(30, 30.0).way, stand(9, 3.0).way, stand(1, 0.2).way, stand(3, None).way
    ('above', 'usual', 'usual', 'few', 'unknown')
    """
    if expected is None:
        return Standing("unknown", seen, 0.0)
    if max(seen, expected) < FEW:
        return Standing("few", seen, expected)
    far = (seen - expected) / sqrt(TOGETHER * (expected + 1))
    low, high = (x * TOGETHER for x in _byar(seen / TOGETHER))
    way: Way = "above" if low > expected else "below" if high < expected else "usual"
    if expected <= 0:
        return Standing(way, seen, expected, far=far)
    return Standing(way, seen, expected, seen / expected, low / expected, high / expected, far)


def _byar(k: float) -> tuple[float, float]:
    """The interval of a Poisson mean of which ``k`` was seen; ``k`` may have a fraction."""
    low = k * max(0.0, 1 - 1 / (9 * k) - Z99 / (3 * sqrt(k))) ** 3 if k > 0 else 0.0
    n = k + 1
    return low, n * (1 - 1 / (9 * n) + Z99 / (3 * sqrt(n))) ** 3
