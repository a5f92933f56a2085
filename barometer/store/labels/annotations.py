"""Labels by people: labels, skips and undos. Each is a row that is never changed, with its user, time, queue, the
model whose answer stood beside it, and the row that it replaces.

A label is **blind** while its user has not been shown the model's answer. The answer stays hidden until the label is
saved and the next text is labelled, so that a slip can be undone before it is shown. Only blind labels of randomly
drawn texts count for quality figures (:mod:`barometer.store.labels.quality`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, func, insert, select, update

from barometer.errors import BarometerError
from barometer.store.labels.rows import TEXT_COLUMNS, LabelRow, LabelTextRow, select_labels
from barometer.store.tables import Annotation, LabelText

_Name = TypeVar("_Name")
ORIGINS = ("random", "active", "alert", "document")
BLIND_ORIGINS = ("random", "active", "alert")
MAX_COMMENT = 2_000
AGAIN_MS = 10_000
"""A repeated label of the same user within this time is a request that was sent twice, and counts once."""


class AnnotationError(BarometerError):
    """A label is invalid; ``field`` names what is wrong."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


@dataclass(frozen=True, slots=True)
class NewLabel:
    """A label or a skip to be stored."""

    text_id: int
    user_id: int
    origin: str
    sentiment: int | None
    """0, 1, 2; None with ``skip``."""
    topics: Sequence[str] | None = None
    comment: str | None = None
    skip: bool = False


def add_label(c: Connection, new: NewLabel, topics_known: Iterable[str], now_ms: int) -> int:
    """Store a label or a skip; returns the id of its row (of the one before, for a repeated request).

    Raises:
        AnnotationError: no such text, or an invalid field.
    """
    text = c.execute(select(LabelText.__table__).where(LabelText.id == new.text_id).with_for_update()).one_or_none()
    if text is None:
        raise AnnotationError("text", f"there is no text {new.text_id} to label")
    topics = _valid_topics(new, set(topics_known) | set(text.topics or {}))
    comment = (new.comment or "").strip() or None
    if comment and len(comment) > MAX_COMMENT:
        raise AnnotationError("comment", f"at most {MAX_COMMENT} characters")
    action = "skip" if new.skip else "label"
    before = current_label(c, new.text_id, new.user_id)
    if before is not None and before.created_at > now_ms - AGAIN_MS:
        same = (before.action, before.sentiment, before.topics, before.comment)
        if same == (action, new.sentiment, topics, comment):
            return int(before.id)
    row = {
        "text_id": new.text_id,
        "user_id": new.user_id,
        "action": action,
        "sentiment": new.sentiment,
        "topics": topics,
        "comment": comment,
        "origin": new.origin,
        "blind": new.origin in BLIND_ORIGINS and not has_seen_answer(c, new.text_id, new.user_id),
        "model_id": text.model_id,
        "previous_id": None if before is None else before.id,
        "created_at": now_ms,
    }
    label_id = c.execute(insert(Annotation).values(**row).returning(Annotation.id)).scalar_one()
    c.execute(update(LabelText).where(LabelText.id == new.text_id).values(offered_to=None, offered_at=None))
    recount(c, new.text_id)
    return int(label_id)


def undo(c: Connection, user_id: int, now_ms: int, text_id: int | None = None) -> int | None:
    """Undo a user's last label (or the one of ``text_id``); returns the id of its text, None if there is none. The text
    is open again: an earlier label of the same user does not come back."""
    last = current_label(c, text_id, user_id) if text_id is not None else _last(c, user_id)
    if last is None:
        return None
    row = {
        "text_id": last.text_id,
        "user_id": user_id,
        "action": "undo",
        "sentiment": None,
        "topics": None,
        "comment": None,
        "origin": last.origin,
        "blind": last.blind,
        "model_id": last.model_id,
        "previous_id": last.id,
        "created_at": now_ms,
    }
    c.execute(insert(Annotation).values(**row))
    held = {"offered_to": user_id, "offered_at": now_ms}
    c.execute(update(LabelText).where(LabelText.id == last.text_id).values(**held))
    recount(c, last.text_id)
    return int(last.text_id)


def current_label(c: Connection, text_id: int, user_id: int) -> LabelRow | None:
    """The latest label or skip of a user on a text; None if there is none, or it was undone."""
    a = Annotation
    q = select_labels().where(a.text_id == text_id, a.user_id == user_id).order_by(a.id.desc()).limit(1)
    found = c.execute(q).one_or_none()
    return None if found is None or found.action == "undo" else LabelRow._make(found)


def has_seen_answer(c: Connection, text_id: int, user_id: int) -> bool:
    """Whether a user has been shown the model's answer to a text: after labelling it and another one, or by correcting
    it where the answer stands beside it."""
    a = Annotation
    q = select(func.min(a.id)).where(a.text_id == text_id, a.user_id == user_id)
    first = c.execute(q).scalar()
    if first is None:
        return False
    seen = select(a.id).where(a.user_id == user_id, a.text_id == text_id, a.blind.is_(False)).limit(1)
    later = select(a.id).where(a.user_id == user_id, a.id > first, a.text_id != text_id, a.action != "undo").limit(1)
    return c.execute(seen).first() is not None or c.execute(later).first() is not None


