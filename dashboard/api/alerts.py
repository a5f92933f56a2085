"""Alerts: the work list, one alert, and every act on it. What an act means and who may do it is in
``dashboard/services/acts.py``, for the screens as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from barometer.store.alerts.silences import silenced_alerts
from barometer.store.alerts.views import alert_page
from barometer.store.alerts.worklist import AlertFilter, work_list
from barometer.telling import telling
from barometer.vocabulary import AlertState, FalseAlarmReason, HandlingStep, Level, Resolution, Severity
from dashboard.api.contract import MAX_ID, Contract
from dashboard.api.shapes import Answer, Asked, Count, Json, Time
from dashboard.context import context
from dashboard.services.acts import ACTS, MAX_COMMENT, MAX_NAME, NoSuchAlert, act

TAG = "Alerts"
MAX_PAGE = 200
Comment = Annotated[str | None, Field(max_length=MAX_COMMENT)]
Until = Annotated[
    int | Annotated[str, Field(max_length=MAX_NAME)],
    Field(description="epoch ms, a span (90m, 6h, 2d), or 2026-11-24 08:00"),
]


class ListQuery(Asked):
    state: Literal["open", AlertState, "all"] = "open"
    severity: Severity | None = None
    level: Literal[Level, "none"] | None = None
    owner: str | None = Field(None, max_length=MAX_NAME, description="a user's name; none: nobody's")
    series: str | None = Field(None, max_length=MAX_NAME, description="topic:real_estate, system:lag")
    sort: (
        Literal[
            "id",
            "severity",
            "level",
            "started",
            "due",
            "owner",
            "-id",
            "-severity",
            "-level",
            "-started",
            "-due",
            "-owner",
        ]
        | None
    ) = Field(None, description="- is the other way round; left out: what waits for somebody first")
    limit: int = Field(50, ge=1, le=MAX_PAGE)
    before: int | None = Field(None, ge=0, le=MAX_ID, description="only alerts with lower numbers")


class AlertRow(Answer):
    """One alert of the work list."""

    id: int
    type: str = Field(description="surge, rule or system")
    fingerprint: str = Field(description="what merges into one alert: the series' name, system:lag and the like")
    series: str | None
    kinds: list[Any]
    state: AlertState
    severity: Severity
    level: Level | None
    level_at: Time | None
    level_by: str | None
    assignee: str | None
    owner: str | None = Field(None, description="whom it was given to, or else who took it")
    due_at: Time | None = Field(None, description="the next deadline")
    silenced_until: Time | None = Field(None, description="a silence covers it")
    snoozed_until: Time | None
    incident_id: int | None
    started_at: Time
    detected_at: Time
    peak_at: Time
    ended_at: Time | None = Field(description="when the detector let go")
    acknowledged_at: Time | None
    acknowledged_by: str | None
    resolved_at: Time | None
    resolved_by: str | None
    resolution: str | None
    score: float = Field(description="-log10 p at its worst")
    expected_negative: float
    seen_negative: Count
    seen_total: Count
    window_seconds: int
    arm: str | None
    detector_version: str | None
    model_id: int | None
    about: list[str] = Field(default_factory=list, description="companies that most of its texts name, else its terms")
    explanation: Json
    updated_at: Time


class AlertList(Answer):
    alerts: list[AlertRow]


class Event(Answer):
    """What somebody did, or the product itself."""

    id: int
    at: Time
    actor: str
    action: str
    comment: str | None
    data: Json


class Step(Answer):
    step: HandlingStep
    state: Literal["open", "done", "waived"]
    due_at: Time
    done_at: Time | None
    done_by: str | None
    note: str | None
    overdue_at: Time | None


class Told(Answer):
    """One message to one receiver."""

    id: int
    receiver: str
    channel: int
    sequence: int
    reason: str
    state: str
    created_at: Time
    not_before: Time
    attempts: Count
    sent_at: Time | None
    last_error: str | None


class Together(Answer):
    """Another alert of the same incident."""

    id: int
    fingerprint: str
    state: AlertState
    severity: Severity
    level: Level | None
    started_at: Time
    ended_at: Time | None


class Alert(AlertRow):
    """All of one alert."""

    model: str | None
    parameters: Json = Field(description="of the detector, as they were")
    evidence: list[Json] = Field(description="copies of the most telling texts: sources delete")
    events: list[Event]
    steps: list[Step]
    incident: list[Together]
    notifications: list[Told]


class Acknowledge(Asked):
    comment: Comment = None


class Assign(Asked):
    to: str | None = Field(max_length=MAX_NAME, description="a user who may act; null: nobody's")


class Remark(Asked):
    says = {"comment": "no_comment"}
    comment: str = Field(max_length=MAX_COMMENT)


class Snooze(Asked):
    says = {"until": "no_until"}
    until: Until
    comment: Comment = None


class SilenceAlert(Asked):
    says = {"until": "no_until", "comment": "no_why"}
    until: Until
    comment: str = Field(max_length=MAX_COMMENT, description="why")
    scope: Literal["series", "source", "word"] = "series"
    value: str | None = Field(None, max_length=MAX_NAME, description="left out: the alert's own series")
    severity: Severity | None = Field(None, description="the worst that is still kept quiet")
    hours: str | None = Field(None, max_length=MAX_NAME, description="workday 22:00-08:00")


class SetLevel(Asked):
    says = {"level": "which_level"}
    level: Level | None = Field(description="null: none")
    comment: Comment = None


class DoStep(Asked):
    says = {"step": "which_step"}
    step: HandlingStep
    note: str | None = Field(None, max_length=MAX_COMMENT)
    waive: bool = Field(False, description="it is not needed; the note says why")


class Resolve(Asked):
    resolution: Resolution = "other"
    reason: FalseAlarmReason | None = Field(None, description="of a false alarm")
    comment: Comment = None
    incident: bool = Field(False, description="all alerts of its incident")


class FalseAlarm(Asked):
    says = {"reason": "no_reason"}
    reason: FalseAlarmReason
    comment: Comment = None
    incident: bool = Field(False, description="all alerts of its incident")


BODIES: Mapping[str, tuple[type[Asked], str]] = {
    "acknowledge": (Acknowledge, "Take an alert"),
    "assign": (Assign, "Give an alert to somebody"),
    "comment": (Remark, "Say something about an alert"),
    "snooze": (Snooze, "Tell nobody for a while, unless it gets worse"),
    "wake": (Acknowledge, "End a snooze"),
    "silence": (SilenceAlert, "Keep alerts like this one quiet for a while"),
    "unsilence": (Acknowledge, "End the silence that covers an alert"),
    "level": (SetLevel, "Set the level, and with it the steps and their deadlines"),
    "step": (DoStep, "Say that a step is done or not needed"),
    "resolve": (Resolve, "Close an alert"),
    "false-alarm": (FalseAlarm, "Close an alert as a false alarm, with a reason"),
}


def register(contract: Contract) -> None:
    @contract.call("GET", "/alerts", TAG, query=ListQuery, answer=AlertList)
    def get_alerts(query: ListQuery) -> Any:
        """The work list."""
        asked = AlertFilter(query.state, query.severity, query.level, query.owner, query.series)
        sort = query.sort or ("-id" if query.state in ("resolved", "all") else "")
        ctx = context()
        with ctx.store.read() as c:
            found = work_list(c, asked, sort, limit=query.limit, before_id=query.before)
            silenced = silenced_alerts(c, ctx.settings, ctx.store.now_ms(c))
        rows = [
            dict(a._mapping)
            | {"silenced_until": _until(silenced, a.id), "about": telling(a.explanation, a.seen_negative)}
            for a in found
        ]
        return {"alerts": rows}

    @contract.call("GET", "/alerts/<int:alert_id>", TAG, answer=Alert)
    def get_alert(alert_id: int) -> Any:
        """One alert with evidence, events, steps, notifications, and the others of its incident."""
        ctx = context()
        with ctx.store.read() as c:
            page = alert_page(c, alert_id)
            silenced = silenced_alerts(c, ctx.settings, ctx.store.now_ms(c)) if page else {}
        if page is None:
            raise NoSuchAlert("no_alert", id=alert_id)
        row = dict(page.alert._mapping)
        due = [s.due_at for s in page.steps if s.state == "open"]
        return row | {
            "series": page.series,
            "model": page.model,
            "owner": row["assignee"] or row["acknowledged_by"],
            "due_at": min(due, default=None),
            "silenced_until": _until(silenced, alert_id),
            "about": telling(row["explanation"], row["seen_negative"]),
            "events": _rows(page.events),
            "steps": _rows(page.steps),
            "incident": _rows(page.together),
            "notifications": _rows(page.notifications),
        }

    for what, (body, summary) in BODIES.items():
        contract.call(
            "POST",
            f"/alerts/<int:alert_id>/{what}",
            TAG,
            body=body,
            answer=Alert,
            acts=True,
            name=what.replace("-", "_"),
        )(_does(what, summary, get_alert))
    assert set(BODIES) == set(ACTS)


def _does(what: str, summary: str, then: Callable[[int], Any]) -> Callable[..., Any]:
    def do(alert_id: int, body: Asked) -> Any:
        given = body.model_dump(exclude_unset=True)
        if isinstance(body, Resolve):
            given["resolution"] = body.resolution
        act(what, alert_id, given)
        return then(alert_id)

    do.__doc__ = (
        f"{summary}; answers the alert as it is then.\n\n"
        "What the same user has done already is not refused and changes nothing: a request may be sent again."
    )
    return do


def _until(silenced: Mapping[int, Any], alert_id: int) -> int | None:
    return silenced[alert_id].until if alert_id in silenced else None


def _rows(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [dict(r._mapping) for r in rows]
