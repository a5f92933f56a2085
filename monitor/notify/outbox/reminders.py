"""Writes notifications that no change by the detector asks for: reminders, escalations, overdue steps, and what a
person's act or the end of a silence, of quiet hours or of a snooze left unsent."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from barometer.store import leases
from barometer.store.alerts import handling
from barometer.store.alerts.notifiable import NotifiableAlert, UnplannedAlert, alerts_to_review, unplanned_alerts
from barometer.store.alerts.notifications import PastNotification, past_notifications
from barometer.store.alerts.silences import Silencer
from barometer.store.engine import Store
from barometer.store.leases import Lease
from monitor.notify.config import NotifyConfig
from monitor.notify.due import RESOLVED_WITHIN_MS, NotificationPlan, NotificationPlanner
from monitor.notify.outbox.enqueue import write_plan
from monitor.notify.routes import Router


def repeat_due(store: Store, lease: Lease, config: NotifyConfig, now_ms: int) -> int:
    """Write the notifications that the passing of time asks for; returns their number. Cheap where there are none.

    * ``repeated``: the alert fires, nobody has acknowledged it, and the repeat interval has passed since the receiver
      was last notified;
    * ``escalated``: nobody has acknowledged it within the route's ``after_minutes`` of the first notification;
    * ``first``: it fires and a receiver of its routes was never notified (a silence or quiet hours have ended, the file
      or who is on duty has changed);
    * ``unsnoozed``: a snooze is over; ``overdue``: a step of its level is;
    * ``worse``, ``resolved``: what a person did on the dashboard, which writes no notifications.

    Raises:
        StaleWrite: the lease was lost; nothing was written.
    """
    router, deadlines = Router(config), config.settings.level_steps
    with store.read() as c:
        unplanned = _unplanned(c, deadlines)
        if not unplanned and not (config.file.receivers and any(_plans(c, router, now_ms))):
            return 0
    with store.write() as c:
        leases.check(store, c, lease)
        for alert in unplanned:
            handling.plan_steps(c, alert.id, alert.level, alert.level_at or now_ms, deadlines)
        if not config.file.receivers:
            return 0
        return sum(write_plan(c, plan, config, now_ms) for plan in _plans(c, router, now_ms))


def _unplanned(c: Connection, deadlines: handling.Deadlines) -> list[UnplannedAlert]:
    return [alert for alert in unplanned_alerts(c) if deadlines.get(alert.level)]


def _plans(c: Connection, router: Router, now_ms: int) -> Iterator[NotificationPlan]:
    """One for each incident, and for each alert that has none."""
    silencer = Silencer(c, router.config.settings, now_ms)
    alerts = alerts_to_review(c, silencer, now_ms, RESOLVED_WITHIN_MS)
    groups: dict[tuple[str, int], list[NotifiableAlert]] = {}
    history: dict[tuple[str, int], list[PastNotification]] = {}
    for a in alerts:
        groups.setdefault(_group(a.id, a.incident_id), []).append(a)
    for n in past_notifications(c, alerts):
        history.setdefault(_group(n.alert_id, n.incident_id), []).append(n)
    for key, group in groups.items():
        yield NotificationPlanner(group, history.get(key, []), router, now_ms).plan()


def _group(alert_id: int, incident_id: int | None) -> tuple[str, int]:
    return ("alert", alert_id) if incident_id is None else ("incident", incident_id)
