"""Silences: for a while nobody is told of alerts that match."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from barometer.store.alerts import silences
from dashboard.api.alerts import Comment, Severity, Until
from dashboard.api.contract import Contract
from dashboard.api.shapes import Answer, Asked, Json, Time
from dashboard.context import context
from dashboard.services.acts import MAX_COMMENT, MAX_NAME
from dashboard.services.silencing import end_silence, make_silence

TAG = "Silences"


class SilencesQuery(Asked):
    past: bool = Field(False, description="also those that are over, the newest first")
    limit: int = Field(200, ge=1, le=1_000)


class Silence(Answer):
    """All that is given must fit."""

    id: int
    series: str | None
    source: str | None
    word: str | None
    severity: Severity | None
    windows: list[Json] | None = Field(description="only at these hours")
    starts_at: Time
    ends_at: Time
    comment: str
    created_by: str
    created_at: Time
    expired_by: str | None = Field(description="who ended it before its time")


class SilenceList(Answer):
    silences: list[Silence]


class NewSilence(Asked):
    says = {"until": "no_until", "comment": "no_why"}
    until: Until
    start: Until | None = Field(None, description="as until; left out: now. A span in until counts from here")
    comment: str = Field(min_length=1, max_length=MAX_COMMENT, description="why")
    series: str | None = Field(None, max_length=MAX_NAME, description="a name, or a pattern with *")
    source: str | None = Field(None, max_length=MAX_NAME)
    word: str | None = Field(None, max_length=MAX_NAME)
    severity: Severity | None = Field(None, description="the worst that is still kept quiet")
    hours: list[str] = Field([], max_length=20, description="workday 22:00-08:00; none: always")


class Expire(Asked):
    comment: Comment = None


def register(contract: Contract) -> None:
    @contract.call("GET", "/silences", TAG, query=SilencesQuery, answer=SilenceList)
    def get_silences(query: SilencesQuery) -> Any:
        """Silences that hold or will, the first to end first."""
        ctx = context()
        with ctx.store.read() as c:
            rows = silences.list_silences(c, ctx.store.now_ms(c), past=query.past, limit=query.limit)
        return {"silences": rows}

    @contract.call("POST", "/silences", TAG, body=NewSilence, answer=Silence, made=201, acts=True)
    def add_silence(body: NewSilence) -> Any:
        """Make a silence by series, source or word."""
        return make_silence(
            body.until,
            body.comment,
            start=body.start,
            series=body.series,
            source=body.source,
            word=body.word,
            severity=body.severity,
            hours=body.hours,
        )

    @contract.call("POST", "/silences/<int:silence_id>/expire", TAG, body=Expire, answer=Silence, acts=True)
    def expire_silence(silence_id: int, body: Expire) -> Any:
        """End a silence now; what still fires is told. One that is over stays as it is."""
        return end_silence(silence_id, body.comment)
