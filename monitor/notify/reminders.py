"""What has to be told without a change by the detector: reminders, escalation, overdue steps, and what a person's act,
the end of a silence, of quiet hours or of a snooze left untold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, exists, select

from barometer.store import leases
from barometer.store.alerts import handling
from barometer.store.alerts.life_cycle import OPEN
from barometer.store.alerts.silences import Silencer
from barometer.store.engine import Store
from barometer.store.leases import Lease
from barometer.store.tables import Alert, AlertStep
from monitor.notify.config import NotifyConfig
from monitor.notify.due import RESOLVED_WITHIN_MS, Incident, Told, Verdict
from monitor.notify.outbox import carry_out, load_alerts, told
from monitor.notify.routes import Router


def repeat_due(store: Store, lease: Lease, config: NotifyConfig, now_ms: int) -> int:
    """Write the notifications that the passing of time asks for; returns their number. Cheap where there are none.

    * ``repeated``: the alert fires, nobody has acknowledged it, and the repeat interval has passed since the receiver
      was last told;
    * ``escalated``: nobody has acknowledged it within the route's ``after_minutes`` of the first notification;
    * ``first``: it fires and a receiver of its routes was never told (a silence or quiet hours have ended, the file or
      who is on duty has changed);
    * ``unsnoozed``: a snooze is over; ``overdue``: a step of its level is;
    * ``worse``, ``resolved``: what a person did on the dashboard, which writes no notifications.

    Raises:
        StaleWrite: the lease was lost; nothing was written.
    """
    router, deadlines = Router(config), config.settings.level_steps
    with store.read() as c:
        unplanned = _unplanned(c, deadlines)
        if not unplanned and not (config.file.receivers and any(_verdicts(c, router, now_ms))):
            return 0
    with store.write() as c:
        leases.check(store, c, lease)
        for alert_id, level, level_at in unplanned:
            handling.plan_steps(c, alert_id, level, level_at or now_ms, deadlines)
        if not config.file.receivers:
            return 0
        return sum(carry_out(c, verdict, config, now_ms) for verdict in _verdicts(c, router, now_ms))


def _unplanned(c: Connection, deadlines: handling.Deadlines) -> list[tuple[int, str, int | None]]:
    """Open alerts whose level was set without saying what it asks for."""
    found = c.execute(
        select(Alert.id, Alert.level, Alert.level_at).where(
            Alert.state.in_(OPEN), Alert.level.is_not(None), ~exists().where(AlertStep.alert_id == Alert.id)
        )
    )
    return [(row[0], str(row[1]), row[2]) for row in found if deadlines.get(str(row[1]))]


def _verdicts(c: Connection, router: Router, now_ms: int) -> Iterator[Verdict]:
    """Of every incident that is open or was lately, or has an overdue step that nobody was told of."""
    late = select(AlertStep.alert_id).where(
        AlertStep.state == "open", AlertStep.due_at <= now_ms, AlertStep.overdue_at.is_(None)
    )
    recent = (Alert.state == "resolved") & (Alert.resolved_at > now_ms - RESOLVED_WITHIN_MS)
    which = Alert.state.in_(OPEN) | recent | Alert.id.in_(late)
    alerts = load_alerts(c, which, Silencer(c, router.config.settings, now_ms), now_ms)
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    history: dict[tuple[str, int], list[Told]] = {}
    for a in alerts:
        groups.setdefault(_group(a["id"], a["incident_id"]), []).append(a)
    for t in told(c, alerts):
        history.setdefault(_group(t.alert_id, t.incident_id), []).append(t)
    for key, group in groups.items():
        yield Incident(group, history.get(key, []), router, now_ms).verdict()


def _group(alert_id: int, incident_id: int | None) -> tuple[str, int]:
    return ("alert", alert_id) if incident_id is None else ("incident", incident_id)
