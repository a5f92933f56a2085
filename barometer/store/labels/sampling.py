"""Sampling of texts to label: uniformly at random, or those that the model is least sure of.

**At random.** There is no cheap way to number millions of texts, but sealed buckets say how many each holds: cells of
the period are chosen by their counts, then a bucket of the cell by its count, then one of its texts. A draw that is
not the first of its copies in the store is thrown away, so what is left is uniform over *different* texts. A draw
reads some hundred counts and the keys of one bucket, however many texts there are. Late texts and unscored ones are
not drawn: they are in no sealed count, or the model said nothing of them.

**Least sure.** Of the latest texts, those whose two likeliest sentiments are closest (margin sampling: Scheffer,
Decomain and Wrobel 2001). They teach most and say nothing about how good the model is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from sqlalchemy import Connection, and_, select

from barometer.store.documents.copies import with_copies
from barometer.store.documents.keys import Key
from barometer.store.documents.listing import Text, texts_of
from barometer.store.engine import Store
from barometer.store.series.points import points
from barometer.store.series.totals import find_series, sealed_until
from barometer.store.tables import Document, Prediction, SeriesDocument
from barometer.vocabulary import KIND_CODES

ALL = "all"
PERIOD_MS = 30 * 86_400_000
"""Texts are drawn from the last so many milliseconds."""
TRIES = 300
"""Draws that may be thrown away before there is said to be nothing."""
LATEST = 2_000
"""Of so many of the latest texts the least sure are taken."""


def random_text(
    c: Connection,
    store: Store,
    bucket_ms: int,
    now_ms: int,
    rng: Random,
    series: str = ALL,
    unwanted: Callable[[Text], bool] = lambda _: False,
) -> Text | None:
    """One different text of the last :data:`PERIOD_MS`, each as likely as any other; None if there is none, or none
    that was not ``unwanted``.

    Args:
        series: only texts of this series (its members as the model said).
        unwanted: texts that were drawn before: drawing goes on without them, so that the whole is a sample without
            replacement.
    """
    row = find_series(c, series)
    if row is None:
        return None
    begin = (now_ms - PERIOD_MS) // bucket_ms * bucket_ms
    end = sealed_until(c)
    if end is None or end <= begin:
        return None
    inside: dict[int, list[tuple[int, int, int]]] = {}

    def counts(low: int, high: int) -> list[tuple[int, int, int]]:
        if low not in inside:
            cells, _ = points(c, row.id, low, high, KIND_CODES, bucket_ms, 400)
            inside[low] = [(p.start, p.end, p.total - p.unscored) for p in cells if p.total > p.unscored]
        return inside[low]

    for _ in range(TRIES):
        low, high = begin, end
        while high - low > bucket_ms:
            cells = counts(low, high)
            if not cells:
                break
            low, high, _n = rng.choices(cells, [n for _, _, n in cells])[0]
        if high - low > bucket_ms:
            if low == begin:
                return None
            continue
        keys = _keys(c, row.id if row.name != ALL else None, low, high)
        if not keys:
            continue  # retention took them
        found = with_copies(c, store, texts_of(c, [rng.choice(keys)], whole=True))
        if not found or (found[0].first_at is not None and found[0].first_at < found[0].observed_at):
            continue
        if not unwanted(found[0]):
            return found[0]
    return None


def least_sure(c: Connection, series: str = ALL, latest: int = LATEST) -> list[Key]:
    """Keys of the latest texts, those first of which the model is least sure."""
    p, m = Prediction, SeriesDocument
    q: Any = select(p.observed_at, p.row_id, p.p_negative, p.p_neutral, p.p_positive)
    if series == ALL:
        newest = q.order_by(p.observed_at.desc(), p.row_id.desc()).limit(latest)
    else:
        row = find_series(c, series)
        if row is None:
            return []
        keys = (
            select(m.observed_at, m.row_id)
            .where(m.series_id == row.id)
            .order_by(m.observed_at.desc(), m.row_id.desc())
            .limit(latest)
            .subquery()
        )
        newest = q.join(keys, and_(keys.c.observed_at == p.observed_at, keys.c.row_id == p.row_id))
    margins: dict[Key, float] = {}
    for at, row_id, *ps in c.execute(newest):
        second, first = sorted(ps)[1:]
        margins[int(at), int(row_id)] = first - second
    return sorted(margins, key=lambda k: (margins[k], -k[0], k[1]))


def _keys(c: Connection, series_id: int | None, begin: int, end: int) -> Sequence[Key]:
    """The texts of a bucket that its count counted."""
    d, m = Document, SeriesDocument
    if series_id is None:
        q = select(d.observed_at, d.row_id).where(
            d.observed_at >= begin, d.observed_at < end, d.late.is_(False), d.scored.is_(True)
        )
    else:
        q = select(m.observed_at, m.row_id).where(
            m.series_id == series_id, m.observed_at >= begin, m.observed_at < end, m.late.is_(False)
        )
    return [(int(at), int(row)) for at, row in c.execute(q)]
