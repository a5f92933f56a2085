"""Copies of a text: documents of the same fingerprint, by the search index's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, select, text

from barometer.store.documents.keys import Key, first_sid, time_of_sid
from barometer.store.documents.listing import Text
from barometer.store.engine import Store
from barometer.store.tables import Document, Source

MOST_COPIES = 1_000
"""Copies of a text are counted up to this number."""


def with_copies(c: Connection, store: Store, texts: Sequence[Text]) -> list[Text]:
    """The same texts with the number of their copies in the index (themselves included, counted to ``MOST_COPIES``),
    and when and from whom the first of them came."""
    if store.is_sqlite:
        count = "SELECT count(*) FROM (SELECT 1 FROM search_rows WHERE fingerprint = :f LIMIT :most)"
        first = f"SELECT sid / {first_sid(1)}, row_id FROM search_rows WHERE fingerprint = :f ORDER BY sid LIMIT 1"
    else:
        count = "SELECT count(*) FROM (SELECT 1 FROM search WHERE fingerprint = :f LIMIT :most) AS s"
        first = "SELECT observed_at, row_id FROM search WHERE fingerprint = :f ORDER BY observed_at, row_id LIMIT 1"
    seen: dict[int, tuple[int, int | None, str | None]] = {}
    for print_ in {t.fingerprint for t in texts}:
        n = int(c.execute(text(count), {"f": print_, "most": MOST_COPIES}).scalar_one())
        at, source = None, None
        if n > 1:
            at, row = c.execute(text(first), {"f": print_}).one()
            source = c.execute(
                select(Source.name)
                .join(Document, Document.source_id == Source.id)
                .where(Document.observed_at == at, Document.row_id == row)
            ).scalar()
        seen[print_] = max(1, n), at, source
    return [
        replace(t, copies=n, first_at=at, first_source=source)
        for t in texts
        for n, at, source in (seen[t.fingerprint],)
    ]


def copies_of(c: Connection, store: Store, fingerprint: int, most: int) -> list[Key]:
    """Keys of the documents of a fingerprint, the earliest first, at most ``most``."""
    given = {"f": fingerprint, "most": most}
    if store.is_sqlite:
        sql = "SELECT sid, row_id FROM search_rows WHERE fingerprint = :f ORDER BY sid LIMIT :most"
        return [(time_of_sid(int(r[0])), int(r[1])) for r in c.execute(text(sql), given)]
    sql = "SELECT observed_at, row_id FROM search WHERE fingerprint = :f ORDER BY observed_at, row_id LIMIT :most"
    return [(int(r[0]), int(r[1])) for r in c.execute(text(sql), given)]
