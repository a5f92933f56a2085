"""What measuring a new model in the shadow of the present one reads, and where it keeps the outcome."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, select, update

from barometer.store.tables import Document, ModelVersion, Prediction


class LabelledText(NamedTuple):
    """A text with what a model says of it."""

    text: str
    title: str | None
    kind: int
    lang: str | None
    sentiment: int
    topics: Collection[str]


def latest_labelled(c: Connection, model_id: int, limit: int) -> list[LabelledText]:
    """The latest texts that a model has predictions of, the latest first."""
    d, p = Document, Prediction
    rows = c.execute(
        select(d.text, d.title, d.kind, d.lang, p.sentiment, p.topics)
        .join(p, and_(p.observed_at == d.observed_at, p.row_id == d.row_id))
        .where(p.model_id == model_id)
        .order_by(d.observed_at.desc(), d.row_id.desc())
        .limit(limit)
    )
    return [LabelledText(*row) for row in rows]


def live_models(c: Connection, predictions: int) -> list[int]:
    """Models of the latest predictions (so many), the latest first."""
    latest = select(Prediction.model_id).order_by(Prediction.observed_at.desc(), Prediction.row_id.desc())
    return list(dict.fromkeys(int(m) for m in c.execute(latest.limit(predictions)).scalars()))


def add_metrics(c: Connection, model_id: int, values: Mapping[str, Any]) -> None:
    """Add to a model version's metrics; those of the same name are replaced."""
    kept = c.execute(select(ModelVersion.metrics).where(ModelVersion.id == model_id)).scalar_one()
    c.execute(update(ModelVersion).where(ModelVersion.id == model_id).values(metrics={**kept, **values}))
