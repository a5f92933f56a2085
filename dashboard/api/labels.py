"""What people say texts are, how far labels can be trusted, and why the model said so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from barometer.store.labels.annotations import MAX_COMMENT, label_history
from barometer.store.labels.listing import LabelWithText, list_labels
from barometer.store.labels.sampling import ALL
from barometer.vocabulary import SENTIMENTS, Kind, Sentiment, SentimentName
from dashboard.api.contract import Contract
from dashboard.api.errors import NotThere, Unavailable
from dashboard.api.shapes import Answer, Asked, Count, Json, Probabilities, Time
from dashboard.context import context
from dashboard.services.acts import MAX_NAME, Malformed
from dashboard.services.document_query import cursor
from dashboard.services.labelling import Labelling, audit_figures, label, look_at, next_of, take_back
from dashboard.services.why import NoExplanation, why

TAG = "Labels"
Origin = Literal["random", "active", "alert", "document"]
_ID = 2**53 - 1


class LabelsQuery(Asked):
    origin: Origin | None = Field(None, description="of one queue; document: corrections")
    since: int | None = Field(None, ge=0, le=_ID, description="UTC epoch milliseconds")
    history: bool = Field(False, description="every row: skips, what was taken back, earlier opinions")
    limit: int = Field(100, ge=1, le=500)
    before: int | None = Field(None, ge=0, le=_ID, description="the id of the last row of the page before")


class Label(Answer):
    """A label with its text and the model's answer at the time."""

    id: int
    text_id: int
    observed_at: Time
    row_id: str
    kind: str
    lang: str
    source: str | None
    title: str | None
    text: str
    group: int | None = Field(description="near-copies have the same")
    action: Literal["label", "skip", "undo"]
    sentiment: SentimentName | None
    topics: list[str] | None = Field(description="null: nothing was said of topics")
    comment: str | None
    origin: Origin
    samples: list[str] = Field(description="random samples that the text is in: all, names of series")
    blind: bool = Field(description="the model's answer had not been shown")
    user: str
    created_at: Time
    previous_id: int | None
    model: str | None
    model_sentiment: SentimentName | None
    model_p_negative: float | None
    model_p_neutral: float | None
    model_p_positive: float | None
    model_topics: dict[str, float]


class LabelList(Answer):
    annotations: list[Label]


class NextText(Asked):
    queue: Literal["random", "active"] = "random"
    series: str = Field(ALL, max_length=MAX_NAME, description="random texts are drawn from it")


class ToLabel(Answer):
    """A text without the model's answer."""

    text: int = Field(description="its id among the texts to label")
    observed_at: Time
    row_id: str
    kind: str
    lang: str
    source: str | None
    title: str | None
    body: str
    url: str | None
    origin: Origin


class Offer(Answer):
    offer: ToLabel | None = Field(description="null: there is nothing")


class NewLabel(Asked):
    text: int | None = Field(None, ge=1, le=_ID)
    document: str | None = Field(None, max_length=40, description="OBSERVED_AT-ROW_ID, in place of text: a correction")
    sentiment: SentimentName | None = None
    topics: list[str] | None = Field(None, max_length=64)
    comment: str | None = Field(None, max_length=MAX_COMMENT)
    skip: bool = Field(False, description="cannot say")


class TakeBack(Asked):
    text: int | None = Field(None, ge=1, le=_ID, description="left out: the last one")


class Made(Answer):
    id: int
    text: int


class LookedAt(Answer):
    text: ToLabel
    model: str | None
    sentiment: SentimentName | None
    probabilities: Probabilities | None
    topics: dict[str, float]
    said: list[Json] = Field(description="every row, in order")


class TrustQuery(Asked):
    series: str | None = Field(None, max_length=MAX_NAME)


class Trust(Answer):
    series: dict[str, Json] = Field(
        description="by series (all: every text): labels by model with precision, recall, accuracy and topic, each "
        "with value, low, high (95 %, Wilson), hits and n; alerts of the last 30 days with reasons"
    )
    agreement: Json = Field(description="of two people about the same text")
    drawn: Count
    labelled: Count
    skipped: Count


class Effect(Answer):
    text: str
    effect: float | None = Field(description="log-odds that it adds to the label; null: not read by the model")


class Reasons(Answer):
    sentiment: SentimentName
    probabilities: Probabilities
    topics: list[str]
    model: str = Field(description="that explains")
    said_by: str | None = Field(description="the model that labelled the text")
    said: SentimentName | None
    parts: list[Effect]


