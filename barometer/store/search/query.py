"""Searching texts: words and phrases, from the newest backwards, with the filters that lists have.

A page is the newest ``limit`` matches before a place. On SQLite the index gives them in that order. PostgreSQL's does
not, and gathering all texts with a common word takes seconds: there the newest texts are looked through first, which
fills the page if what is asked for is common, and only for what is rare the index is asked, month by month.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, select, text, tuple_

from barometer.store.documents.keys import Key, first_sid, newest_prediction, time_of_sid
from barometer.store.documents.listing import Text, texts_of
from barometer.store.engine import Store
from barometer.store.month_partitions import month_bounds
from barometer.store.search.index import TOPIC, UNSCORED, flag_marks, indexed, lang_mark, series_ids
from barometer.store.search.terms import Question, SearchError, question
from barometer.store.tables import Document, Prediction, SearchQueue, SeriesDocument, Source

LOOKED_THROUGH = (2_000, 20_000)
"""PostgreSQL: so many of the newest texts are looked through before the index is asked; more where the fewer do not
fill the page."""
READ_OF_QUEUE = 5_000
"""Of what is not indexed yet, this much is read text by text: the newest."""
_ROUNDING = 1e-6
_FAR = (1 << 42) - 2
"""The last time whose numbers SQLite can hold: in the year 2109."""


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Conditions on documents; None matches any. Times are UTC epoch ms."""

    words: str = ""
    """In the syntax of :mod:`barometer.store.search.terms`; empty: any text."""
    from_ms: int | None = None
    to_ms: int | None = None
    """Exclusive."""
    kind: int | None = None
    lang: str | None = None
    source: str | None = None
    topic: str | None = None
    """A topic's name, without ``topic:``."""
    sentiment: int | None = None
    unscored: bool = False
    min_confidence: float | None = None
    """Of the label that the text was given."""
    flags: int = 0
    """Bits of :class:`barometer.records.Flag` that must all be set."""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of matches, newest first."""

    texts: list[Text]
    before: Key | None
    """Where the next page begins: (observed_at, row id) of the last text here; None: there is no more."""
    complete: bool
    """False: so much waits for the index that some of what matches may be missing."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One search, with names looked up."""

    asked: Question
    wanted: DocumentFilter
    marks: list[str]
    source_id: int | None
    series_id: int | None
    low: int
    before: Key
    """Exclusive."""
    limit: int


def search_documents(
    c: Connection,
    store: Store,
    wanted: DocumentFilter,
    *,
    limit: int = 50,
    before: Key | None = None,
    whole: bool = False,
) -> SearchPage:
    """The newest texts that match; those that still wait for the index are among them.

    Args:
        c: of ``store.read()``: a page is of one snapshot.
        before: ``Page.before`` of the page before this one.
        whole: all of each text, not only its beginning.

    Raises:
        SearchError: the words cannot be asked for.
    """
    look = _look(c, wanted, limit + 1, before)
    if look is None:
        return SearchPage([], None, True)
    keys, complete = _find(c, store, look)
    texts = texts_of(c, keys[:limit], whole=whole)
    return SearchPage(texts, keys[limit - 1] if len(keys) > limit else None, complete)


def matching_keys(c: Connection, store: Store, wanted: DocumentFilter, limit: int) -> tuple[list[Key], bool]:
    """Keys of the newest matches, newest first, and whether none can be missing; for exports, which read the texts
    afterwards with :func:`texts_of`.

    Raises:
        SearchError: the words cannot be asked for.
    """
    look = _look(c, wanted, limit, None)
    return ([], True) if look is None else _find(c, store, look)


def _look(c: Connection, w: DocumentFilter, limit: int, before: Key | None) -> _Look | None:
    """Look up names; None if the source or the topic is unknown, so that nothing can match."""
    asked = question(w.words) if w.words.strip() else Question()
    source_id = series_id = None
    marks = []
    if w.source is not None:
        source_id = c.execute(select(Source.id).where(Source.name == w.source)).scalar()
        if source_id is None:
            return None
        marks.append(f"@s{source_id}")
    if w.topic is not None:
        series_id = series_ids(c).get(w.topic.removeprefix(TOPIC))
        if series_id is None:
            return None
        marks.append(f"@t{series_id}")
    if w.kind is not None:
        marks.append(f"@k{w.kind}")
    if w.lang is not None:
        marks.append(lang_mark(w.lang))
    if w.unscored:
        marks.append(UNSCORED)
    elif w.sentiment is not None:
        marks.append(f"@p{w.sentiment}")
    marks += flag_marks(w.flags)
    end = (min(w.to_ms, _FAR) if w.to_ms is not None else _FAR, -1)
    first = end if before is None else min(before, end)
    return _Look(asked, w, marks, source_id, series_id, max(w.from_ms or 0, 0), first, limit)


