"""Decides which notifications an incident needs now. Pure: alerts, past notifications and a time go in, nothing is
read or written, and the same state always gives the same plan. So it does not matter who changed an alert, or how often
the plan is made.

Alerts of one incident are notified together: a channel hears of the incident once, again if an alert of it gets worse
than the channel knows or is about another matter as well, and that it is over when all its alerts are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from barometer.store.alerts import handling
from barometer.store.alerts.notifiable import NotifiableAlert
from barometer.store.alerts.notifications import ChannelKey, PastNotification
from barometer.vocabulary import OPEN_STATES, SEVERITIES
from monitor.notify.routes import Recipient, Router, Target

REACHED = ("pending", "sending", "sent")
"""States in which a notification has reached its channel, or still will."""
MATTER_INTERVAL_MS = 5 * 60_000
"""Least time between two messages about further matters of one alert: a wave of them is one message."""
RESOLVED_WITHIN_MS = 24 * 3_600_000
"""A resolution that could not be sent within a day is not sent any more."""
NOTABLE_LEVEL = handling.rank("major")
"""Setting a level from here on is worth a message."""


class DueNotification(NamedTuple):
    """A notification to be written."""

    alert: NotifiableAlert
    to: Recipient
    channel: int
    reason: str
    steps: tuple[str, ...] = ()
    """Those that are overdue."""


@dataclass(slots=True)
class NotificationPlan:
    """What to write for an incident."""

    due: list[DueNotification] = field(default_factory=list)
    held: list[DueNotification] = field(default_factory=list)
    """Put off until the receivers' quiet hours are over."""
    woken: list[int] = field(default_factory=list)
    """Alerts whose snooze is over."""
    overdue: list[tuple[int, tuple[str, ...], list[str]]] = field(default_factory=list)
    """(alert, steps, receivers) to be recorded as notified."""

    def __bool__(self) -> bool:
        return bool(self.due or self.woken or self.overdue)