def register(contract: Contract) -> None:
    @contract.call("GET", "/annotations", TAG, query=LabelsQuery, answer=LabelList)
    def get_annotations(query: LabelsQuery) -> Any:
        """Labels that stand, the newest first."""
        with context().store.read() as c:
            rows = list(
                list_labels(
                    c,
                    origin=query.origin,
                    since_ms=query.since,
                    before=query.before,
                    limit=query.limit,
                    whole_history=query.history,
                )
            )
        return {"annotations": [as_json(r) for r in rows]}

    @contract.call("POST", "/annotations/next", TAG, body=NextText, answer=Offer, acts=True)
    def next_annotation(body: NextText) -> Any:
        """The next text to label, held for the caller for ten minutes; without the model's answer."""
        return {"offer": _text(next_of(body.queue, body.series))}

    @contract.call("POST", "/annotations", TAG, body=NewLabel, answer=Made, made=201, acts=True)
    def add_annotation(body: NewLabel) -> Any:
        """Say what a text is.

        A text that a queue offered counts for that queue, any other is a correction: it trains and does not measure.
        """
        text_id = body.text
        if body.document is not None:
            key = cursor(body.document)
            if key is None:
                raise NotThere("no_text", id=body.document)
            text_id = int(look_at(document=key).text.id)
        if text_id is None:
            raise Malformed("missing", field="text")
        sentiment = None if body.sentiment is None else SENTIMENTS.index(body.sentiment)
        return {"id": label(text_id, sentiment, body.topics, body.comment, skip=body.skip), "text": text_id}

    @contract.call("POST", "/annotations/undo", TAG, body=TakeBack, answer=Offer, acts=True)
    def undo_annotation(body: TakeBack) -> Any:
        """Take back what the caller said last; the text is offered again."""
        return {"offer": _text(take_back(body.text))}

    @contract.call("GET", "/annotations/texts/<int:text_id>", TAG, answer=LookedAt, acts=True)
    def get_annotated(text_id: int) -> Any:
        """A text with the model's answer and all that was said of it.

        Whoever has seen it no longer labels it blindly.
        """
        found = look_at(min(text_id, _ID))
        with context().store.read() as c:
            said = [
                {
                    "id": r.id,
                    "user": r.user,
                    "action": r.action,
                    "sentiment": _word(r.sentiment),
                    "topics": r.topics,
                    "comment": r.comment,
                    "origin": r.origin,
                    "blind": r.blind,
                    "model": r.model,
                    "previous_id": r.previous_id,
                    "created_at": r.created_at,
                }
                for r in label_history(c, found.text.id)
            ]
        x = found.text
        ps = (
            None
            if x.sentiment is None
            else dict(zip(SENTIMENTS, (x.p_negative, x.p_neutral, x.p_positive), strict=True))
        )
        return {
            "text": _text(found),
            "model": found.model,
            "sentiment": _word(x.sentiment),
            "probabilities": ps,
            "topics": x.topics,
            "said": said,
        }

    @contract.call("GET", "/trust", TAG, query=TrustQuery, answer=Trust)
    def get_trust(query: TrustQuery) -> Any:
        """How far labels and alerts can be trusted, as people found."""
        found, alerts = audit_figures()
        names = {*found.by_series, *alerts} if query.series is None else {query.series}
        series = {
            n: {
                "labels": [{"model_id": a.model_id, **a.as_dict()} for a in found.by_series.get(n, [])],
                "alerts": alerts[n].as_dict() if n in alerts else None,
            }
            for n in sorted(names)
        }
        return {
            "series": series,
            "agreement": found.agreement.as_dict(),
            "drawn": found.drawn,
            "labelled": found.labelled,
            "skipped": found.skipped,
        }

    @contract.call("GET", "/documents/<document_id>/why", TAG, answer=Reasons)
    def get_why(document_id: str) -> Any:
        """Why the present model labels a document as it does: its parts with what each adds."""
        key = cursor(document_id)
        try:
            if key is None:
                raise NoExplanation("gone")
            found = why(key)
        except NoExplanation as e:
            if e.code in ("gone", "unscored"):
                raise NotThere(f"why_{e.code}", id=document_id) from None
            raise Unavailable("busy" if e.code == "busy" else "no_model") from None
        return {
            "sentiment": _word(found.sentiment),
            "probabilities": dict(zip(SENTIMENTS, found.probabilities, strict=True)),
            "topics": list(found.topics),
            "model": found.model,
            "said_by": found.said_by,
            "said": _word(found.said),
            "parts": [{"text": p.text, "effect": p.effect} for p in found.parts],
        }


def as_json(r: LabelWithText) -> Mapping[str, Any]:
    """The fields of :class:`Label`, also of the files."""
    return {
        "id": r.id,
        "text_id": r.text_id,
        "observed_at": r.observed_at,
        "row_id": str(r.row_id),
        "kind": Kind(r.kind).label,
        "lang": r.lang,
        "source": r.source,
        "title": r.title,
        "text": r.text,
        "group": r.group_id,
        "action": r.action,
        "sentiment": _word(r.sentiment),
        "topics": r.topics,
        "comment": r.comment,
        "origin": r.origin,
        "samples": r.samples,
        "blind": r.blind,
        "user": r.user,
        "created_at": r.created_at,
        "previous_id": r.previous_id,
        "model": r.model,
        "model_sentiment": _word(r.model_sentiment),
        "model_p_negative": r.p_negative,
        "model_p_neutral": r.p_neutral,
        "model_p_positive": r.p_positive,
        "model_topics": r.model_topics,
    }


def _text(found: Labelling | None) -> dict[str, Any] | None:
    if found is None:
        return None
    x = found.text
    return {
        "text": x.id,
        "observed_at": x.observed_at,
        "row_id": str(x.row_id),
        "kind": Kind(x.kind).label,
        "lang": x.lang,
        "source": x.source,
        "title": x.title,
        "body": x.text,
        "url": x.url,
        "origin": x.origin,
    }


def _word(sentiment: int | None) -> str | None:
    return None if sentiment is None else Sentiment(sentiment).label
