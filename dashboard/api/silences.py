"""Silences: for a while nobody is told of alerts that match."""

from __future__ import annotations

from typing import Any

from flask_login import current_user
from pydantic import Field

from barometer.errors import BarometerError
from barometer.hours import HoursError
from barometer.store import silences
from barometer.when import parse_when
from dashboard.acts import MAX_COMMENT, MAX_NAME, MAX_SILENCE_MS, Malformed
from dashboard.api.alerts import Comment, Severity, Until
from dashboard.api.contract import Contract
from dashboard.api.errors import NotThere
from dashboard.api.shapes import Answer, Asked, Json, Time
from dashboard.context import DAY, context

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
        ctx = context()
        with ctx.store.write() as c:
            now = ctx.store.now_ms(c)
            until: int | str = body.until
            if isinstance(until, str):
                try:
                    until = parse_when(until, now, ctx.zone, "until")
                except BarometerError:
                    raise Malformed("when", field="until", value=str(body.until)[:40]) from None
            if until <= now:
                raise Malformed("past", field="until")
            if until > now + MAX_SILENCE_MS:
                raise Malformed("too_far", field="until", days=MAX_SILENCE_MS // DAY)
            try:
                number = silences.add_silence(
                    c, current_user.name, body.comment, now, starts_at=now, ends_at=until, series=body.series,
                    source=body.source, word=body.word, severity=body.severity, windows=body.hours,
                )  # fmt: skip
            except HoursError:
                raise Malformed("hours", field="hours", value=", ".join(body.hours)[:80]) from None
            return silences.find_silence(c, number)

    @contract.call("POST", "/silences/<int:silence_id>/expire", TAG, body=Expire, answer=Silence, acts=True)
    def expire_silence(silence_id: int, body: Expire) -> Any:
        """End a silence now; what still fires is told. One that is over stays as it is."""
        ctx = context()
        with ctx.store.write() as c:
            now = ctx.store.now_ms(c)
            row = silences.find_silence(c, silence_id)
            if row is None:
                raise NotThere("no_silence", id=silence_id)
            if row.ends_at > now:
                silences.expire_silence(c, silence_id, current_user.name, body.comment, now)
            return silences.find_silence(c, silence_id)
