"""The search index, filled asynchronously: workers queue the documents they write, the leader indexes them.

Cutting texts into terms and sorting them into an index costs more than all else a worker's transaction does, so it is
not in there: that only notes which rows are new (``search_queue``), and a job of the leader takes the newest of these
first. What still waits is searched text by text, so a text can be found from the moment it is stored.

PostgreSQL keeps ``search`` (observed_at, row_id, fingerprint, terms tsvector) by month under a GIN index. SQLite keeps
``search``, an FTS5 table without content, whose rowid grows with the time, so that the newest matches come first at no
cost, and ``search_rows`` (sid, row_id, fingerprint), which says whose rowid it is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, func, select, text

from barometer.readable import readable
from barometer.store.bulk import insert_rows
from barometer.store.documents.keys import Key, first_sid, keys_cte, newest_prediction
from barometer.store.engine import Store
from barometer.store.leases import Lease, check
from barometer.store.search.terms import terms, tsvector
from barometer.store.tables import Document, Prediction, SearchQueue, Series

CHUNK = 1_000
"""Texts indexed in a transaction."""
SPEND_SECONDS = 20.0
"""A run of the job ends after so long, so that the leader can say that it went well."""
SEARCH = "search"
"""The index's table, which is not among the others: the two databases have nothing of it in common."""
TOPIC = "topic:"
UNSCORED = "@pu"


class Entry(NamedTuple):
    """A document as the index takes it in."""

    key: Key
    fingerprint: int
    text: str
    marks: list[str]