def _find(c: Connection, store: Store, look: _Look) -> tuple[list[Key], bool]:
    """Keys of the newest matches, and whether none can be missing."""
    if not look.asked.wanted and not look.marks:
        return _newest(c, look), True
    waiting, complete = _waiting(c, look)
    there = _sqlite(c, look) if store.is_sqlite else _postgres(c, look)
    return sorted({*waiting, *there}, reverse=True)[: look.limit], complete


def _newest(c: Connection, look: _Look) -> list[Key]:
    """No words and no filters that the index knows: straight from the documents."""
    d = Document
    q = select(d.observed_at, d.row_id).where(d.observed_at >= look.low, tuple_(d.observed_at, d.row_id) < look.before)
    if look.wanted.min_confidence is not None:
        q = q.join(Prediction, _its_prediction()).where(_sure(look.wanted.min_confidence))
    return _keys(c.execute(q.order_by(d.observed_at.desc(), d.row_id.desc()).limit(look.limit)))


def _waiting(c: Connection, look: _Look) -> tuple[list[Key], bool]:
    """Matches among what is not indexed yet."""
    q, d, p, w = SearchQueue, Document, Prediction, look.wanted
    newest = (
        select(q.observed_at, q.row_id)
        .where(q.observed_at >= look.low, tuple_(q.observed_at, q.row_id) < look.before)
        .order_by(q.observed_at.desc(), q.row_id.desc())
        .limit(READ_OF_QUEUE + 1)
    )
    keys = _keys(c.execute(newest))
    if not keys:
        return [], True
    those = newest.limit(READ_OF_QUEUE).subquery("those")
    found = (
        select(d.observed_at, d.row_id, d.title, d.text)
        .select_from(those)
        .join(d, and_(d.observed_at == those.c.observed_at, d.row_id == those.c.row_id))
        .outerjoin(p, _its_prediction())
    )
    if w.kind is not None:
        found = found.where(d.kind == w.kind)
    if w.lang is not None:
        found = found.where(d.lang == w.lang)
    if look.source_id is not None:
        found = found.where(d.source_id == look.source_id)
    if w.flags:
        found = found.where(d.flags.bitwise_and(w.flags) == w.flags)
    if w.unscored:
        found = found.where(p.sentiment.is_(None))
    elif w.sentiment is not None:
        found = found.where(p.sentiment == w.sentiment)
    if look.series_id is not None:
        m = SeriesDocument
        found = found.join(m, and_(m.observed_at == d.observed_at, m.row_id == d.row_id)).where(
            m.series_id == look.series_id
        )
    if w.min_confidence is not None:
        found = found.where(_sure(w.min_confidence))
    hits = [
        (r.observed_at, r.row_id)
        for r in c.execute(found)
        if not look.asked.wanted or look.asked.matches(indexed(r.title, r.text))
    ]
    return hits, len(keys) <= READ_OF_QUEUE


def _sqlite(c: Connection, look: _Look) -> list[Key]:
    asked = look.asked.for_sqlite(look.marks)
    confidence = look.wanted.min_confidence
    sure = ""
    if confidence is not None:
        sure = (
            f" JOIN predictions p ON p.observed_at = s.rowid / {first_sid(1)} AND p.row_id = r.row_id AND {_SURE_SQL}"
        )
    sql = (
        f"SELECT s.rowid, r.row_id FROM search s CROSS JOIN search_rows r ON r.sid = s.rowid{sure}"
        " WHERE s.search MATCH :asked AND s.rowid >= :low AND s.rowid < :high ORDER BY s.rowid DESC LIMIT :limit"
    )

    def between(low: int, high: int, limit: int) -> list[Key]:
        parameters = {"asked": asked, "low": low, "high": high, "limit": limit, "sure": (confidence or 0) - _ROUNDING}
        return [(time_of_sid(sid), row) for sid, row in c.execute(text(sql), parameters)]

    # Within a millisecond the index has the order in which texts were indexed, a page that of their rows.
    at, low = look.before[0], first_sid(look.low)
    hits = [k for k in between(max(low, first_sid(at)), first_sid(at + 1), -1) if k < look.before]
    older = between(low, first_sid(at), look.limit) if at > look.low else []
    if len(older) == look.limit:
        last = older[-1][0]
        older = [k for k in older if k[0] > last] + between(first_sid(last), first_sid(last + 1), -1)
    return sorted(hits + older, reverse=True)[: look.limit]