class NotificationPlanner:
    """Plans the notifications of one incident, or of one alert that has none.

    Args:
        alerts: those of its alerts that are open or were resolved lately.
        history: notifications of all its alerts, the oldest first.
    """

    def __init__(
        self, alerts: Sequence[NotifiableAlert], history: Sequence[PastNotification], router: Router, now_ms: int
    ) -> None:
        self._alerts, self._router, self._now = alerts, router, now_ms
        self._history: dict[ChannelKey, list[PastNotification]] = {}
        """By channel, since it was last told that the incident is over."""
        for n in history:
            if n.state in (*REACHED, "failed"):
                rows = self._history.setdefault((n.receiver, n.channel), [])
                rows.append(n)
                if n.reason == "resolved":
                    rows.clear()

    def plan(self) -> NotificationPlan:
        out = NotificationPlan()
        open_ = [a for a in self._alerts if a.state in OPEN_STATES and a.audible]
        chosen: dict[ChannelKey, DueNotification] = {}
        for due in self._firing(open_):
            chosen[due.to.receiver.name, due.channel] = due
        awake = {a.id for a in open_ if a.snoozed_until is not None and not a.snoozed(self._now)}
        unsnoozed = self._unsnoozed(open_, awake, chosen)
        for due in chosen.values():
            (out.due if due.to.quiet_until is None else out.held).append(due)
        for alert_id in sorted(awake):
            if alert_id not in unsnoozed or any(d.alert.id == alert_id for d in out.due):
                out.woken.append(alert_id)
        if not open_:
            out.due += self._over()
        self._overdue(out)
        return out

    # --- while it runs -----------------------------------------------------------------------------------------------

    def _firing(self, open_: list[NotifiableAlert]) -> Iterator[DueNotification]:
        """First, worse, repeated; then escalated, which goes before them."""
        speaking = [a for a in open_ if not a.silenced and not a.snoozed(self._now)]
        in_hand = max((_rank(a.severity) for a in open_ if a.state == "acknowledged"), default=-1)
        waiting = {a.id for a in speaking if a.state == "firing" and _rank(a.severity) > in_hand}
        for key, options in self._audience(speaking).items():
            due = self._for_channel(key, options, waiting)
            if due is not None:
                yield due
        first_sent = min((n.created_at for rows in self._history.values() for n in rows), default=None)
        if first_sent is None:
            return
        reached = set[ChannelKey]()
        for a in sorted((a for a in speaking if a.id in waiting), key=_urgency):
            for to in self._router.escalations(Target.of(a), self._now):
                if self._now - first_sent < to.after_minutes * 60_000:
                    continue
                for channel in range(len(to.receiver.channels)):
                    key = (to.receiver.name, channel)
                    if key not in reached and not any(n.reason == "escalated" for n in self._history.get(key, [])):
                        reached.add(key)  # with the most urgent alert: the others of the incident are named beside it
                        yield DueNotification(a, to, channel, "escalated")

    def _audience(self, speaking: list[NotifiableAlert]) -> dict[ChannelKey, list[tuple[NotifiableAlert, Recipient]]]:
        """The channels of the routes' receivers and of those it was escalated to, each with its alerts, the most urgent
        first."""
        out: dict[ChannelKey, list[tuple[NotifiableAlert, Recipient]]] = {}
        for a in sorted(speaking, key=_urgency):
            target = Target.of(a)
            found = {r.receiver.name: r for r in self._router.route(target, self._now)}
            for key, rows in self._history.items():
                receiver = self._router.config.receiver(key[0])
                if receiver is not None and key[0] not in found and any(n.reason == "escalated" for n in rows):
                    found[key[0]] = self._router.recipient(receiver, "it was escalated to them", target, self._now)
            for to in found.values():
                for channel in range(len(to.receiver.channels)):
                    out.setdefault((to.receiver.name, channel), []).append((a, to))
        return out

    def _for_channel(
        self, key: ChannelKey, options: list[tuple[NotifiableAlert, Recipient]], waiting: set[int]
    ) -> DueNotification | None:
        rows = self._history.get(key, [])
        heard = [n for n in rows if n.state in REACHED]
        if heard:
            severity = max(_rank(n.severity) for n in heard)
            level = max(NOTABLE_LEVEL - 1, *(handling.rank(n.level) for n in heard))
            for a, to in options:
                if _rank(a.severity) > severity or handling.rank(a.level) > level:
                    return DueNotification(a, to, key[1], "worse")
            last_heard = max(n.created_at for n in heard)
            just_now = any(n.reason == "matter" and n.created_at > self._now - MATTER_INTERVAL_MS for n in heard)
            for a, to in options:
                if (a.matter_at or 0) > last_heard and not just_now:
                    return DueNotification(a, to, key[1], "matter")
        for a, to in options:
            if a.id not in waiting:
                continue
            if not rows:
                return DueNotification(a, to, key[1], "first")
            last = rows[-1]
            if not heard and _rank(a.severity) > max(_rank(n.severity) for n in rows):
                return DueNotification(a, to, key[1], "first")
            waited = self._now - (last.sent_at or last.created_at) >= to.repeat_minutes * 60_000
            if last.state in ("sent", "failed") and waited:
                return DueNotification(a, to, key[1], "repeated" if heard else "first")
            return None
        return None

    def _unsnoozed(
        self, open_: list[NotifiableAlert], awake: set[int], chosen: dict[ChannelKey, DueNotification]
    ) -> set[int]:
        """Alerts whose snooze is over are sent again, acknowledged or not; returns those that have a receiver."""
        notified = set()
        for a in sorted((a for a in open_ if a.id in awake and not a.silenced), key=_urgency):
            for to in self._router.route(Target.of(a), self._now):
                for channel in range(len(to.receiver.channels)):
                    key = (to.receiver.name, channel)
                    if not self._history.get(key):
                        continue
                    notified.add(a.id)
                    if key not in chosen or chosen[key].reason == "repeated":
                        chosen[key] = DueNotification(a, to, channel, "unsnoozed")
        return notified

    # --- afterwards --------------------------------------------------------------------------------------------------

    def _over(self) -> Iterator[DueNotification]:
        """All alerts are resolved: channels that heard of the incident hear of its end, after their quiet hours."""
        resolved = [a for a in self._alerts if a.state == "resolved" and a.audible and not a.silenced]
        by_id = {a.id: a for a in resolved if (a.resolved_at or 0) > self._now - RESOLVED_WITHIN_MS}
        if not by_id:
            return
        latest = max(by_id.values(), key=lambda a: (a.resolved_at or 0, a.id))
        for (name, channel), rows in sorted(self._history.items()):
            heard = [n for n in rows if n.state in REACHED and n.reason != "overdue"]
            receiver = self._router.config.receiver(name)
            if not heard or receiver is None or channel >= len(receiver.channels) or not receiver.send_resolved:
                continue
            a = by_id.get(heard[0].alert_id, latest)
            to = self._router.recipient(receiver, "they were told of it", Target.of(a), self._now)
            yield DueNotification(a, to, channel, "resolved")

    def _overdue(self, out: NotificationPlan) -> None:
        for a in self._alerts:
            if not a.overdue_steps or not a.audible or a.silenced:
                continue
            recipients = self._router.overdue(Target.of(a), self._now)
            now = [to for to in recipients if to.quiet_until is None]
            if recipients and not now:
                continue  # sent when the first receiver's quiet hours are over
            for to in now:
                out.due += [
                    DueNotification(a, to, i, "overdue", a.overdue_steps) for i in range(len(to.receiver.channels))
                ]
            out.overdue.append((a.id, a.overdue_steps, [to.receiver.name for to in now]))


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity)


def _urgency(a: NotifiableAlert) -> tuple[int, int, int]:
    """Sorts the worst and the gravest first, then the oldest."""
    return -_rank(a.severity), -handling.rank(a.level), a.id
