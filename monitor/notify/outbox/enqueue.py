"""Writes the notifications that a change of an alert asks for, in the transaction of the change."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from barometer.store.alerts import handling
from barometer.store.alerts.incidents import incident_alerts
from barometer.store.alerts.life_cycle import AlertChange, record_event
from barometer.store.alerts.notifiable import (
    NotifiableAlert,
    alerts_of_same_incident,
    notifiable_alert,
    was_held,
)
from barometer.store.alerts.notifications import (
    add_notification,
    past_notifications,
    replace_payload,
    unsent_of_incident,
)
from barometer.store.alerts.silences import Silencer
from monitor.notify.config import NotifyConfig
from monitor.notify.due import DueNotification, NotificationPlan, NotificationPlanner
from monitor.notify.facts import facts_of
from monitor.notify.routes import Router, guide_of
from monitor.notify.wording import alert_name

SYSTEM = "system"
"""Who acts, in the history of an alert."""


def enqueue(c: Connection, change: AlertChange | None, config: NotifyConfig, now_ms: int) -> int:
    """Write the notifications that a change of an alert asks for; returns their number.

    Nothing is written for alerts that are quiet, of a trial series, or of severity ``info``. A silence, and a
    receiver's quiet hours, leave an event on the alert instead.
    """
    if change is None or (change.reason is None and not config.file.levels):
        return 0
    router = Router(config)
    level_raised = _classify(c, change.alert_id, router, now_ms)
    if not config.file.receivers or (change.reason is None and not level_raised):
        return 0
    silencer = Silencer(c, config.settings, now_ms)
    alerts = alerts_of_same_incident(c, change.alert_id, silencer, now_ms)
    changed = next(a for a in alerts if a.id == change.alert_id)
    if changed.silenced is not None and change.reason != "resolved":
        silencer.note(c, changed.id, changed.silenced, {"reason": change.reason}, now_ms)
    plan = NotificationPlanner(alerts, past_notifications(c, alerts), router, now_ms).plan()
    written = write_plan(c, plan, config, now_ms)
    if changed.incident_id is not None:
        _update_incident(c, changed.incident_id, config)
    return written


def write_plan(c: Connection, plan: NotificationPlan, config: NotifyConfig, now_ms: int) -> int:
    """Write a plan's notifications, and on its alerts what happened to them; returns the number of notifications."""
    for due in plan.due:
        write_notification(c, due, config, now_ms)
    escalated: dict[int, set[str]] = {}
    for due in plan.due:
        if due.reason == "escalated":
            escalated.setdefault(due.alert.id, set()).add(due.to.receiver.name)
    for alert_id, names in escalated.items():
        record_event(c, alert_id, now_ms, SYSTEM, "escalated", None, {"receivers": sorted(names)})
    for alert_id, steps, receivers in plan.overdue:
        handling.record_overdue(c, alert_id, steps, receivers, now_ms)
    for alert_id in plan.woken:
        handling.wake(c, alert_id, now_ms)
    for due in plan.held:
        _note_held(c, due, now_ms)
    return len(plan.due)


def write_notification(c: Connection, due: DueNotification, config: NotifyConfig, now_ms: int) -> None:
    """Add one notification to the outbox, with the facts as they are now."""
    alert, receiver = due.alert, due.to.receiver
    guide = guide_of(config, alert.fingerprint)
    facts = facts_of(alert, reason=due.reason, receiver=receiver, settings=config.settings, now_ms=now_ms) | guide
    facts |= {
        "repeat_minutes": due.to.repeat_minutes,
        "why": due.to.why,
        "overdue": list(due.steps),
        "incident": _incident_facts(c, alert.incident_id, config),
        "steps": _steps_facts(c, alert),
    }
    add_notification(
        c,
        alert_id=alert.id,
        receiver=receiver.name,
        channel=due.channel,
        reason=due.reason,
        message_id=f"barometer-{uuid4().hex}",
        payload=facts,
        not_before=due.to.quiet_until or now_ms,
        now_ms=now_ms,
    )


def _classify(c: Connection, alert_id: int, router: Router, now_ms: int) -> bool:
    """Set the level by the rules of the file, and plan the steps that it asks for; returns whether it was raised."""
    alert = notifiable_alert(c, alert_id)
    if alert is None or alert.type == "system" or alert.state == "resolved":
        return False
    rule, deadlines = router.level(alert), router.config.settings.level_steps
    raised = rule is not None and handling.set_level(
        c, alert_id, handling.RULE + rule.name, rule.sets, now_ms, None, deadlines
    )
    if not raised and alert.level is not None:
        handling.plan_steps(c, alert_id, alert.level, alert.level_at or now_ms, deadlines)
    return raised


def _note_held(c: Connection, due: DueNotification, now_ms: int) -> None:
    """Write on the alert that quiet hours keep a notification back, once a receiver and night."""
    name, until = due.to.receiver.name, due.to.quiet_until
    if not was_held(c, due.alert.id, name, until):
        data = {"receiver": name, "until": until, "reason": due.reason}
        record_event(c, due.alert.id, now_ms, SYSTEM, "held", None, data)


def _steps_facts(c: Connection, alert: NotifiableAlert) -> list[dict[str, Any]]:
    steps = handling.steps_of(c, [alert.id]) if alert.level else []
    return [{"step": s.step, "state": s.state, "due_at": s.due_at, "done_by": s.done_by} for s in steps]


def _incident_facts(c: Connection, incident_id: int | None, config: NotifyConfig) -> dict[str, Any] | None:
    """All alerts of the incident that a message is about; None if there is only one."""
    found = [] if incident_id is None else incident_alerts(c, incident_id)
    if len(found) < 2:
        return None
    file = config.settings.topics_file
    alerts = [
        {
            "id": a.id,
            "state": a.state,
            "severity": a.severity,
            "fingerprint": a.fingerprint,
            "series": {lang: alert_name(a.fingerprint, a.explanation, lang, file) for lang in ("zh", "en")},
        }
        for a in found
    ]
    return {"id": incident_id, "alerts": alerts}


def _update_incident(c: Connection, incident_id: int, config: NotifyConfig) -> None:
    """Notifications of the incident that nobody has seen yet name all its alerts of now."""
    facts = _incident_facts(c, incident_id, config)
    if facts is None:
        return
    for entry in unsent_of_incident(c, incident_id):
        if entry.payload.get("incident") != facts:
            replace_payload(c, entry.id, {**entry.payload, "incident": facts})