_SURE_SQL = (
    "p.model_id = (SELECT max(o.model_id) FROM predictions o"
    " WHERE o.observed_at = p.observed_at AND o.row_id = p.row_id)"
    " AND CASE p.sentiment WHEN 0 THEN p.p_negative WHEN 1 THEN p.p_neutral ELSE p.p_positive END >= :sure"
)


_NEWEST = (
    "SELECT count(*), min(observed_at) FROM (SELECT observed_at FROM search WHERE observed_at >= :low AND"
    " (observed_at, row_id) < (:at, :row) ORDER BY observed_at DESC, row_id DESC LIMIT :n) AS s"
)
_LOOK_THROUGH = (
    "WITH s AS MATERIALIZED (SELECT observed_at, row_id, terms FROM search WHERE observed_at >= :low AND"
    " (observed_at, row_id) < (:at, :row) ORDER BY observed_at DESC, row_id DESC LIMIT :n),"
    " m AS MATERIALIZED (SELECT observed_at, row_id FROM s WHERE terms @@ CAST(:asked AS tsquery)) "
)


def _postgres(c: Connection, look: _Look) -> list[Key]:
    parameters: dict[str, Any] = {
        "asked": look.asked.for_postgres(look.marks),
        "low": look.low,
        "at": look.before[0],
        "row": look.before[1],
        "limit": look.limit,
        "sure": (look.wanted.min_confidence or 0) - _ROUNDING,
    }
    sure = ""
    if look.wanted.min_confidence is not None:
        sure = f" JOIN predictions p ON p.observed_at = m.observed_at AND p.row_id = m.row_id AND {_SURE_SQL}"
    hits: list[Key] = []
    page = f"SELECT m.observed_at, m.row_id FROM m{sure} ORDER BY m.observed_at DESC, m.row_id DESC LIMIT :limit"
    # What is best depends on the words.
    c.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    for looked_through in LOOKED_THROUGH:
        parameters["n"] = looked_through
        newest = c.execute(text(_NEWEST), parameters).one()
        if not newest[0]:
            return []
        hits = _keys(c.execute(text(_LOOK_THROUGH + page), parameters))
        if len(hits) >= look.limit or newest[0] < looked_through:
            return hits
    # What was looked through ends in the middle of this millisecond, perhaps: the rest of it is looked up again.
    end = int(newest[1]) + 1
    found = dict.fromkeys(hits)
    for low, high in reversed(_months(c)):
        if high <= look.low or low >= end:
            continue
        rows = c.execute(
            text(
                "WITH m AS MATERIALIZED (SELECT observed_at, row_id FROM search WHERE observed_at >= :from AND"
                " observed_at < :to AND (observed_at, row_id) < (:at, :row) AND terms @@ CAST(:asked AS tsquery)) "
                + page
            ),
            parameters | {"from": max(low, look.low), "to": min(high, end)},
        )
        found |= dict.fromkeys(_keys(rows))
        if len(found) >= look.limit:
            break
    return sorted(found, reverse=True)[: look.limit]


def _months(c: Connection) -> list[tuple[int, int]]:
    """Begin and end of the months that the index has, in order."""
    names = c.execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'search'::regclass"
        )
    ).scalars()
    return sorted(month_bounds((int(n[-7:-3]), int(n[-2:]))) for n in names)


def _its_prediction() -> Any:
    d, p = Document, Prediction
    return and_(p.observed_at == d.observed_at, p.row_id == d.row_id, p.model_id == newest_prediction())


def _sure(confidence: float) -> Any:
    p = Prediction
    return case((p.sentiment == 0, p.p_negative), (p.sentiment == 1, p.p_neutral), else_=p.p_positive) >= (
        confidence - _ROUNDING
    )


def _keys(rows: Any) -> list[Key]:
    return [(int(r[0]), int(r[1])) for r in rows]


__all__ = ["DocumentFilter", "SearchError", "SearchPage", "matching_keys", "search_documents"]
