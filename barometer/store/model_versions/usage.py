"""What each model version scored, and the changes from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from barometer.store.labels.sampling import ALL
from barometer.store.model_versions.versions import list_versions
from barometer.store.series.totals import find_series
from barometer.store.tables import SealedBucket

LOOK_BACK_MS = 400 * 86_400_000
COMPARED_MS = 7 * 86_400_000
"""Length of the periods before and after a change that are compared."""
_SETTLED_MS = 2 * 3_600_000
"""Buckets may alternate between two models while workers are restarted: changes within this time are one."""
_MOST = 10


class ModelTotals(NamedTuple):
    """Counts of a model's texts in sealed buckets; ``first`` and ``last``: start of the first and end of the last."""

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
class ModelChange:
    """One model took over from another."""

    at: int
    before_id: int
    after_id: int
    before: ModelTotals | None
    after: ModelTotals | None
    ratio: float | None
    """Odds of calling a text negative, new model to old, as measured on the same texts; None: not measured."""


def scored_by_model(c: Connection, now_ms: int) -> dict[int, ModelTotals]:
    """Totals by model id, from the sealed buckets of all texts."""
    row = find_series(c, ALL)
    return {} if row is None else _sums(c, row.id, now_ms - LOOK_BACK_MS, now_ms)


def model_changes(c: Connection, now_ms: int) -> list[ModelChange]:
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
    ratios = {v.id: (v.metrics or {}).get("rebase") for v in list_versions(c)}
    out = []
    for at, old, model in reversed(found[-_MOST:]):
        earlier = _sums(c, row.id, at - COMPARED_MS, at).get(old)
        later = _sums(c, row.id, at, at + COMPARED_MS).get(model)
        out.append(ModelChange(at, old, model, earlier, later, _ratio(ratios.get(model), old)))
    return out


def _sums(c: Connection, series_id: int, begin: int, end: int) -> dict[int, ModelTotals]:
    b = SealedBucket
    counts = (func.sum(b.total), func.sum(b.negative), func.sum(b.neutral), func.sum(b.positive), func.sum(b.unscored))
    rows = c.execute(
        select(b.model_id, func.min(b.start), func.max(b.end), *counts)
        .where(b.series_id == series_id, b.start >= begin, b.start < end, b.model_id.is_not(None))
        .group_by(b.model_id)
    )
    return {int(model or 0): ModelTotals(*(int(x) for x in values)) for model, *values in rows}


def _ratio(measured: Any, old: int) -> float | None:
    """Of all texts, as :mod:`monitor.detection.rebase` keeps it."""
    if isinstance(measured, dict):
        if measured.get("against", old) != old:
            return None
        measured = measured.get("*")
    return float(measured) if isinstance(measured, int | float) and not isinstance(measured, bool) else None
