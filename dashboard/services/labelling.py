"""What people do to label texts, from the screens and from the API: one door, with the check of who may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import SystemRandom

from flask_login import current_user
from sqlalchemy import Connection

from barometer.store.documents.keys import Key
from barometer.store.labels.annotations import AnnotationError, NewLabel, add_label, current_label, label_history, undo
from barometer.store.labels.quality import AlertQuality, QualityReport, alert_quality, label_quality
from barometer.store.labels.queues import QUEUES, Draw, next_text, text_of_document, topics_known, withdraw_offer
from barometer.store.labels.rows import LabelRow, LabelTextRow, find_text
from barometer.store.labels.sampling import ALL
from barometer.store.model_versions.versions import model_names
from dashboard.context import context
from dashboard.services.acts import Malformed, Refused, must_act

AUDIT_SECONDS = 20.0
"""Figures of labels and alerts are kept for so long: they change by a few texts an hour."""
TOPIC_KEYS = "qwertyuiopadfghjklxvbnm"
"""Keys of topics, in their order; s, z and c do something else."""


class NoSuchText(Refused):
    """There is no such text, or its document is gone."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """A text in front of somebody."""

    text: LabelTextRow
    mine: LabelRow | None
    """What this user says of it so far."""
    open: bool
    """It came from a queue: the model's answer is hidden."""
    model: str | None
    said: Sequence[LabelRow]
    """All that was ever said of it; empty while the model's answer is hidden, for others' labels are too."""


def next_of(queue: str, series: str = ALL) -> Labelling | None:
    """The next text of a queue, held for this user; None if there is none.

    Raises:
        Forbidden: the user is a viewer.
        ValueError: no such queue.
    """
    must_act()
    if queue not in QUEUES:
        raise ValueError(f"queue: one of {', '.join(QUEUES)}")
    store = context().store
    with store.write() as c:
        found = next_text(c, _draw(c), current_user.user.id, queue, series)
        return None if found is None else _look(c, found, queued=True)


def look_at(text_id: int | None = None, document: Key | None = None) -> Labelling:
    """A certain text, the model's answer beside it.

    Raises:
        Forbidden, NoSuchText.
    """
    must_act()
    with context().store.write() as c:
        found = text_of_document(c, _draw(c), document) if document is not None else find_text(c, text_id or 0)
        if found is None:
            raise NoSuchText("no_text", id=text_id or "")
        withdraw_offer(c, found.id, current_user.user.id)
        return _look(c, found, queued=False)


def label(
    text_id: int, sentiment: int | None, topics: Sequence[str] | None, comment: str | None, *, skip: bool = False
) -> int:
    """Keep a label or a skip of this user. A text that a queue put in front of them counts for that queue, any other is
    a correction.

    Raises:
        Forbidden, NoSuchText, Malformed.
    """
    must_act()
    me, store = current_user.user.id, context().store
    with store.write() as c:
        found = find_text(c, text_id)
        if found is None:
            raise NoSuchText("no_text", id=text_id)
        origin = found.origin if found.offered_to == me else "document"
        new = NewLabel(text_id, me, origin, sentiment, topics, comment, skip)
        try:
            return add_label(c, new, topics_known(c), store.now_ms(c))
        except AnnotationError as e:
            raise Malformed("unfit", field=e.field, why=str(e).partition(": ")[2]) from None


def take_back(text_id: int | None = None) -> Labelling | None:
    """Take back what this user said last, or of a certain text; the text is in front of them again. None: there is
    nothing to take back.

    Raises:
        Forbidden: the user is a viewer.
    """
    must_act()
    store = context().store
    with store.write() as c:
        open_again = undo(c, current_user.user.id, store.now_ms(c), text_id)
        found = None if open_again is None else find_text(c, open_again)
        return None if found is None else _look(c, found, queued=True)


def audit_figures(seconds: float = AUDIT_SECONDS) -> tuple[QualityReport, dict[str, AlertQuality]]:
    """What people found of labels and of alerts; the same for everybody, at most so many seconds old."""
    ctx = context()

    def read() -> tuple[QualityReport, dict[str, AlertQuality]]:
        with ctx.store.read() as c:
            now = ctx.store.now_ms(c)
            return label_quality(c, now), alert_quality(c, now)

    return ctx.brief.get("audits", read, seconds)


def topics_here(c: Connection) -> list[str]:
    """The topics that a text can be given, as many as there are keys."""
    return topics_known(c)[: len(TOPIC_KEYS)]


def _draw(c: Connection) -> Draw:
    ctx = context()
    return Draw(ctx.store, ctx.settings.bucket_ms, ctx.store.now_ms(c), SystemRandom())


def _look(c: Connection, found: LabelTextRow, *, queued: bool) -> Labelling:
    model = None if found.model_id is None else model_names(c, [found.model_id]).get(found.model_id)
    said = [] if queued else label_history(c, found.id)
    return Labelling(found, current_label(c, found.id, current_user.user.id), queued, model, said)
