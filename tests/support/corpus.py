"""A small corpus in a store, as worker and leader leave it; for tests of search, its page and its exports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select

from barometer.records import fingerprint, pack_row
from barometer.store import leases
from barometer.store.documents.keys import Key
from barometer.store.engine import Store
from barometer.store.leases import Lease
from barometer.store.month_partitions import Months
from barometer.store.search.index import enqueue
from barometer.store.tables import Document, ModelVersion, Prediction, Series, SeriesDocument, Source

T0 = 1_700_000_000_000
MONTH = 31 * 86_400_000
SOURCES = ("财经早报", "股吧", "MarketWire")
TOPICS = ("real_estate", "credit_bonds")


@dataclass(frozen=True)
class Doc:
    """A document of these tests; ``p`` is the probability of its label, None: unscored."""

    text: str
    at: int = T0
    title: str | None = None
    kind: int = 1
    lang: str = "zh"
    source: str | None = None
    sentiment: int | None = 1
    p: float = 0.8
    topics: tuple[str, ...] = ()
    flags: int = 0
    url: str | None = None
    engagement: dict[str, Any] = field(default_factory=dict)
    unscored_reason: str | None = None


def prepare(store: Store) -> None:
    with store.write() as c:
        c.execute(insert(Source), [{"name": n, "created_at": 0, "muted": False} for n in SOURCES])
        c.execute(
            insert(Series),
            [{"name": n, "judged": True, "trial": False} for n in ("all", *(f"topic:{t}" for t in TOPICS))],
        )
        c.execute(
            insert(ModelVersion).values(name="m-1", precision="int8", topics=[], state="seen", created_at=0, metrics={})
        )


def put(store: Store, docs: list[Doc]) -> list[Key]:
    """Store them as the worker does, queued; returns their keys."""
    Months(store).ensure(d.at for d in docs)
    keys = [(d.at, pack_row(1, 0, i)) for i, d in enumerate(docs)]
    with store.write() as c:
        sources = {n: i for i, n in c.execute(select(Source.id, Source.name))}
        series = {n: i for i, n in c.execute(select(Series.id, Series.name))}
        for d, (at, row) in zip(docs, keys, strict=True):
            c.execute(
                insert(Document).values(
                    observed_at=at, row_id=row, doc_key=row, text_hash=row, fingerprint=fingerprint(d.text),
                    kind=d.kind,
                    source_id=sources.get(d.source or ""), lang=d.lang, scored=d.sentiment is not None, late=False,
                    flags=d.flags, text=d.text, title=d.title, url=d.url, engagement=d.engagement or None, stored_at=0,
                    unscored_reason=d.unscored_reason,
                )
            )  # fmt: skip
            if d.sentiment is None:
                continue
            ps = [(1 - d.p) / 2] * 3
            ps[d.sentiment] = d.p
            c.execute(
                insert(Prediction).values(
                    observed_at=at, row_id=row, model_id=1, sentiment=d.sentiment, p_negative=ps[0], p_neutral=ps[1],
                    p_positive=ps[2], topics=dict.fromkeys(d.topics, 0.9),
                )
            )  # fmt: skip
            for t in d.topics:
                c.execute(
                    insert(SeriesDocument).values(
                        series_id=series[f"topic:{t}"], observed_at=at, row_id=row, kind=d.kind, sentiment=d.sentiment,
                        p_negative=ps[0], fingerprint=fingerprint(d.text), late=False,
                    )
                )  # fmt: skip
        enqueue(c, store, keys)
    return keys


def lead(store: Store) -> Lease:
    lease = leases.acquire(store, leases.LEADER, "test", 600)
    assert lease is not None
    return lease
