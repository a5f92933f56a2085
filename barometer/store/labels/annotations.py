"""What people say texts are: labels, skips, taking back; every one a row that stays, with who, when, from which queue,
beside which model's answer and in place of what.

A label is **blind** while its user has not been shown the model's answer: it is hidden until the label is saved and the
next text was labelled, so that a slip of the finger can be taken back before it is shown. Only blind labels of randomly
drawn texts measure (:mod:`barometer.store.labels.label_quality`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, func, insert, select, update

from barometer.errors import BarometerError
from barometer.store.tables import Annotation, LabelText, ModelVersion, User

_Name = TypeVar("_Name")
ORIGINS = ("random", "active", "alert", "document")
BLIND_ORIGINS = ("random", "active", "alert")
MAX_COMMENT = 2_000
AGAIN_MS = 10_000
"""The same label of the same person within this time is one: a request that was sent twice."""


class AnnotationError(BarometerError):
    """What was said of a text cannot be kept; ``field`` names what is wrong."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


@dataclass(frozen=True, slots=True)
class Said:
    """What one person says of one text."""

    text_id: int
    user_id: int
    origin: str
    sentiment: int | None
    """0, 1, 2; None with ``skip``."""
    topics: Sequence[str] | None = None
    comment: str | None = None
    skip: bool = False


def say(c: Connection, said: Said, topics_known: Iterable[str], now_ms: int) -> int:
    """Keep a label or a skip; returns the id of its row (of the one before, if the same was said a moment ago).

    Raises:
        AnnotationError: no such text, or a field that it cannot have.
    """
    text = c.execute(select(LabelText.__table__).where(LabelText.id == said.text_id).with_for_update()).one_or_none()
    if text is None:
        raise AnnotationError("text", f"there is no text {said.text_id} to label")
    topics = _checked(said, set(topics_known) | set(text.topics or {}))
    comment = (said.comment or "").strip() or None
    if comment and len(comment) > MAX_COMMENT:
        raise AnnotationError("comment", f"at most {MAX_COMMENT} characters")
    action = "skip" if said.skip else "label"
    before = standing_of(c, said.text_id, said.user_id)
    if before is not None and before.created_at > now_ms - AGAIN_MS:
        same = (before.action, before.sentiment, before.topics, before.comment)
        if same == (action, said.sentiment, topics, comment):
            return int(before.id)
    row = {
        "text_id": said.text_id, "user_id": said.user_id, "action": action, "sentiment": said.sentiment,
        "topics": topics, "comment": comment, "origin": said.origin,
        "blind": said.origin in BLIND_ORIGINS and not shown(c, said.text_id, said.user_id),
        "model_id": text.model_id, "previous_id": None if before is None else before.id, "created_at": now_ms,
    }  # fmt: skip
    new = c.execute(insert(Annotation).values(**row).returning(Annotation.id)).scalar_one()
    c.execute(update(LabelText).where(LabelText.id == said.text_id).values(offered_to=None, offered_at=None))
    recount(c, said.text_id)
    return int(new)


def undo(c: Connection, user_id: int, now_ms: int, text_id: int | None = None) -> int | None:
    """Take back what a user said last (or of a certain text); returns the text, None if there is nothing to take back.
    The label before it, of the same user on the same text, does not come back: the text is open again."""
    last = standing_of(c, text_id, user_id) if text_id is not None else _last(c, user_id)
    if last is None:
        return None
    row = {"text_id": last.text_id, "user_id": user_id, "action": "undo", "sentiment": None, "topics": None,
           "comment": None, "origin": last.origin, "blind": last.blind, "model_id": last.model_id,
           "previous_id": last.id, "created_at": now_ms}  # fmt: skip
    c.execute(insert(Annotation).values(**row))
    held = {"offered_to": user_id, "offered_at": now_ms}
    c.execute(update(LabelText).where(LabelText.id == last.text_id).values(**held))
    recount(c, last.text_id)
    return int(last.text_id)


def standing_of(c: Connection, text_id: int, user_id: int) -> Row[Any] | None:
    """What a user says of a text now: the latest row that is not taken back."""
    a = Annotation
    q = select(a.__table__).where(a.text_id == text_id, a.user_id == user_id).order_by(a.id.desc()).limit(1)
    found = c.execute(q).one_or_none()
    return None if found is None or found.action == "undo" else found


def shown(c: Connection, text_id: int, user_id: int) -> bool:
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
    """Bring ``labels``, ``skips`` and ``disputed`` of a text to what stands. Of a random text only blind labels count:
    the others do not measure, so it still needs one."""
    random = c.execute(select(LabelText.origin).where(LabelText.id == text_id)).scalar_one() == "random"
    standing = standing_labels(c, [text_id], blind_only=random).get(text_id, [])
    labels = [r for r in standing if r.action == "label"]
    votes: dict[int, int] = {}
    for r in labels:
        votes[r.sentiment] = votes.get(r.sentiment, 0) + 1
    values = {
        "labels": len(labels),
        "skips": sum(r.action == "skip" for r in standing),
        "disputed": len(labels) > 1 and max(votes.values()) * 2 <= len(labels),
    }
    c.execute(update(LabelText).where(LabelText.id == text_id).values(**values))


