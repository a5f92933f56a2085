"""What changed: which terms, sources and companies the negatives of a period have more of than those before it, by the
measure of :mod:`monitor.explanation.term_lift`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from barometer.store.series.context import NegativeText, negative_texts
from dashboard.context import DAY, HOUR, Context
from monitor.explanation.term_lift import Lift, lifted, lifted_terms

NOW, BEFORE = 600, 1_200
"""At most so many texts are compared."""
LONGEST_BASELINE, SHORTEST_BASELINE = 7 * DAY, 24 * HOUR
_KEPT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Changes:
    """``texts`` and ``before``: how many negatives were compared."""

    texts: int
    before: int
    baseline_ms: int
    terms: tuple[Lift, ...]
    sources: tuple[Lift, ...]
    companies: tuple[Lift, ...]


def changes(ctx: Context, series_id: int, begin: int, end: int, kinds: Sequence[int]) -> Changes:
    """Of the latest negatives of a series in [begin, end), against those of the time just before."""
    baseline = min(LONGEST_BASELINE, max(SHORTEST_BASELINE, 6 * (end - begin)))

    def make() -> Changes:
        with ctx.store.read() as c:
            now = negative_texts(c, series_id, begin, end, kinds, NOW)
            before = negative_texts(c, series_id, begin - baseline, begin, kinds, BEFORE) if now else []
        return Changes(
            len(now),
            len(before),
            baseline,
            lifted_terms([x.text for x in now], [x.text for x in before]),
            lifted(_by_source(now), _by_source(before), len(now), len(before)),
            lifted(_by_company(now), _by_company(before), len(now), len(before)),
        )

    return ctx.brief.get(("changes", series_id, begin, end, tuple(kinds)), make, _KEPT_SECONDS)


def _by_source(texts: Iterable[NegativeText]) -> Counter[str]:
    return Counter(x.source for x in texts if x.source)


def _by_company(texts: Iterable[NegativeText]) -> Counter[str]:
    return Counter(symbol for x in texts for symbol in {str(s) for s in x.symbols})
