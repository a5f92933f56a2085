"""What an alert keeps of the texts behind it, since sources delete: the most telling ones, how many were copies, who
sent them. Late texts are no part of it, as they are no part of what was judged."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, case, func, select, tuple_

from barometer.readable import around, readable
from barometer.store.tables import Document, SeriesDocument, Source

MAX_TEXT = 500
"""Characters of a text that an alert keeps."""
MOSTLY = 0.5
"""From this share of the negatives on, one text, or price moves, are said to be most of them."""


def different_texts(c: Connection, series_id: int, kind: int | None, start: int, end: int) -> int:
    """Number of different negative texts of a series and kind (None: all) in [start, end): its copies folded."""
    found = select(func.count(SeriesDocument.fingerprint.distinct())).where(*_negatives(series_id, kind, start, end))
    return int(c.execute(found).scalar_one())


def most_copied(c: Connection, series_id: int, kind: int | None, start: int, end: int) -> int:
    """How often the negative text of a series in [start, end) came that came most often."""
    n = func.count().label("n")
    each = select(n).where(*_negatives(series_id, kind, start, end)).group_by(SeriesDocument.fingerprint).subquery()
    return int(c.execute(select(func.max(each.c.n))).scalar() or 0)


def telling_texts(
    c: Connection, series_id: int, kind: int, start: int, end: int, limit: int = 10
) -> list[dict[str, Any]]:
    """The most telling texts of a series in [start, end): negative, the surest and most copied first, copies folded
    into the first with their count."""
    s, d = SeriesDocument, Document
    n, p, first = func.count(), func.max(s.p_negative), func.min(s.observed_at)
    bonus = case((n < 20, n), else_=20) * 0.01
    top = c.execute(
        select(s.fingerprint, n, p, first)
        .where(*_negatives(series_id, kind, start, end))
        .group_by(s.fingerprint)
        .order_by((p + bonus).desc(), first, s.fingerprint)
        .limit(limit)
    ).all()
    if not top:
        return []
    rows = c.execute(
        select(s.row_id, s.observed_at, s.fingerprint, d.title, d.text, d.url, Source.name.label("source"))
        .join(d, (d.observed_at == s.observed_at) & (d.row_id == s.row_id))
        .outerjoin(Source, Source.id == d.source_id)
        .where(
            *_negatives(series_id, kind, start, end),
            tuple_(s.fingerprint, s.observed_at).in_([(r[0], r[3]) for r in top]),
        )
        .order_by(s.row_id.desc())
    )
    firsts = {r.fingerprint: r for r in rows}  # the least row of those that came in the same millisecond
    return [
        {
            "row_id": str(r.row_id),
            "observed_at": r.observed_at,
            "kind": kind,
            "source": r.source,
            "title": r.title,
            "text": around(readable(r.text), (), MAX_TEXT),
            "p_negative": round(float(surest), 4),
            "copies": int(copies),
            "url": r.url,
        }
        for fingerprint, copies, surest, _ in top
        if (r := firsts.get(fingerprint)) is not None
    ]


def top_sources(
    c: Connection, series_id: int, kind: int | None, start: int, end: int, limit: int = 5
) -> list[dict[str, Any]]:
    """Who sent the negative texts of a series in [start, end)."""
    s, d = SeriesDocument, Document
    name = func.coalesce(Source.name, "").label("name")
    rows = c.execute(
        select(name, func.count().label("n"))
        .select_from(s)
        .join(d, (d.observed_at == s.observed_at) & (d.row_id == s.row_id))
        .outerjoin(Source, Source.id == d.source_id)
        .where(*_negatives(series_id, kind, start, end))
        .group_by(name)
        .order_by(func.count().desc(), name)
        .limit(limit)
    )
    return [{"source": r.name or None, "negative": int(r.n)} for r in rows]


def _negatives(series_id: int, kind: int | None, start: int, end: int) -> tuple[Any, ...]:
    s = SeriesDocument
    return (
        s.series_id == series_id,
        *(() if kind is None else (s.kind == kind,)),
        s.sentiment == 0,
        s.late.is_(False),
        s.observed_at >= start,
        s.observed_at < end,
    )
