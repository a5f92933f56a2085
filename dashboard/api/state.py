"""Who asks, the state of the whole product, and its sources."""

from __future__ import annotations

from typing import Any, Literal

from flask_login import current_user
from pydantic import ConfigDict, Field

from barometer.store.health.stream_state import StreamState
from barometer.vocabulary import Role
from dashboard.api.contract import Contract
from dashboard.api.shapes import Answer, Count, Json, Time
from dashboard.context import context

TAG = "State"


class Me(Answer):
    """Who stands behind this session or token."""

    name: str
    role: Role
    may_act: bool = Field(description="by role and, for a token, by its scope")
    by: Literal["session", "token"]
    timezone: str = Field(description="of the installation: days and hours are of this zone")
    bucket_ms: int = Field(description="width of a bucket")


class SourceState(Answer):
    name: str
    muted: bool
    last_observed_at: Time | None
    last_day: Count = Field(description="texts in the last 24 hours")
    last_week: Count
    silent: bool = Field(description="it sends nothing where it sent texts at the same hours a week ago")


class Sources(Answer):
    """The silent ones first, then the busiest; of very many not all are named."""

    sources: list[SourceState]
    known: Count = Field(description="sources in all")
    active: Count = Field(description="of them, those that sent something within the week")
    silent: Count


class Problem(Answer):
    """Something that needs a person; more figures stand beside by its code."""

    model_config = ConfigDict(extra="allow")
    code: str
    text: str


class Lag(Answer):
    records: Count = Field(description="in the log and not read yet")
    seconds: float | None = Field(description="how long ago progress in the log was; null: unknown")
    partitions: list[Json]


class Unscored(Answer):
    documents: Count = Field(description="of the last hour")
    unscored: Count
    share: float | None


class Status(Answer):
    """The report of ``barometer status --json``. What is unknown is null, never a guess."""

    model_config = ConfigDict(extra="allow")
    now: Time = Field(description="the database's clock")
    log: Json | None = Field(description="null: nothing was read yet")
    progress: Time | None = Field(description="everything written up to then has been read")
    watermark: Time | None = Field(description="progress less lateness: nothing older follows")
    sealed_until: Time | None
    last_observed_at: Time | None
    lag: Lag
    throughput: float = Field(description="documents a second over the last minute")
    counts: dict[str, int] = Field(description="of records by what they were; difference: unaccounted for")
    unscored: Unscored
    sources: list[SourceState] = Field(description="the silent ones and the busiest")
    sources_known: Count = Field(description="sources in all")
    sources_active: Count = Field(description="of them, those that sent something within the week")
    sources_silent: Count
    processes: list[Json]
    leader: str | None
    leases: list[Json]
    jobs: list[Json]
    stream: StreamState = Field(description="whether what is shown is of now")
    alarms: list[Json] = Field(description="running alerts about the product itself")
    alerts: dict[str, int] = Field(description="by state")
    notifications: dict[str, int] = Field(description="by state")
    problems: list[Problem] = Field(description="worst first; empty: nothing is known to be wrong")


def register(contract: Contract) -> None:
    @contract.call("GET", "/me", TAG, answer=Me)
    def get_me() -> Any:
        """Who am I, and what may I do."""
        settings = context().settings
        return Me(
            name=current_user.name,
            role=current_user.role,
            may_act=current_user.may_act,
            by="token" if current_user.token else "session",
            timezone=settings.timezone,
            bucket_ms=settings.bucket_ms,
        )

    @contract.call("GET", "/status", TAG, answer=Status)
    def get_status() -> Any:
        """How far the data reaches, who is at work, and what is wrong."""
        return context().status()

    @contract.call("GET", "/sources", TAG, answer=Sources)
    def get_sources() -> Any:
        """Who sends, how much, and who has fallen silent."""
        report = context().status()
        return {"sources": report["sources"], **{n: report[f"sources_{n}"] for n in ("known", "active", "silent")}}
