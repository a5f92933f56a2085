"""What has to be told without a change of the alert: reminders, escalation, and what a person's act or the end of a
silence left untold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from barometer.store import leases
from barometer.store.alerts import record_event
from barometer.store.engine import Store
from barometer.store.leases import Lease
from barometer.store.tables import Alert, Notification, Series
from monitor.notify.config import NotifyConfig, Receiver, Target, escalations, route
from monitor.notify.outbox import SYSTEM, TOLD, audible, told_channels, write
from monitor.notify.silences import silence_of

RESOLVED_WITHIN_MS = 24 * 3_600_000
"""A resolution that nobody was told of within a day is history."""


_History = Mapping[tuple[str, int], list[Any]]
"""Notifications by (receiver, channel), oldest first."""


class _Due(NamedTuple):
    alert: Mapping[str, Any]
    receiver: Receiver
    channel: int
    reason: str


def repeat_due(store: Store, lease: Lease, config: NotifyConfig, now_ms: int) -> int:
    """Write the notifications that the passing of time asks for; returns their number. Cheap where there are none.

    * ``repeated``: the alert fires, nobody has acknowledged it, and ``repeat_interval_minutes`` have passed since the
      receiver was last told;
    * ``escalated``: nobody has acknowledged it within the route's ``after_minutes`` of the first notification;
    * ``first``: it fires and a receiver of its routes was never told (a silence has ended, the file has changed);
    * ``resolved``: a person resolved it on the dashboard, which writes no notifications.

    Raises:
        StaleWrite: the lease was lost; nothing was written.
    """
    if not config.file.receivers:
        return 0
    with store.read() as c:
        if not _due(c, config, now_ms):
            return 0
    with store.write() as c:
        leases.check(store, c, lease)
        found = _due(c, config, now_ms)
        for due in found:
            write(c, due.alert, due.receiver, due.channel, due.reason, config, now_ms)
        escalated: dict[int, set[str]] = {}
        for due in found:
            if due.reason == "escalated":
                escalated.setdefault(due.alert["id"], set()).add(due.receiver.name)
        for alert_id, names in escalated.items():
            record_event(c, alert_id, now_ms, SYSTEM, "escalated", None, {"receivers": sorted(names)})
    return len(found)


def _due(c: Connection, config: NotifyConfig, now_ms: int) -> list[_Due]:
    out: list[_Due] = []
    alerts = c.execute(
        select(Alert.__table__, Series.trial)
        .outerjoin(Series, Series.id == Alert.series_id)
        .where(
            (Alert.state == "firing")
            | ((Alert.state == "resolved") & (Alert.resolved_at > now_ms - RESOLVED_WITHIN_MS))
        )
        .order_by(Alert.id)
    ).all()
    for row in alerts:
        alert = dict(row._mapping)
        if not audible(alert) or silence_of(c, alert, now_ms) is not None:
            continue
        n = Notification
        rows = c.execute(select(n.__table__).where(n.alert_id == alert["id"]).order_by(n.sequence)).all()
        history: dict[tuple[str, int], list[Any]] = {}
        for told in rows:
            if told.state in (*TOLD, "failed"):
                history.setdefault((told.receiver, told.channel), []).append(told)
        if alert["state"] == "resolved":
            out += _resolved(alert, history, config)
        else:
            out += _firing(alert, history, config, now_ms)
    return out


def _resolved(
    alert: Mapping[str, Any], history: Mapping[tuple[str, int], list[Any]], config: NotifyConfig
) -> list[_Due]:
    untold = {
        key: {"first"}
        for key, told in history.items()
        if told[-1].reason != "resolved" and any(t.state in TOLD for t in told)
    }
    return [_Due(alert, r, i, "resolved") for r, i in told_channels(config, untold) if r.send_resolved]


def _firing(alert: Mapping[str, Any], history: _History, config: NotifyConfig, now_ms: int) -> list[_Due]:
    target = Target.of(alert)
    interval = config.settings.repeat_interval_minutes * 60_000
    audience = {(r.name, i): r for r in route(config, target) for i in range(len(r.channels))}
    for key, told in history.items():
        receiver = config.receiver(key[0])
        if any(t.reason == "escalated" for t in told) and receiver is not None and key[1] < len(receiver.channels):
            audience.setdefault(key, receiver)
    out: dict[tuple[str, int], _Due] = {}
    for (name, channel), receiver in audience.items():
        told = history.get((name, channel), [])
        if not told:
            out[name, channel] = _Due(alert, receiver, channel, "first")
        elif told[-1].state in ("sent", "failed") and now_ms - (told[-1].sent_at or told[-1].created_at) >= interval:
            out[name, channel] = _Due(alert, receiver, channel, "repeated")
    first_told = min((t.created_at for told in history.values() for t in told), default=None)
    for escalation in escalations(config, target):
        if first_told is None or now_ms - first_told < escalation.after_minutes * 60_000:
            continue
        for name in escalation.receivers:
            receiver = config.receiver(name)
            assert receiver is not None
            for channel in range(len(receiver.channels)):
                told = history.get((name, channel), [])
                if not any(t.reason == "escalated" for t in told):
                    out[name, channel] = _Due(alert, receiver, channel, "escalated")
    return list(out.values())
