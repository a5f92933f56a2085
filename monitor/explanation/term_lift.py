"""Lift: which terms, sources and companies are more frequent now than before.

The measure is the log-odds ratio with an informative Dirichlet prior, over its standard deviation (Monroe, Colaresi and
Quinn: Fightin' Words, 2008): rare things need more to count than common ones, and nothing divides by zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

from monitor.explanation.terms import texts_by_term, without_twins

SURE, SURE_OF_TERMS = 1.96, 3.0
MOST = 8


@dataclass(frozen=True, slots=True)
class Lift:
    """Something that is more frequent now, with the number of texts that have it now and before."""

    name: str
    now: int
    before: int
    z: float


def lifted(
    now: Mapping[str, int],
    before: Mapping[str, int],
    texts: int,
    texts_before: int,
    most: int = MOST,
    sure: float = SURE,
) -> tuple[Lift, ...]:
    """What is in more texts than before, the surest first.

    Args:
        now: in how many of ``texts`` texts each is.
        before: the same of ``texts_before`` texts.

    >>> [r.name for r in lifted({"default": 30, "today": 20}, {"default": 2, "today": 40}, 50, 100)]
    ['default']
    """
    whole, found = texts + texts_before, []
    for name, n in now.items():
        m = before.get(name, 0)
        prior = max(0.1, 10 * (n + m) / max(1, whole))
        rest = 10 - min(prior, 9.9)
        odds = log((n + prior) / (texts - n + rest)) - log((m + prior) / (texts_before - m + rest))
        z = odds / sqrt(1 / (n + prior) + 1 / (m + prior))
        if z >= sure and n >= 2:
            found.append(Lift(name, n, m, round(z, 2)))
    return tuple(sorted(found, key=lambda r: (-r.z, r.name))[:most])


def lifted_terms(now: Sequence[str], before: Sequence[str]) -> tuple[Lift, ...]:
    """Words and pairs of words; hundreds are compared at once, so these have to be surer than the few sources are."""
    here, there = texts_by_term(now), texts_by_term(before, least=1)
    counts, usual = ({term: len(where) for term, where in found.items()} for found in (here, there))
    found = {r.name: r for r in lifted(counts, usual, len(now), len(before), most=40 * MOST, sure=SURE_OF_TERMS)}
    return tuple(found[name] for name in without_twins(list(found), here, MOST))