def index_waiting(
    store: Store, lease: Lease, spend_seconds: float = SPEND_SECONDS, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Index what waits, newest first, until nothing does, the time is spent or we are told to stop; returns how many
    texts were taken.

    Raises:
        StaleWrite: the lease is gone.
    """
    end, done = time.monotonic() + spend_seconds, 0
    while True:
        started = time.monotonic()
        n = index_some(store, lease)
        done += n
        now = time.monotonic()
        if n < CHUNK or now > end or stopped():
            return done
        if store.is_sqlite:
            # There is one writer at a time, and who waits for its turn looks for it only now and then.
            time.sleep(min(0.1, now - started))


def index_some(store: Store, lease: Lease, chunk: int = CHUNK) -> int:
    """Index the newest ``chunk`` of the queue in one transaction; returns how many of it were looked at."""
    with store.read() as c:
        keys = _newest(c, chunk)
        entries = _entries(c, keys)
    if not keys:
        return 0
    lines = [
        (e, " ".join([*terms(e.text), *e.marks]) if store.is_sqlite else tsvector(e.text, e.marks)) for e in entries
    ]
    with store.write() as c:
        check(store, c, lease)
        # Only what still waits: a document that was taken back meanwhile has left the queue.
        taken = _take(c, store, keys)
        _write(c, store, [(e, line) for e, line in lines if e.key in taken])
    return len(keys)


def indexed(title: str | None, body: str) -> str:
    """What is searched of a document: what people read of it, so no names of tags and no links.

    Another answer for the same document, or other terms of it, takes a migration that indexes all anew: see
    :func:`forget`.
    """
    return f"{readable(title)}\n{readable(body)}" if title else readable(body)


def marks(
    kind: int, lang: str, source_id: int | None, flags: int, sentiment: int | None, series: Iterable[int]
) -> list[str]:
    """What a document is filtered by, as terms of the index."""
    found = [f"@k{kind}", lang_mark(lang), UNSCORED if sentiment is None else f"@p{sentiment}"]
    if source_id is not None:
        found.append(f"@s{source_id}")
    return found + [f"@t{i}" for i in series] + flag_marks(flags)


def lang_mark(lang: str) -> str:
    return "@l" + re.sub(r"[^a-z0-9]", "", lang.lower())


def flag_marks(flags: int) -> list[str]:
    """A mark for every bit."""
    return [f"@f{bit}" for bit in range(flags.bit_length()) if flags >> bit & 1]


def enqueue(c: Connection, store: Store, keys: Iterable[Key]) -> None:
    """Queue documents, in the transaction that writes them."""
    insert_rows(c, store, SearchQueue, list(keys))


def rebuild(c: Connection) -> int:
    """Empty the index and queue all documents, in one transaction; returns how many wait then. Until they are indexed a
    search reads the newest of them text by text, and says where it may be incomplete.

    Raises:
        sqlalchemy.exc.OperationalError: PostgreSQL: something has held the index for five seconds, a backup perhaps.
    """
    if c.dialect.name == "sqlite":
        c.exec_driver_sql("INSERT INTO search (search) VALUES ('delete-all')")
        c.exec_driver_sql("DELETE FROM search_rows")
    else:
        # In the order of those who index, who would otherwise take out of the queue what is about to be emptied; and
        # not for long, since workers wait behind the first.
        c.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        c.exec_driver_sql("LOCK TABLE search_queue IN SHARE ROW EXCLUSIVE MODE")
        c.exec_driver_sql("TRUNCATE search")
    c.exec_driver_sql(
        "INSERT INTO search_queue (observed_at, row_id) SELECT observed_at, row_id FROM documents WHERE true"
        " ON CONFLICT DO NOTHING"
    )
    return int(c.execute(select(func.count()).select_from(SearchQueue)).scalar_one())


def forget(c: Connection, keys: Sequence[Key]) -> None:
    """Take documents out of queue and index, in the transaction that deletes them and their predictions, and before it
    does: an FTS5 table without content forgets a row only if it is told the terms that it was given."""
    parameters = [{"at": at, "row": row} for at, row in keys]
    if not parameters:
        return
    c.execute(text("DELETE FROM search_queue WHERE observed_at = :at AND row_id = :row"), parameters)
    if c.dialect.name != "sqlite":
        c.execute(text("DELETE FROM search WHERE observed_at = :at AND row_id = :row"), parameters)
        return
    sids = {}
    for at, row in keys:
        found = c.exec_driver_sql(
            "SELECT sid FROM search_rows WHERE sid >= ? AND sid < ? AND row_id = ?",
            (first_sid(at), first_sid(at + 1), row),
        ).scalar()
        if found is not None:
            sids[at, row] = found
    if sids:
        gone = [(sids[e.key], " ".join([*terms(e.text), *e.marks])) for e in _entries(c, list(sids))]
        c.exec_driver_sql("INSERT INTO search (search, rowid, terms) VALUES ('delete', ?, ?)", gone)
        c.exec_driver_sql("DELETE FROM search_rows WHERE sid = ?", [(sid,) for sid, _ in gone])


def forget_before(c: Connection, observed_at: int) -> None:
    """PostgreSQL: no document before this time is there any more."""
    c.execute(delete(SearchQueue).where(SearchQueue.observed_at < observed_at))


def _newest(c: Connection, chunk: int) -> list[Key]:
    q = SearchQueue
    newest = select(q.observed_at, q.row_id).order_by(q.observed_at.desc(), q.row_id.desc()).limit(chunk)
    return [(r.observed_at, r.row_id) for r in c.execute(newest)]


def _entries(c: Connection, keys: Sequence[Key]) -> list[Entry]:
    """What the index takes in of those documents that are there."""
    if not keys:
        return []
    series = series_ids(c)
    d, p, w = Document, Prediction, keys_cte(keys)
    rows = c.execute(
        select(
            d.observed_at,
            d.row_id,
            d.title,
            d.text,
            d.fingerprint,
            d.kind,
            d.lang,
            d.source_id,
            d.flags,
            p.sentiment,
            p.topics,
        )
        .select_from(w)
        .join(d, and_(d.observed_at == w.c.at, d.row_id == w.c.row))
        .outerjoin(p, and_(p.observed_at == d.observed_at, p.row_id == d.row_id, p.model_id == newest_prediction()))
    )
    return [
        Entry(
            (r.observed_at, r.row_id),
            r.fingerprint,
            indexed(r.title, r.text),
            marks(
                r.kind, r.lang, r.source_id, r.flags, r.sentiment, [series[t] for t in r.topics or () if t in series]
            ),
        )
        for r in rows
    ]


def series_ids(c: Connection) -> Mapping[str, int]:
    """The series of every topic, by the topic's name."""
    found = c.execute(select(Series.name, Series.id).where(Series.name.startswith(TOPIC)))
    return {name.removeprefix(TOPIC): i for name, i in found}


def _take(c: Connection, store: Store, keys: Sequence[Key]) -> set[Key]:
    """Remove these from the queue; returns those that were in it."""
    if store.is_sqlite:
        here = set()
        for key in keys:
            gone = c.exec_driver_sql("DELETE FROM search_queue WHERE observed_at = ? AND row_id = ?", key)
            if gone.rowcount:
                here.add(key)
        return here
    rows = c.execute(
        text(
            "DELETE FROM search_queue q USING unnest(CAST(:ats AS BIGINT[]), CAST(:rows AS BIGINT[])) AS w(at, row)"
            " WHERE q.observed_at = w.at AND q.row_id = w.row RETURNING q.observed_at, q.row_id"
        ),
        {"ats": [at for at, _ in keys], "rows": [row for _, row in keys]},
    )
    return {(r[0], r[1]) for r in rows}


def _write(c: Connection, store: Store, lines: Sequence[tuple[Entry, str]]) -> None:
    if not lines:
        return
    if not store.is_sqlite:
        c.execute(
            text(
                "INSERT INTO search (observed_at, row_id, fingerprint, terms)"
                " SELECT w.at, w.row, w.print, CAST(w.line AS tsvector) FROM unnest(CAST(:ats AS BIGINT[]),"
                " CAST(:rows AS BIGINT[]), CAST(:prints AS BIGINT[]), CAST(:lines AS TEXT[]))"
                " AS w(at, row, print, line)"
            ),
            {
                "ats": [e.key[0] for e, _ in lines],
                "rows": [e.key[1] for e, _ in lines],
                "prints": [e.fingerprint for e, _ in lines],
                "lines": [line for _, line in lines],
            },
        )
        return
    # In the order of their numbers: FTS5 flushes what it gathered whenever one is less than the one before.
    sids: list[int] = []
    moment, following = -1, 0
    lines = sorted(lines)
    for e, _line in lines:
        if e.key[0] != moment:
            moment, following = e.key[0], _free_sid(c, e.key[0])
        sids.append(following)
        following += 1
    c.exec_driver_sql(
        "INSERT INTO search_rows (sid, row_id, fingerprint) VALUES (?, ?, ?)",
        [(sid, e.key[1], e.fingerprint) for sid, (e, _) in zip(sids, lines, strict=True)],
    )
    c.exec_driver_sql(
        "INSERT INTO search (rowid, terms) VALUES (?, ?)",
        [(sid, line) for sid, (_, line) in zip(sids, lines, strict=True)],
    )


def _free_sid(c: Connection, observed_at: int) -> int:
    """The first number of that millisecond that is behind all that texts have."""
    low, high = first_sid(observed_at), first_sid(observed_at + 1)
    last = c.exec_driver_sql("SELECT max(sid) FROM search_rows WHERE sid >= ? AND sid < ?", (low, high)).scalar()
    return low if last is None else int(last) + 1
