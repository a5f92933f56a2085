"""How a period of a series is put against what was expected of it, and against its peers: figures for looking and
sorting. They do not judge: that is the detector's, bucket by bucket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from barometer.store.queries import Totals

ODD = 2.0
"""Rough standard deviations from which a period is called unusual."""
ENOUGH = 20
"""Scored texts under which a share says nothing."""


def pressure(item: Totals | None) -> float:
    """How far the negatives of a period are above expectation, in rough standard deviations."""
    if item is None or item.expected_negative is None:
        return 0.0
    return (item.judged_negative - item.expected_negative) / sqrt(item.expected_negative + 1)


@dataclass(frozen=True, slots=True)
class Shift:
    """A negative share against the expected one, both 0 to 1, over the same judged buckets."""

    seen: float
    expected: float
    far: float
    """Rough standard deviations; above 0: more negative than expected."""


def shift(item: Totals | None) -> Shift | None:
    """None where too little was judged to compare. The variance is the binomial's, doubled: texts about one event do
    not speak independently."""
    if item is None or item.expected_negative is None or item.judged_scored < ENOUGH or item.expected_total <= 0:
        return None
    usual = min(1.0, item.expected_negative / item.expected_total)
    n = item.judged_scored
    return Shift(
        item.judged_negative / n,
        usual,
        (item.judged_negative - n * usual) / sqrt(2 * n * usual * (1 - usual) + 1),
    )


@dataclass(frozen=True, slots=True)
class Peers:
    """A share among those of the same kind: 1 is the most negative."""

    rank: int
    of: int
    median: float
    shares: tuple[float, ...]
    """Of all, itself included, in ascending order."""


def group_of(name: str) -> str:
    """What kind of thing a series watches: ``topic``, ``symbol``, ``watch``; the total is a kind of its own."""
    head, colon, _ = name.partition(":")
    return head if colon else name


def peers(share: float | None, others: Iterable[float | None]) -> Peers | None:
    """A share against the others of its kind; None without a share or without peers.

    Args:
        others: shares of the other series, None where there is none.

    >>> p = peers(0.5, [0.1, 0.3, None])
    >>> p.rank, p.of, p.median
    (1, 3, 0.3)
    """
    known: Sequence[float] = [x for x in others if x is not None]
    if share is None or not known:
        return None
    everyone = sorted([*known, share])
    return Peers(1 + sum(x > share for x in known), len(everyone), median(everyone), tuple(everyone))
