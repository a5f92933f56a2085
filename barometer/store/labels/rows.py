"""Rows of labels, and of the texts that people label."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, Select, select

from barometer.store.rows import columns_of
from barometer.store.tables import Annotation, LabelText, ModelVersion, User


class LabelTextRow(NamedTuple):
    """A text that people label, with the model's answer at the time it was drawn (columns of ``label_texts``)."""

    id: int
    observed_at: int
    row_id: int
    fingerprint: int
    group_id: int | None
    kind: int
    lang: str
    source: str | None
    title: str | None
    text: str
    url: str | None
    model_id: int | None
    sentiment: int | None
    p_negative: float | None
    p_neutral: float | None
    p_positive: float | None
    topics: dict[str, float]
    origin: str
    samples: list[str]
    drawn_at: int
    offered_to: int | None
    labels: int
    skips: int
    disputed: bool


class LabelRow(NamedTuple):
    """A label, a skip or an undo (columns of ``annotations``), with the names of its user and of the model whose
    answer stood beside it."""

    id: int
    text_id: int
    user_id: int
    action: str
    """``label``, ``skip`` or ``undo``."""
    sentiment: int | None
    topics: list[str] | None
    comment: str | None
    origin: str
    blind: bool
    model_id: int | None
    previous_id: int | None
    created_at: int
    user: str
    model: str | None


TEXT_COLUMNS = columns_of(LabelText, LabelTextRow._fields)


def select_labels() -> Select[tuple[object, ...]]:
    """A query for :class:`LabelRow`, without condition or order."""
    columns = columns_of(Annotation, LabelRow._fields)
    return (
        select(*columns, User.name, ModelVersion.name)
        .join_from(Annotation, User, User.id == Annotation.user_id)
        .outerjoin(ModelVersion, ModelVersion.id == Annotation.model_id)
    )


def find_text(c: Connection, text_id: int) -> LabelTextRow | None:
    """The text of this id, or None."""
    row = c.execute(select(*TEXT_COLUMNS).where(LabelText.id == text_id)).one_or_none()
    return None if row is None else LabelTextRow._make(row)
