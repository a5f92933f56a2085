"""Lists of documents: the texts behind a point of a series, the latest ones, or those of given keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, select, tuple_

from barometer.store.documents.keys import Key, keys_cte, newest_prediction
from barometer.store.tables import Document, ModelVersion, Prediction, SeriesDocument, Source

_TEXT = 600
"""Characters of a text that a list shows."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a list; ``copies`` of it fell into the period."""

    observed_at: int
    row_id: int
    kind: int
    sentiment: int | None
    p_negative: float | None
    source: str | None
    title: str | None
    text: str
    url: str | None
    late: bool
    copies: int
    topics: dict[str, float]
    lang: str
    unscored_reason: str | None
    cut: bool
    """``text`` is only the beginning."""
    p_neutral: float | None
    p_positive: float | None
    model: str | None
    """Name of the model version of this prediction."""
    flags: int
    """Bits of :class:`barometer.records.Flag`."""
    published_at: int | None
    fingerprint: int
    symbols: list[str]
    engagement: dict[str, int]
    first_at: int | None = None
    """When the first of its copies in the store was observed (itself included), where that was asked for."""
    first_source: str | None = None
    """Source of the first copy (首发)."""

    @property
    def confidence(self) -> float | None:
        """The probability of the label that it was given."""
        ps = (self.p_negative, self.p_neutral, self.p_positive)
        return None if self.sentiment is None else ps[self.sentiment]

    @property
    def key(self) -> str:
        """The row id as text: browsers read numbers beyond 2^53 wrongly."""
        return str(self.row_id)


def latest_of(c: Connection, series_id: int, from_ms: int, to_ms: int, kinds: Sequence[int], most: int) -> int:
    """The earliest time from which a series has at most ``most`` texts until ``to_ms``; at least ``from_ms``."""
    m = SeriesDocument
    last = c.execute(
        select(m.observed_at)
        .where(m.series_id == series_id, m.observed_at >= from_ms, m.observed_at < to_ms, m.kind.in_(kinds))
        .order_by(m.observed_at.desc())
        .offset(most)
        .limit(1)
    ).scalar()
    return from_ms if last is None else int(last) + 1


def texts_behind(
    c: Connection,
    series_id: int,
    from_ms: int,
    to_ms: int,
    kinds: Sequence[int],
    limit: int = 50,
    sentiment: int | None = None,
) -> list[Text]:
    """Texts of a series between two times, the most negative first, copies folded into the earliest of them."""
    m = SeriesDocument
    where = [m.series_id == series_id, m.observed_at >= from_ms, m.observed_at < to_ms, m.kind.in_(kinds)]
    if sentiment is not None:
        where.append(m.sentiment == sentiment)
    groups = c.execute(
        select(m.fingerprint, func.count(), func.min(m.observed_at), func.max(m.p_negative).label("p"))
        .where(*where)
        .group_by(m.fingerprint)
        .order_by(func.max(m.p_negative).desc(), func.count().desc())
        .limit(limit)
    ).all()
    if not groups:
        return []
    firsts = [(g[0], g[2]) for g in groups]
    rows = c.execute(
        texts_query()
        .add_columns(m.fingerprint)
        .join(m, and_(m.observed_at == Document.observed_at, m.row_id == Document.row_id))
        .where(*where, tuple_(m.fingerprint, m.observed_at).in_(firsts))
    ).all()
    by_print: dict[int, Any] = {}
    for row in rows:
        kept = by_print.get(row.fingerprint)
        if kept is None or row.row_id < kept.row_id:
            by_print[row.fingerprint] = row
    return [as_text(by_print[g[0]], int(g[1])) for g in groups if g[0] in by_print]


def latest_texts(
    c: Connection,
    *,
    before: tuple[int, int] | None = None,
    from_ms: int | None = None,
    series_id: int | None = None,
    kind: int | None = None,
    sentiment: int | None = None,
    unscored: bool = False,
    limit: int = 50,
) -> list[Text]:
    """Documents from the newest backwards; ``before`` is (observed_at, row_id) of the last one of the page before."""
    d, m = Document, SeriesDocument
    q = texts_query()
    time, row = d.observed_at, d.row_id
    if series_id is not None:
        q = q.join(m, and_(m.observed_at == d.observed_at, m.row_id == d.row_id)).where(m.series_id == series_id)
        time, row = m.observed_at, m.row_id
        if kind is not None:
            q = q.where(m.kind == kind)
    elif kind is not None:
        q = q.where(d.kind == kind)
    if unscored:
        q = q.where(d.scored.is_(False))
    elif sentiment is not None:
        q = q.where((m.sentiment if series_id is not None else Prediction.sentiment) == sentiment)
    if from_ms is not None:
        q = q.where(time >= from_ms)
    if before is not None:
        q = q.where(tuple_(time, row) < before)
    return [as_text(r, 1) for r in c.execute(q.order_by(time.desc(), row.desc()).limit(limit))]


def texts_query(source: Any = Document, whole: bool = False) -> Any:
    """The columns that :func:`as_text` reads, from documents or from a join that holds them.

    Args:
        whole: all of each text, not only its beginning.
    """
    d, p = Document, Prediction
    return (
        select(
            d.observed_at,
            d.row_id,
            d.kind,
            p.sentiment,
            p.p_negative,
            p.p_neutral,
            p.p_positive,
            Source.name.label("source"),
            d.title,
            (d.text if whole else func.substr(d.text, 1, _TEXT)).label("text"),
            d.url,
            d.late,
            p.topics,
            d.lang,
            d.unscored_reason,
            func.length(d.text).label("length"),
            ModelVersion.name.label("model"),
            d.flags,
            d.published_at,
            d.fingerprint.label("print"),
            d.symbols,
            d.engagement,
        )
        .select_from(source)
        .outerjoin(p, and_(p.observed_at == d.observed_at, p.row_id == d.row_id, p.model_id == newest_prediction()))
        .outerjoin(Source, Source.id == d.source_id)
        .outerjoin(ModelVersion, ModelVersion.id == p.model_id)
    )


def as_text(r: Any, copies: int) -> Text:
    return Text(
        int(r.observed_at),
        int(r.row_id),
        int(r.kind),
        r.sentiment,
        r.p_negative,
        r.source,
        r.title,
        r.text,
        r.url,
        bool(r.late),
        copies,
        dict(r.topics or {}),
        r.lang,
        r.unscored_reason,
        int(r.length) > len(r.text),
        r.p_neutral,
        r.p_positive,
        r.model,
        int(r.flags),
        r.published_at,
        int(r.print),
        list(r.symbols or []),
        dict(r.engagement or {}),
    )


def texts_of(c: Connection, keys: Sequence[Key], *, whole: bool = False) -> list[Text]:
    """These documents, in the order of the keys; those that are gone are left out."""
    if not keys:
        return []
    d, w = Document, keys_cte(keys)
    rows = c.execute(texts_query(w.join(d, and_(d.observed_at == w.c.at, d.row_id == w.c.row)), whole))
    by_key = {(r.observed_at, r.row_id): as_text(r, 1) for r in rows}
    return [by_key[k] for k in keys if k in by_key]
