"""What changed: which terms, sources and companies the negatives of a period have more of than those before it.

The measure is the log-odds ratio with an informative Dirichlet prior, over its standard deviation (Monroe, Colaresi and
Quinn: Fightin' Words, 2008): rare things need more to count than common ones, and nothing divides by zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

from barometer.store.queries_behind import Said, said
from dashboard.context import DAY, HOUR, Context
from dashboard.terms import texts_by_term, without_twins

NOW, BEFORE = 600, 1_200
"""At most so many texts are compared."""
LONGEST_BASELINE, SHORTEST_BASELINE = 7 * DAY, 24 * HOUR
SURE, SURE_OF_TERMS = 1.96, 3.0
MOST = 8
_KEPT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Risen:
    """Something that is more frequent now: in how many texts of now and of before."""

    name: str
    now: int
    before: int
    z: float


@dataclass(frozen=True, slots=True)
class Changes:
    """``texts`` and ``before``: how many negatives were compared."""

    texts: int
    before: int
    baseline_ms: int
    terms: tuple[Risen, ...]
    sources: tuple[Risen, ...]
    companies: tuple[Risen, ...]


def changes(ctx: Context, series_id: int, begin: int, end: int, kinds: Sequence[int]) -> Changes:
    """Of the latest negatives of a series in [begin, end), against those of the time just before."""
    baseline = min(LONGEST_BASELINE, max(SHORTEST_BASELINE, 6 * (end - begin)))

    def make() -> Changes:
        with ctx.store.read() as c:
            now = said(c, series_id, begin, end, kinds, NOW)
            before = said(c, series_id, begin - baseline, begin, kinds, BEFORE) if now else []
        return Changes(
            len(now),
            len(before),
            baseline,
            risen_terms(now, before),
            risen(_by_source(now), _by_source(before), len(now), len(before)),
            risen(_by_company(now), _by_company(before), len(now), len(before)),
        )

    return ctx.brief.get(("changes", series_id, begin, end, tuple(kinds)), make, _KEPT_SECONDS)


def risen(
    now: Mapping[str, int],
    before: Mapping[str, int],
    texts: int,
    texts_before: int,
    most: int = MOST,
    sure: float = SURE,
) -> tuple[Risen, ...]:
    """What is in more texts than before, the surest first.

    Args:
        now: in how many of ``texts`` texts each is.
        before: the same of ``texts_before`` texts.

    >>> [r.name for r in risen({"default": 30, "today": 20}, {"default": 2, "today": 40}, 50, 100)]
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
            found.append(Risen(name, n, m, round(z, 2)))
    return tuple(sorted(found, key=lambda r: (-r.z, r.name))[:most])


def risen_terms(now: Sequence[Said], before: Sequence[Said]) -> tuple[Risen, ...]:
    """Words and pairs of words; hundreds are compared at once, so these have to be surer than the few sources are."""
    here, there = texts_by_term(x.text for x in now), texts_by_term((x.text for x in before), least=1)
    counts, usual = ({term: len(where) for term, where in found.items()} for found in (here, there))
    found = {r.name: r for r in risen(counts, usual, len(now), len(before), most=40 * MOST, sure=SURE_OF_TERMS)}
    return tuple(found[name] for name in without_twins(list(found), here, MOST))


def _by_source(texts: Iterable[Said]) -> Counter[str]:
    return Counter(x.source for x in texts if x.source)


def _by_company(texts: Iterable[Said]) -> Counter[str]:
    return Counter(symbol for x in texts for symbol in {str(s) for s in x.symbols})
