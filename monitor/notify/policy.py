"""The parts of the file of receivers besides receivers: routes, escalation, quiet hours, duty rosters, levels, and what
to do about a series. ``config`` puts it together, ``routes`` and ``roster`` read it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from barometer.hours import HoursError, Window
from barometer.vocabulary import AlertType, Level, NotifiedSeverity, StatedKind

DUTY = "duty:"
"""Begins the name of a roster where receivers are named."""


def listed(value: Any) -> Any:
    return [value] if isinstance(value, str | int | dict) else value


def _window(value: Any) -> Window:
    try:
        return Window.of(value)
    except HoursError as e:
        raise ValueError(str(e)) from None


Names = Annotated[list[str], BeforeValidator(listed)]
"""One name or a list of them."""
Windows = Annotated[list[Annotated[Any, BeforeValidator(_window)]], BeforeValidator(listed)]
"""``workday 22:00-08:00``, or mappings of days, from and to; one or a list."""
Types = Annotated[list[AlertType], BeforeValidator(listed)]
Kinds = Annotated[list[StatedKind], BeforeValidator(listed)]


class Strict(BaseModel):
    """Unknown keys are errors, so that a typing mistake does not pass for a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Escalation(Strict):
    """Further receivers if nobody acknowledges."""

    after_minutes: float = Field(gt=0)
    """After the first notification."""
    receivers: Names = Field(min_length=1)


class Matcher(Strict):
    """What an alert must be; what is left out does not matter."""

    series: Names | None = None
    """Names or patterns with ``*``, as ``topic:*``; system alerts are ``system:lag`` and the like."""
    type: Types | None = None
    kind: Kinds | None = None
    """Any of the alert's kinds."""
    level: Annotated[list[Level], BeforeValidator(listed)] | None = None
    min_severity: NotifiedSeverity = "warning"


class Route(Matcher):
    """Which receivers are notified of which alerts."""

    name: str | None = None
    """For people who ask why they were notified."""
    receivers: Names
    """Receivers, or ``duty:ROSTER``; an empty list: nobody."""
    hours: Windows | None = None
    """Only at these hours."""
    quiet_hours: str | None = None
    repeat_minutes: float | None = Field(None, gt=0)
    """Instead of ``repeat_interval_minutes``."""
    then: Literal["stop", "continue"] = "stop"
    """Whether routes below this one are looked at as well."""
    escalate: Annotated[list[Escalation], BeforeValidator(listed)] = Field(default_factory=list)


class QuietHours(Strict):
    """Hours without notifications, and the severity that is sent all the same."""

    windows: Windows = Field(min_length=1)
    through: Literal["critical", "none"] = "critical"


class Override(Strict):
    """An exception to the turns of a roster."""

    begin: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    who: str
    why: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> Override:
        if _local(self.end) <= _local(self.begin):
            raise ValueError("to: must be later than from")
        return self


class Roster(Strict):
    """Receivers who are on duty in turn."""

    name: str = Field(pattern=r"^[^\s/:]+$")
    people: Names = Field(min_length=1)
    """Names of receivers, in the order of their turns."""
    start: datetime
    """Begin of the first one's turn; hands change at this hour. Local time, without an offset."""
    turn: Literal["day", "week"] = "week"
    turns: int = Field(1, ge=1, le=52)
    """Days or weeks that each turn lasts."""
    overrides: list[Override] = Field(default_factory=list)

    @model_validator(mode="after")
    def _local_times(self) -> Roster:
        _local(self.start)
        return self


def _local(at: datetime) -> datetime:
    if at.tzinfo is not None:
        raise ValueError("local time without an offset, like 2026-01-05 09:00")
    return at


class LocalizedText(Strict):
    """A text in both languages."""

    zh: str
    en: str


class SeriesGuide(Strict):
    """Runbook and contact of series."""

    series: Names
    runbook: (
        Annotated[LocalizedText, BeforeValidator(lambda v: {"zh": v, "en": v} if isinstance(v, str) else v)] | None
    ) = None
    """Text or link, one for both languages or one each."""
    contact: str | None = None


class LevelRule(Matcher):
    """Which level an alert gets, unless a person says otherwise."""

    name: str = Field(pattern=r"^[^\s/]+$")
    sets: Level
    min_negative: int = Field(0, ge=0)
    """Negative texts in the window."""
    min_sources: int = Field(0, ge=0)
    """Sources that told of it."""
    word: Names | None = None
    """One of them, in one of the texts that the alert keeps."""
