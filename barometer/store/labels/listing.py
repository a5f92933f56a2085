"""Labels with their texts: for the API, for files and for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from barometer.store.tables import Annotation, LabelText, ModelVersion, User


class LabelWithText(NamedTuple):
    """One row of ``annotations`` with its text, its user and the model's answer at the time."""

    id: int
    text_id: int
    observed_at: int
    row_id: int
    kind: int
    lang: str
    source: str | None
    title: str | None
    text: str
    group_id: int | None
    """Near-copies have the same: they belong on one side of every division."""
    action: str
    sentiment: int | None
    topics: list[str] | None
    comment: str | None
    origin: str
    samples: list[str]
    blind: bool
    user: str
    created_at: int
    previous_id: int | None
    model: str | None
    model_sentiment: int | None
    p_negative: float | None
    p_neutral: float | None
    p_positive: float | None
    model_topics: dict[str, float]


def list_labels(
    c: Connection,
    *,
    origin: str | None = None,
    since_ms: int | None = None,
    before: int | None = None,
    limit: int | None = None,
    whole_history: bool = False,
    ids: Sequence[int] | None = None,
    bare: bool = False,
) -> Iterator[LabelWithText]:
    """Labels, the newest first.

    Args:
        origin: of one queue.
        before: only rows with smaller ids.
        whole_history: also skips, what was taken back and what was said anew; else the labels that stand.
        ids: exactly these rows.
        bare: texts are left empty: to learn which rows there are.
    """
    a, x, later = Annotation, LabelText, Annotation.__table__.alias("later")
    text: Any = select(x.id).where(x.id < 0).scalar_subquery() if bare else x.text
    q = (
        select(
            a.id,
            a.text_id,
            x.observed_at,
            x.row_id,
            x.kind,
            x.lang,
            x.source,
            x.title,
            text.label("text"),
            x.group_id,
            a.action,
            a.sentiment,
            a.topics,
            a.comment,
            a.origin,
            x.samples,
            a.blind,
            User.name.label("user"),
            a.created_at,
            a.previous_id,
            ModelVersion.name.label("model"),
            x.sentiment.label("model_sentiment"),
            x.p_negative,
            x.p_neutral,
            x.p_positive,
            x.topics.label("model_topics"),
        )
        .join(x, x.id == a.text_id)
        .join(User, User.id == a.user_id)
        .outerjoin(ModelVersion, ModelVersion.id == a.model_id)
        .order_by(a.id.desc())
    )
    if ids is not None:
        q = q.where(a.id.in_(ids))
    elif not whole_history:
        newer = select(later.c.id).where(later.c.text_id == a.text_id, later.c.user_id == a.user_id, later.c.id > a.id)
        q = q.where(a.action == "label", ~newer.exists())
    if origin is not None:
        q = q.where(a.origin == origin)
    if since_ms is not None:
        q = q.where(a.created_at >= since_ms)
    if before is not None:
        q = q.where(a.id < before)
    if limit is not None:
        q = q.limit(limit)
    for row in c.execute(q):
        yield LabelWithText(*row)