def recount(c: Connection, text_id: int) -> None:
    """Update ``labels``, ``skips`` and ``disputed`` of a text. For a random text only blind labels count: others are no
    use for quality figures, so the text still needs one."""
    random = c.execute(select(LabelText.origin).where(LabelText.id == text_id)).scalar_one() == "random"
    standing = current_labels(c, [text_id], blind_only=random).get(text_id, [])
    labels = [r for r in standing if r.action == "label"]
    votes: dict[int, int] = {}
    for r in labels:
        assert r.sentiment is not None  # of a label
        votes[r.sentiment] = votes.get(r.sentiment, 0) + 1
    values = {
        "labels": len(labels),
        "skips": sum(r.action == "skip" for r in standing),
        "disputed": len(labels) > 1 and max(votes.values()) * 2 <= len(labels),
    }
    c.execute(update(LabelText).where(LabelText.id == text_id).values(**values))


def current_labels(c: Connection, text_ids: Sequence[int], *, blind_only: bool = False) -> dict[int, list[LabelRow]]:
    """The latest label or skip of each user that was not undone, by text, in order.

    Args:
        blind_only: consider only rows that were made before the model's answer was shown.
    """
    out: dict[int, list[LabelRow]] = {}
    a = Annotation
    for start in range(0, len(text_ids), 500):
        q = select_labels().where(a.text_id.in_(text_ids[start : start + 500])).order_by(a.id)
        if blind_only:
            q = q.where(a.blind.is_(True))
        latest: dict[tuple[int, int], LabelRow] = {}
        for r in map(LabelRow._make, c.execute(q)):
            latest[r.text_id, r.user_id] = r
        for r in sorted(latest.values(), key=lambda r: r.id):
            if r.action != "undo":
                out.setdefault(r.text_id, []).append(r)
    return out


def label_history(c: Connection, text_id: int) -> list[LabelRow]:
    """All labels, skips and undos of a text, oldest first."""
    a = Annotation
    return [LabelRow._make(row) for row in c.execute(select_labels().where(a.text_id == text_id).order_by(a.id))]


def recent_labels(c: Connection, user_id: int, limit: int = 20) -> list[tuple[LabelRow, LabelTextRow]]:
    """The current labels and skips of a user with their texts, the newest first."""
    a = Annotation
    rows = c.execute(select_labels().where(a.user_id == user_id).order_by(a.id.desc()).limit(limit * 4)).all()
    seen: dict[int, LabelRow] = {}
    for r in map(LabelRow._make, rows):
        seen.setdefault(r.text_id, r)
    kept = [r for r in seen.values() if r.action != "undo"][:limit]
    x = LabelText
    found = c.execute(select(*TEXT_COLUMNS).where(x.id.in_([r.text_id for r in kept])))
    texts = {t.id: t for t in map(LabelTextRow._make, found)}
    return [(r, texts[r.text_id]) for r in kept]


def labels_of_documents(c: Connection, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], list[LabelRow]]:
    """Current labels of documents, by (observed_at, row id)."""
    x = LabelText
    wanted = set(keys)
    found = c.execute(
        select(x.id, x.observed_at, x.row_id).where(
            x.observed_at.in_({at for at, _ in wanted}), x.row_id.in_({row for _, row in wanted})
        )
    )
    ids = {int(r.id): (int(r.observed_at), int(r.row_id)) for r in found if (r.observed_at, r.row_id) in wanted}
    return _labels(c, ids)


def labels_of_copies(c: Connection, fingerprints: Iterable[int]) -> dict[int, list[LabelRow]]:
    """Current labels of texts or of their copies, by fingerprint."""
    x = LabelText
    found = c.execute(select(x.id, x.fingerprint).where(x.fingerprint.in_(set(fingerprints)), x.labels > 0))
    return _labels(c, {int(r.id): int(r.fingerprint) for r in found})


def _labels(c: Connection, names: Mapping[int, _Name]) -> dict[_Name, list[LabelRow]]:
    """Current labels by the name of each text; several texts may share a name."""
    out: dict[_Name, list[LabelRow]] = {}
    for text_id, labels in current_labels(c, list(names)).items():
        out.setdefault(names[text_id], []).extend(r for r in labels if r.action == "label")
    return out


def _last(c: Connection, user_id: int) -> LabelRow | None:
    """A user's newest label or skip that was not undone."""
    found = recent_labels(c, user_id, 1)
    return found[0][0] if found else None


def _valid_topics(new: NewLabel, known: set[str]) -> list[str] | None:
    if new.origin not in ORIGINS:
        raise AnnotationError("origin", f"one of {', '.join(ORIGINS)}")
    if new.skip:
        if new.sentiment is not None or new.topics:
            raise AnnotationError("skip", "a text that is skipped gets no label")
        return None
    if new.sentiment not in (0, 1, 2) or isinstance(new.sentiment, bool):
        raise AnnotationError("sentiment", "negative, neutral or positive")
    if new.topics is None:
        return None
    unknown = [t for t in new.topics if t not in known]
    if unknown:
        raise AnnotationError("topics", f"unknown: {', '.join(map(repr, unknown[:3]))}")
    return list(dict.fromkeys(new.topics))


def labelled_since(c: Connection, user_id: int, since_ms: int) -> int:
    """How many texts a user has labelled since then (epoch ms)."""
    a = Annotation
    q = select(func.count(a.text_id.distinct())).where(
        a.user_id == user_id, a.created_at >= since_ms, a.action == "label"
    )
    return int(c.execute(q).scalar_one())