def standing_labels(c: Connection, text_ids: Sequence[int], *, blind_only: bool = False) -> dict[int, list[Row[Any]]]:
    """What stands of texts, by text: one row a user (columns of ``annotations``, and ``user``), in order.

    Args:
        blind_only: what each user said last without having been shown the model's answer.
    """
    out: dict[int, list[Row[Any]]] = {}
    a = Annotation
    for start in range(0, len(text_ids), 500):
        q = (
            select(a.__table__, User.name.label("user"))
            .join(User, User.id == a.user_id)
            .where(a.text_id.in_(text_ids[start : start + 500]))
            .order_by(a.id)
        )
        if blind_only:
            q = q.where(a.blind.is_(True))
        latest: dict[tuple[int, int], Row[Any]] = {}
        for r in c.execute(q):
            latest[r.text_id, r.user_id] = r
        for r in sorted(latest.values(), key=lambda r: r.id):
            if r.action != "undo":
                out.setdefault(r.text_id, []).append(r)
    return out


def history(c: Connection, text_id: int) -> Sequence[Row[Any]]:
    """All that was ever said of a text, in order, with ``user`` and ``model``."""
    a = Annotation
    return c.execute(
        select(a.__table__, User.name.label("user"), ModelVersion.name.label("model"))
        .join(User, User.id == a.user_id)
        .outerjoin(ModelVersion, ModelVersion.id == a.model_id)
        .where(a.text_id == text_id)
        .order_by(a.id)
    ).all()


def recent_of(c: Connection, user_id: int, limit: int = 20) -> list[tuple[Row[Any], Row[Any]]]:
    """What a user said last that stands: (row of ``annotations``, row of ``label_texts``), the newest first, a text
    once."""
    a = Annotation
    rows = c.execute(select(a.__table__).where(a.user_id == user_id).order_by(a.id.desc()).limit(limit * 4)).all()
    seen: dict[int, Row[Any]] = {}
    for r in rows:
        seen.setdefault(r.text_id, r)
    kept = [r for r in seen.values() if r.action != "undo"][:limit]
    x = LabelText
    texts = {t.id: t for t in c.execute(select(x.__table__).where(x.id.in_([r.text_id for r in kept])))}
    return [(r, texts[r.text_id]) for r in kept]


def labels_of(c: Connection, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], list[Row[Any]]]:
    """What people say of documents, by (observed_at, row id)."""
    x = LabelText
    wanted = set(keys)
    found = c.execute(
        select(x.id, x.observed_at, x.row_id).where(
            x.observed_at.in_({at for at, _ in wanted}), x.row_id.in_({row for _, row in wanted})
        )
    )
    ids = {int(r.id): (int(r.observed_at), int(r.row_id)) for r in found if (r.observed_at, r.row_id) in wanted}
    return _labels(c, ids)


def labels_of_copies(c: Connection, fingerprints: Iterable[int]) -> dict[int, list[Row[Any]]]:
    """What people say of texts or of a copy of them, by fingerprint."""
    x = LabelText
    found = c.execute(select(x.id, x.fingerprint).where(x.fingerprint.in_(set(fingerprints)), x.labels > 0))
    return _labels(c, {int(r.id): int(r.fingerprint) for r in found})


def _labels(c: Connection, names: Mapping[int, _Name]) -> dict[_Name, list[Row[Any]]]:
    """Labels that stand of texts, by what each is called; several may share a name."""
    out: dict[_Name, list[Row[Any]]] = {}
    for text_id, said in standing_labels(c, list(names)).items():
        out.setdefault(names[text_id], []).extend(r for r in said if r.action == "label")
    return out


def _last(c: Connection, user_id: int) -> Row[Any] | None:
    """The newest row of a user that stands."""
    found = recent_of(c, user_id, 1)
    return found[0][0] if found else None


def _checked(said: Said, known: set[str]) -> list[str] | None:
    if said.origin not in ORIGINS:
        raise AnnotationError("origin", f"one of {', '.join(ORIGINS)}")
    if said.skip:
        if said.sentiment is not None or said.topics:
            raise AnnotationError("skip", "a text that is skipped gets no label")
        return None
    if said.sentiment not in (0, 1, 2) or isinstance(said.sentiment, bool):
        raise AnnotationError("sentiment", "negative, neutral or positive")
    if said.topics is None:
        return None
    unknown = [t for t in said.topics if t not in known]
    if unknown:
        raise AnnotationError("topics", f"unknown: {', '.join(map(repr, unknown[:3]))}")
    return list(dict.fromkeys(said.topics))


def labelled_since(c: Connection, user_id: int, since_ms: int) -> int:
    """How many texts a user has labelled since then (epoch ms)."""
    a = Annotation
    q = select(func.count(a.text_id.distinct())).where(
        a.user_id == user_id, a.created_at >= since_ms, a.action == "label"
    )
    return int(c.execute(q).scalar_one())
