"""Ids of names that the stream brings (sources, series): looked up once, made when new, in transactions of their own
so that workers never wait for each other over a name.

Topics are known; sources are whatever somebody wrote into the topic, and nobody deletes them. So only so many names are
taken, here and in the store; the rest is one source."""

from __future__ import annotations

from collections.abc import Iterable
from time import time_ns

import structlog
from sqlalchemy import func, select

from barometer.store.bulk import insert_new
from barometer.store.engine import Store
from barometer.store.stream.batch import ALL
from barometer.store.stream.sources import MOST_SOURCES, OTHERS
from barometer.store.tables import Series, Source

log = structlog.get_logger(__name__)


class Names:
    """Remembers the ids of this process. Ids never change and rows are never deleted, so the memory is never stale.

    Args:
        most_sources: names of sources that the store takes, about: workers that add at once may each add a batch's.
    """

    def __init__(self, store: Store, most_sources: int = MOST_SOURCES) -> None:
        self._store, self._most = store, most_sources
        self._full = False
        self._sources: dict[str, int] = {}
        self._series: dict[str, int] = {}

    def sources(self, names: Iterable[str]) -> dict[str, int]:
        """Ids of sources by name; names that the store has no room for have the id of :data:`OTHERS`."""
        wanted = set(names)
        missing = sorted(wanted - self._sources.keys())
        if missing:
            fitting = self._fitting(missing)
            now = time_ns() // 1_000_000
            self._make(Source, [{"name": n, "created_at": now, "muted": n == OTHERS} for n in fitting], self._sources)
        return {n: self._sources[n if n in self._sources else OTHERS] for n in wanted}

    def has_source(self, name: str) -> bool:
        """Whether a name that was asked for has an id of its own."""
        return name in self._sources

    def _fitting(self, missing: list[str]) -> list[str]:
        """Of names that this process has not seen, those that are known to the store or have room in it."""
        with self._store.read() as c:
            known = {
                row.name
                for i in range(0, len(missing), 1000)
                for row in c.execute(select(Source.name).where(Source.name.in_(missing[i : i + 1000])))
            }
            if len(known) == len(missing):
                return missing
            room = max(0, self._most - c.execute(select(func.count()).select_from(Source)).scalar_one())
        new = [n for n in missing if n not in known]
        if len(new) > room:
            if not self._full:
                log.warning("too many names of sources: what comes under new ones counts as others", most=self._most)
            self._full = True
            if OTHERS not in self._sources:
                known.add(OTHERS)
        return [*sorted(known), *new[:room]]

    def series(self, names: Iterable[str]) -> dict[str, int]:
        """Ids of series by name; ``all`` is counted and not judged."""
        wanted = set(names)
        missing = sorted(wanted - self._series.keys())
        if missing:
            self._make(Series, [{"name": n, "judged": n != ALL, "trial": False} for n in missing], self._series)
        return {n: self._series[n] for n in wanted}

    def _make(self, model: type[Source] | type[Series], rows: list[dict[str, object]], memory: dict[str, int]) -> None:
        for i in range(0, len(rows), 1000):
            part = rows[i : i + 1000]
            names = [r["name"] for r in part]
            query = select(model.name, model.id).where(model.name.in_(names))
            with self._store.read() as c:
                found = {r.name: r.id for r in c.execute(query)}
            if len(found) < len(part):
                with self._store.write() as c:
                    insert_new(c, self._store, model, [r for r in part if r["name"] not in found])
                    found = {r.name: r.id for r in c.execute(query)}
            memory.update(found)
