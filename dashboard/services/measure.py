"""How a period of a series is put against what was expected of it, and against its peers: figures for looking and
sorting. They do not judge: that is the detector's, bucket by bucket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from barometer.standing import Standing, stand
from barometer.store.series.totals import Totals

FEW = 5
"""Scored texts under which no share is shown."""
ENOUGH = 20
"""Scored texts under which a share is not put against others."""


def standing(item: Totals | None) -> Standing:
    """A period of a series against expectation, over the same judged buckets."""
    return stand(0, None) if item is None else stand(item.judged_negative, item.expected_negative)


def shown_share(item: Totals) -> float | None:
    """The negative share, where it rests on enough texts to be shown."""
    return item.share if item.scored >= FEW else None


def ranked_share(share: float | None, scored: int) -> float | None:
    """The negative share, where it rests on enough texts to be put against others."""
    return share if scored >= ENOUGH else None


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
    """A share against the others of its kind; None without a share or without peers. Give only shares that rest on
    enough texts (:func:`ranked_share`).

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
