"""Ids of names that the stream brings (sources, series): looked up once, made when new, in transactions of their own
so that workers never wait for each other over a name."""

from __future__ import annotations

from collections.abc import Iterable
from time import time_ns

from sqlalchemy import select

from barometer.store.bulk import insert_new
from barometer.store.engine import Store
from barometer.store.tables import Series, Source


class Names:
    """Remembers the ids of this process. Ids never change and rows are never deleted, so the memory is never stale."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sources: dict[str, int] = {}
        self._series: dict[str, int] = {}

    def sources(self, names: Iterable[str]) -> dict[str, int]:
        """Ids of sources by name."""
        wanted = set(names)
        missing = sorted(wanted - self._sources.keys())
        if missing:
            now = time_ns() // 1_000_000
            self._make(Source, [{"name": n, "created_at": now, "muted": False} for n in missing], self._sources)
        return {n: self._sources[n] for n in wanted}

    def series(self, names: Iterable[str]) -> dict[str, int]:
        """Ids of series by name; ``all`` is counted and not judged."""
        wanted = set(names)
        missing = sorted(wanted - self._series.keys())
        if missing:
            self._make(Series, [{"name": n, "judged": n != "all", "trial": False} for n in missing], self._series)
        return {n: self._series[n] for n in wanted}

    def _make(self, model: type[Source] | type[Series], rows: list[dict], memory: dict[str, int]) -> None:
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
