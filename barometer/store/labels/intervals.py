"""Confidence intervals of shares: how far a figure of few texts can be trusted."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

Z95 = 1.959964
"""Two-sided, 95 %."""


class Share(NamedTuple):
    """A share with its 95 % interval, and what it is of."""

    value: float
    low: float
    high: float
    hits: float
    n: float
    """May have fractions, where two people disagree about a text."""


def wilson(hits: float, n: float, z: float = Z95) -> Share | None:
    """The score interval of a binomial share (Wilson 1927), which holds for few texts and for shares near 0 and 1;
    None of nothing.

    >>> s = wilson(9, 10)
    >>> round(s.value, 3), round(s.low, 3), round(s.high, 3)
    (0.9, 0.596, 0.982)
    >>> wilson(0, 0) is None
    True
    """
    if n <= 0:
        return None
    p = min(1.0, max(0.0, hits / n))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Share(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), hits, n)
