"""Context of the texts behind a point: earlier copies of them, and the negative texts of a period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, select, tuple_

from barometer.readable import readable
from barometer.store.documents.listing import Text
from barometer.store.tables import Document, SeriesDocument, Source
from barometer.vocabulary import Sentiment

COPY_WINDOW_MS = 48 * 3_600_000
_TEXT = 400


@dataclass(frozen=True, slots=True)
class FirstCopy:
    """The earliest copy of a text in its series within the copy window, which may be before the period."""

    first_at: int
    first_source: str | None
    earlier: int
    """Copies before the period."""


def first_copies(c: Connection, series_id: int, texts: Sequence[Text], from_ms: int) -> dict[str, FirstCopy]:
    """The earliest copies, by :attr:`Text.key`, of texts of a period that began at ``from_ms``."""
    if not texts:
        return {}
    m = SeriesDocument
    prints = {x.fingerprint for x in texts}
    before = {
        int(r[0]): (int(r[1]), int(r[2]))
        for r in c.execute(
            select(m.fingerprint, func.min(m.observed_at), func.count())
            .where(
                m.series_id == series_id,
                m.observed_at >= from_ms - COPY_WINDOW_MS,
                m.observed_at < from_ms,
                m.fingerprint.in_(prints),
            )
            .group_by(m.fingerprint)
        )
    }
    sources = _sources_of(c, series_id, {p: at for p, (at, _) in before.items()})
    out = {}
    for text in texts:
        at, earlier = before.get(text.fingerprint, (text.observed_at, 0))
        source = sources.get(text.fingerprint) if earlier else text.source
        out[text.key] = FirstCopy(at, source, earlier)
    return out


def _sources_of(c: Connection, series_id: int, firsts: dict[int, int]) -> dict[int, str | None]:
    """Sources of the copies that were observed first (``firsts``: time by fingerprint), by fingerprint."""
    if not firsts:
        return {}
    m, d = SeriesDocument, Document
    rows = c.execute(
        select(m.fingerprint, Source.name)
        .join(d, and_(d.observed_at == m.observed_at, d.row_id == m.row_id))
        .outerjoin(Source, Source.id == d.source_id)
        .where(
            m.series_id == series_id,
            m.observed_at >= min(firsts.values()),
            m.observed_at <= max(firsts.values()),
            tuple_(m.fingerprint, m.observed_at).in_(list(firsts.items())),
        )
    )
    return {int(r[0]): r[1] for r in rows}


class NegativeText(NamedTuple):
    """A negative text, for the explanation of a change."""

    fingerprint: int
    source: str | None
    symbols: list[str]
    text: str
    """Title and beginning of the body."""
    lang: str
    at: int
    """Observation time, epoch ms."""
    kind: int


def negative_texts(
    c: Connection, series_id: int, from_ms: int, to_ms: int, kinds: Sequence[int], limit: int
) -> list[NegativeText]:
    """The latest negative texts of a series in a period, copies included, the newest first."""
    m, d = SeriesDocument, Document
    rows: Any = c.execute(
        select(
            m.fingerprint, Source.name, d.symbols, d.title, func.substr(d.text, 1, _TEXT), d.lang, m.observed_at, m.kind
        )
        .join(d, and_(d.observed_at == m.observed_at, d.row_id == m.row_id))
        .outerjoin(Source, Source.id == d.source_id)
        .where(
            m.series_id == series_id,
            m.observed_at >= from_ms,
            m.observed_at < to_ms,
            m.kind.in_(kinds),
            m.sentiment == int(Sentiment.NEGATIVE),
            m.late.is_(False),
        )
        .order_by(m.observed_at.desc(), m.row_id.desc())
        .limit(limit)
    )
    return [
        NegativeText(int(r[0]), r[1], list(r[2] or []), readable(f"{r[3]}\n{r[4]}" if r[3] else r[4]), *r[5:])
        for r in rows
    ]
