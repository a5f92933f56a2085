"""Labelling queues: ``random`` (the only one whose labels count for quality figures) and ``active`` (texts that the
model is unsure of, and those behind alerts that somebody called mislabelled).

A text that was offered to one user is not offered to another for a while, and texts without a label are offered again
before new ones are drawn. Some random texts go to a second user, to measure agreement; those about which two disagree
go to a third.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from barometer.near_duplicates import alike, sketch
from barometer.store.documents.keys import Key
from barometer.store.documents.listing import Text, texts_of
from barometer.store.engine import Store
from barometer.store.labels.annotations import recount
from barometer.store.labels.rows import TEXT_COLUMNS, LabelTextRow, find_text
from barometer.store.labels.sampling import ALL, least_sure, random_text
from barometer.store.tables import Alert, AlertEvent, Annotation, LabelText, ModelVersion

QUEUES = ("random", "active")
HELD_MS = 10 * 60_000
"""How long a text that was offered to one user is kept from others."""
FRESH_MS = {"random": 30 * 86_400_000, "active": 2 * 86_400_000, "alert": 14 * 86_400_000}
"""Maximum age of a drawn text, by origin; older ones are not offered."""
SECOND_READING = 5
"""Every so many texts of the random queue, one that somebody else has labelled."""
AHEAD = 10
"""Uncertain texts taken at a time."""
_MISLABELLED_MS = 14 * 86_400_000
_SKETCHES = 5_000
"""A text is held against so many of those taken before it."""
_LONGEST = 20_000
_MOST_KNOWN = 50


class Draw(NamedTuple):
    """Parameters of drawing texts."""

    store: Store
    bucket_ms: int
    now_ms: int
    rng: Random


def next_text(c: Connection, draw: Draw, user_id: int, queue: str, series: str = ALL) -> LabelTextRow | None:
    """The text to label next, held for this user; None if there is none (yet).

    Args:
        queue: one of :data:`QUEUES`.
        series: only texts of this series; random ones are then drawn from it.
    """
    found = None
    if queue == "random":
        made = _count(c, user_id, "random")
        if made % SECOND_READING == SECOND_READING - 1:
            found = _second_reading(c, draw, user_id, series)
        found = found or _waiting(c, draw, user_id, ("random",), series)
        if found is None:
            found = _draw_random(c, draw, series) or _second_reading(c, draw, user_id, series)
    else:
        found = _waiting(c, draw, user_id, ("alert", "active"), series)
        if found is None:
            _draw_alerts(c, draw)
            _draw_active(c, draw, series)
            found = _waiting(c, draw, user_id, ("alert", "active"), series)
    if found is not None:
        c.execute(update(LabelText).where(LabelText.id == found.id).values(offered_to=user_id, offered_at=draw.now_ms))
    return found


def text_of_document(c: Connection, draw: Draw, key: Key) -> LabelTextRow | None:
    """The text of a document that somebody corrects; copied now if it was not yet. None: the document is gone."""
    found = _by_key(c, key)
    if found is not None:
        return found
    texts = texts_of(c, [key], whole=True)
    return _take(c, draw, texts[0], "document", []) if texts else None


def topics_known(c: Connection) -> list[str]:
    """Ids of the topics of the newest model, in its order."""
    found = c.execute(select(ModelVersion.topics).order_by(ModelVersion.id.desc()).limit(1)).scalar()
    return [str(t) for t in found or []]


def in_sample(samples: Iterable[str], topics: Iterable[str], series: str) -> bool:
    """Whether a text is part of the random sample of a series: drawn from it, or from all and of the series. Drawn from
    another series it is not, though both have it: texts that two series share would count too often.

    >>> in_sample(["all"], ["macro"], "topic:macro"), in_sample(["topic:fx"], ["macro", "fx"], "topic:macro")
    (True, False)
    """
    return series in samples or (ALL in samples and series.removeprefix("topic:") in topics)


# --- what waits ------------------------------------------------------------------------------------------------------


def _waiting(c: Connection, draw: Draw, user_id: int, origins: Iterable[str], series: str) -> LabelTextRow | None:
    """The oldest text that nobody has labelled, this user has not skipped, and nobody else has in front of them."""
    x = LabelText
    of_origin = or_(
        *(and_(x.origin == o, x.drawn_at >= draw.now_ms - FRESH_MS[o]) for o in origins),
    )
    q = select(*TEXT_COLUMNS).where(of_origin, x.labels == 0, x.skips < 2, _free(draw, user_id), ~_touched(user_id))
    mine = (x.offered_to == user_id).is_(True)
    # What was in front of me comes first: reloading a page shows the same text. Then alerts before the merely unsure.
    rows = c.execute(q.order_by(mine.desc(), (x.origin == "alert").desc(), x.id).limit(200))
    return next((r for r in map(LabelTextRow._make, rows) if _is_of(r, series)), None)


def _is_of(row: LabelTextRow, series: str) -> bool:
    """A random text is wanted for the sample that it is in, another one for the series that the model put it in."""
    if row.origin == "random":
        return in_sample(row.samples, row.topics, series)
    return series == ALL or series.removeprefix("topic:") in row.topics


def _second_reading(c: Connection, draw: Draw, user_id: int, series: str) -> LabelTextRow | None:
    """A random text that one other person has labelled, or about which two disagree: those first."""
    x = LabelText
    q = (
        select(*TEXT_COLUMNS)
        .where(
            x.origin == "random",
            x.drawn_at >= draw.now_ms - FRESH_MS["random"],
            or_(x.labels == 1, x.disputed.is_(True)),
            x.labels < 4,
            _free(draw, user_id),
            ~_touched(user_id),
        )
        .order_by(x.disputed.desc(), x.id)
        .limit(200)
    )
    return next((r for r in map(LabelTextRow._make, c.execute(q)) if _is_of(r, series)), None)


def _free(draw: Draw, user_id: int) -> ColumnElement[bool]:
    x = LabelText
    return or_(x.offered_to.is_(None), x.offered_to == user_id, x.offered_at < draw.now_ms - HELD_MS)


def _touched(user_id: int) -> ColumnElement[bool]:
    """The user has said something of the text, or skipped it, and not taken that back."""
    a, later = Annotation, Annotation.__table__.alias("later")
    newer = select(later.c.id).where(
        later.c.text_id == a.text_id, later.c.user_id == user_id, later.c.id > a.id, later.c.action == "undo"
    )
    return (
        select(a.id)
        .where(a.text_id == LabelText.id, a.user_id == user_id, a.action != "undo", ~newer.exists())
        .correlate(LabelText)
        .exists()
    )


def _count(c: Connection, user_id: int, origin: str) -> int:
    a = Annotation
    q = select(func.count()).where(a.user_id == user_id, a.origin == origin, a.action == "label")
    return int(c.execute(q).scalar_one())


# --- taking texts ----------------------------------------------------------------------------------------------------


def _draw_random(c: Connection, draw: Draw, series: str) -> LabelTextRow | None:
    """The next text of a sample that needs a label."""

    def taken(text: Text) -> bool:
        known = _by_key(c, (text.observed_at, text.row_id))
        return known is not None and known.origin == "random" and in_sample(known.samples, known.topics, series)

    for _ in range(_MOST_KNOWN):
        text = random_text(c, draw.store, draw.bucket_ms, draw.now_ms, draw.rng, series, taken)
        if text is None:
            return None
        known = _by_key(c, (text.observed_at, text.row_id))
        if known is None:
            return _take(c, draw, text, "random", [series])
        # It came here by another way before. To leave it out would make the sample another one than it claims to be;
        # what people said of it without knowing the model's answer counts.
        samples = [*known.samples, series] if known.origin == "random" else [series]
        values = {"origin": "random", "samples": samples, "drawn_at": draw.now_ms}
        c.execute(update(LabelText).where(LabelText.id == known.id).values(**values))
        recount(c, known.id)
        found = find_text(c, known.id)
        if found is not None and not found.labels:
            return found
    return None


def _draw_active(c: Connection, draw: Draw, series: str) -> None:
    keys = least_sure(c, series)
    taken = 0
    for start in range(0, min(len(keys), 200), 50):
        for text in texts_of(c, keys[start : start + 50], whole=True):
            if taken >= AHEAD:
                return
            if not _has_print(c, text.fingerprint):
                _take(c, draw, text, "active", [])
                taken += 1


def _draw_alerts(c: Connection, draw: Draw) -> None:
    """The texts behind alerts that somebody called a false alarm because of wrong labels."""
    e = AlertEvent
    recent = (
        select(e.alert_id, e.data)
        .join(Alert, Alert.id == e.alert_id)
        .where(
            Alert.resolution == "false_alarm",
            Alert.resolved_at >= draw.now_ms - _MISLABELLED_MS,
            e.action == "resolved",
        )
        .order_by(e.id.desc())
        .limit(50)
    )
    ids = [
        r.alert_id for r in c.execute(recent) if isinstance(r.data, Mapping) and r.data.get("reason") == "mislabelled"
    ]
    if not ids:
        return
    for (evidence,) in c.execute(select(Alert.evidence).where(Alert.id.in_(ids))):
        keys = [k for e in evidence or [] if isinstance(e, Mapping) and (k := _key(e)) is not None]
        for text in texts_of(c, keys[:20], whole=True):
            if not _has_print(c, text.fingerprint):
                _take(c, draw, text, "alert", [])


def _key(evidence: Mapping[str, Any]) -> Key | None:
    try:
        return int(evidence["observed_at"]), int(evidence["row_id"])
    except (KeyError, TypeError, ValueError):
        return None


def _take(c: Connection, draw: Draw, text: Text, origin: str, samples: list[str]) -> LabelTextRow | None:
    """Copy a text, and find the group of near-copies that it belongs to."""
    x = LabelText
    mark = sketch(text.text)
    model_id = c.execute(select(ModelVersion.id).where(ModelVersion.name == text.model)).scalar()
    values = {
        "observed_at": text.observed_at,
        "row_id": text.row_id,
        "fingerprint": text.fingerprint,
        "sketch": mark,
        "kind": text.kind,
        "lang": text.lang,
        "source": text.source,
        "title": text.title,
        "text": text.text[:_LONGEST],
        "url": text.url,
        "model_id": model_id,
        "sentiment": text.sentiment,
        "p_negative": text.p_negative,
        "p_neutral": text.p_neutral,
        "p_positive": text.p_positive,
        "topics": text.topics,
        "origin": origin,
        "samples": samples,
        "drawn_at": draw.now_ms,
        "labels": 0,
        "skips": 0,
        "disputed": False,
        "group_id": _group(c, text.fingerprint, mark),
    }
    new = c.execute(x.__table__.insert().values(**values).returning(x.id)).scalar_one()  # type: ignore[attr-defined]
    if values["group_id"] is None:
        c.execute(update(x).where(x.id == new).values(group_id=new))
    return find_text(c, int(new))


def _group(c: Connection, fingerprint: int, mark: str) -> int | None:
    x = LabelText
    same = c.execute(select(x.group_id).where(x.fingerprint == fingerprint).order_by(x.id).limit(1)).scalar()
    if same is not None:
        return int(same)
    before = c.execute(select(x.group_id, x.sketch).order_by(x.id.desc()).limit(_SKETCHES)).all()
    hits = alike([r.sketch for r in before], [mark])
    return min((int(before[i].group_id) for i in hits if before[i].group_id is not None), default=None)


def _has_print(c: Connection, fingerprint: int) -> bool:
    return c.execute(select(LabelText.id).where(LabelText.fingerprint == fingerprint).limit(1)).first() is not None


def _by_key(c: Connection, key: Key) -> LabelTextRow | None:
    x = LabelText
    row = c.execute(select(*TEXT_COLUMNS).where(x.observed_at == key[0], x.row_id == key[1])).one_or_none()
    return None if row is None else LabelTextRow._make(row)


def withdraw_offer(c: Connection, text_id: int, user_id: int) -> None:
    """A text that a queue offered to somebody is not theirs to label blindly any more: they have seen the answer."""
    mine = (LabelText.id == text_id) & (LabelText.offered_to == user_id)
    c.execute(update(LabelText).where(mine).values(offered_to=None, offered_at=None))
