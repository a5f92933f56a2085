"""Counts of series by source or language. Rollups have neither, so these are counted from documents: for short periods
only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, case, func, select, text

from barometer.store.series.totals import Totals
from barometer.store.tables import Document, Prediction, Rollup, Series, SeriesDocument, Source
from barometer.vocabulary import Sentiment

MOST_TEXTS = 300_000
"""Periods with more documents are not counted this way."""


def texts_between(c: Connection, from_ms: int, to_ms: int) -> int:
    """Approximate number of documents of a period, from the rollups of ``all``: cheap."""
    found = c.execute(
        select(func.sum(Rollup.total))
        .join(Series, Series.id == Rollup.series_id)
        .where(Series.name == "all", Rollup.bucket >= from_ms, Rollup.bucket < to_ms)
    ).scalar()
    return int(found or 0)


def filtered_totals(
    c: Connection,
    from_ms: int,
    to_ms: int,
    steps: int,
    kinds: Sequence[int],
    *,
    source: str | None = None,
    lang: str | None = None,
) -> dict[int, Totals]:
    """As :func:`barometer.store.series.totals.totals`, of the texts of one source and language; late ones
    are left out. There is no expectation of a part."""
    d, m = Document, SeriesDocument
    width = max(1, (to_ms - from_ms) // steps)
    if c.dialect.name == "postgresql":
        c.execute(text("SET LOCAL work_mem = '32MB'"))  # a day's texts are sorted and counted in memory
    step = ((m.observed_at - from_ms) // width).label("step")
    where = [d.observed_at >= from_ms, d.observed_at < to_ms, d.kind.in_(kinds), d.late.is_(False)]
    if lang is not None:
        where.append(d.lang == lang)
    if source is not None:
        where.append(d.source_id == select(Source.id).where(Source.name == source).scalar_subquery())
    whole = _whole(c, where, from_ms, to_ms)
    # Series by series along the key: nothing else leads from a time to the series of its texts. Their numbers are
    # written out, or PostgreSQL reads a whole month instead.
    where.append(m.series_id.in_(list(c.execute(select(Series.id)).scalars())))
    out: dict[int, Totals] = defaultdict(Totals)
    rows = c.execute(
        select(m.series_id, step, func.count(), func.sum(case((m.sentiment == int(Sentiment.NEGATIVE), 1), else_=0)))
        .select_from(d)
        .join(m, and_(m.observed_at == d.observed_at, m.row_id == d.row_id))
        .where(*where, m.observed_at >= from_ms, m.observed_at < to_ms)
        .group_by(m.series_id, step)
    )
    for series_id, at, total, negative in rows:
        item = out[int(series_id)]
        point = item.points[min(int(at), steps - 1)]
        item.total += int(total)
        item.negative += int(negative)
        point[0] += int(negative)
        point[1] += int(total)
        point[3] += int(total)
    total = c.execute(select(Series.id).where(Series.name == "all")).scalar()
    if total is not None:
        out[int(total)] = whole
    return dict(out)


def _whole(c: Connection, where: Sequence[ColumnElement[bool]], from_ms: int, to_ms: int) -> Totals:
    """All texts that fit, whatever series they belong to."""
    d, p = Document, Prediction
    total, unscored = c.execute(
        select(func.count(), func.sum(case((d.scored.is_(False), 1), else_=0))).where(*where)
    ).one()
    # A text that several models have read is still one text. The time is said of both tables: PostgreSQL does not
    # conclude from one to the other, and would read all months of predictions.
    negative = c.execute(
        select(func.count(d.row_id.distinct()))
        .join(p, and_(p.observed_at == d.observed_at, p.row_id == d.row_id))
        .where(*where, p.sentiment == int(Sentiment.NEGATIVE), p.observed_at >= from_ms, p.observed_at < to_ms)
    ).scalar()
    return Totals(total=int(total), negative=int(negative or 0), unscored=int(unscored or 0))


def languages(c: Connection) -> list[str]:
    """Languages of the latest documents."""
    latest = select(Document.lang).order_by(Document.observed_at.desc()).limit(2_000).subquery()
    return sorted(r[0] for r in c.execute(select(latest.c.lang).distinct()))
