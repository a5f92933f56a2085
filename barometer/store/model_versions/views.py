"""Model versions: what the store knows of them, when each scored, and what changed when one took over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from barometer.store.labels.sampling import ALL
from barometer.store.series.series_totals import find_series
from barometer.store.tables import ModelVersion, SealedBucket

LOOK_BACK_MS = 400 * 86_400_000
BESIDE_MS = 7 * 86_400_000
"""Before and after a change so much is compared."""
_SETTLED_MS = 2 * 3_600_000
"""While workers change over, buckets may go to and fro: one change."""
_MOST = 10


class Scored(NamedTuple):
    """What closed buckets hold of a model."""

    first: int
    last: int
    total: int
    negative: int
    neutral: int
    positive: int
    unscored: int

    @property
    def scored(self) -> int:
        return self.total - self.unscored


@dataclass(frozen=True, slots=True)
class Change:
    """One model took over from another."""

    at: int
    before_id: int
    after_id: int
    before: Scored | None
    after: Scored | None
    ratio: float | None
    """Odds of calling a text negative, new model to old, as measured on the same texts; None: not measured."""


def versions(c: Connection) -> list[Row[Any]]:
    """All rows of ``model_versions``, the newest first."""
    return list(c.execute(select(ModelVersion.__table__).order_by(ModelVersion.id.desc())))


def scored_by_model(c: Connection, now_ms: int) -> dict[int, Scored]:
    """By model id, from the closed buckets of all texts."""
    row = find_series(c, ALL)
    return {} if row is None else _sums(c, row.id, now_ms - LOOK_BACK_MS, now_ms)


def model_changes(c: Connection, now_ms: int) -> list[Change]:
    """The last changes of the model, the newest first."""
    row = find_series(c, ALL)
    if row is None:
        return []
    b = SealedBucket
    before = func.lag(b.model_id).over(order_by=(b.start, b.kind)).label("before")
    runs = (
        select(b.start, b.model_id, before)
        .where(b.series_id == row.id, b.start >= now_ms - LOOK_BACK_MS, b.model_id.is_not(None))
        .subquery()
    )
    found: list[tuple[int, int, int]] = []
    for at, model, old in c.execute(
        select(runs.c.start, runs.c.model_id, runs.c.before)
        .where(runs.c.model_id != runs.c.before)
        .order_by(runs.c.start)
    ):
        if found and at - found[-1][0] < _SETTLED_MS:
            first, from_, _ = found.pop()
            if from_ != model:
                found.append((first, from_, int(model)))
        else:
            found.append((int(at), int(old), int(model)))
    ratios = {v.id: (v.metrics or {}).get("rebase") for v in versions(c)}
    out = []
    for at, old, model in reversed(found[-_MOST:]):
        earlier = _sums(c, row.id, at - BESIDE_MS, at).get(old)
        later = _sums(c, row.id, at, at + BESIDE_MS).get(model)
        out.append(Change(at, old, model, earlier, later, _ratio(ratios.get(model), old)))
    return out


def _sums(c: Connection, series_id: int, begin: int, end: int) -> dict[int, Scored]:
    b = SealedBucket
    counts = (func.sum(b.total), func.sum(b.negative), func.sum(b.neutral), func.sum(b.positive), func.sum(b.unscored))
    rows = c.execute(
        select(b.model_id, func.min(b.start), func.max(b.end), *counts)
        .where(b.series_id == series_id, b.start >= begin, b.start < end, b.model_id.is_not(None))
        .group_by(b.model_id)
    )
    return {int(model or 0): Scored(*(int(x) for x in values)) for model, *values in rows}


def _ratio(measured: Any, old: int) -> float | None:
    """Of all texts, as :mod:`monitor.detection.rebase` keeps it."""
    if isinstance(measured, dict):
        if measured.get("against", old) != old:
            return None
        measured = measured.get("*")
    return float(measured) if isinstance(measured, int | float) and not isinstance(measured, bool) else None


def model_names(c: Connection, ids: Iterable[int] | None = None) -> dict[int, str]:
    """Names of models by id; of all, or of those asked for."""
    q = select(ModelVersion.id, ModelVersion.name)
    return dict(c.execute(q if ids is None else q.where(ModelVersion.id.in_(list(ids)))).tuples().all())
