"""What people have to be told of an incident now. Pure: alerts, what was told before and a time go in; nothing is read
or written, and the same state always says the same. So it does not matter who changed an alert, or how often one looks.

Alerts that share a cause are told together: a channel hears of an incident once, again if an alert of it gets worse
than it knows or is about another matter as well, and that it is over when all its alerts are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from barometer.store.alerts import handling
from barometer.store.alerts.handling import snoozed
from barometer.store.alerts.life_cycle import OPEN, SEVERITIES
from monitor.notify.routes import Recipient, Router, Target

TOLD = ("pending", "sending", "sent")
MATTERS_APART_MS = 5 * 60_000
"""Further matters of one alert are told so far apart: a wave of them is one message every few minutes."""
RESOLVED_WITHIN_MS = 24 * 3_600_000
"""A resolution that nobody was told of within a day is history."""
GRAVE_ENOUGH = handling.rank("major")
"""A level from here on is worth telling when it is set."""

Key = tuple[str, int]
"""Receiver and channel."""


class Told(NamedTuple):
    """A notification that was written before; ``severity`` and ``level`` are what it said."""

    id: int
    alert_id: int
    incident_id: int | None
    receiver: str
    channel: int
    reason: str
    state: str
    created_at: int
    sent_at: int | None
    severity: str
    level: str | None


class Due(NamedTuple):
    """Tell somebody."""

    alert: Mapping[str, Any]
    to: Recipient
    channel: int
    reason: str
    steps: tuple[str, ...] = ()
    """Those that are overdue."""


@dataclass(slots=True)
class Verdict:
    """What follows from the state of an incident."""

    due: list[Due] = field(default_factory=list)
    held: list[Due] = field(default_factory=list)
    """To be told when their quiet hours are over."""
    woken: list[int] = field(default_factory=list)
    """Alerts whose snooze is over and done with."""
    overdue: list[tuple[int, tuple[str, ...], list[str]]] = field(default_factory=list)
    """(alert, steps, receivers) to be written down as told."""

    def __bool__(self) -> bool:
        return bool(self.due or self.woken or self.overdue)


class Incident:
    """The alerts of one incident (or one alert that has none) and what was told of them.

    Args:
        alerts: rows of ``alerts`` that are open or were resolved lately, with ``audible``, ``silenced`` (bool),
            ``overdue`` (names of steps that nobody was told of) and ``matter_at`` (when it was last found to be about
            something else as well, or None).
        told: notifications of all its alerts, the oldest first.
    """

    def __init__(self, alerts: Sequence[Mapping[str, Any]], told: Sequence[Told], router: Router, now_ms: int) -> None:
        self._alerts, self._router, self._now = alerts, router, now_ms
        self._told: dict[Key, list[Told]] = {}
        """Since the channel was last told that it is over."""
        for t in told:
            if t.state in (*TOLD, "failed"):
                rows = self._told.setdefault((t.receiver, t.channel), [])
                rows.append(t)
                if t.reason == "resolved":
                    rows.clear()

    def verdict(self) -> Verdict:
        out = Verdict()
        open_ = [a for a in self._alerts if a["state"] in OPEN and a["audible"]]
        chosen: dict[Key, Due] = {}
        for due in self._firing(open_):
            chosen[due.to.receiver.name, due.channel] = due
        awake = {a["id"] for a in open_ if a["snoozed_until"] is not None and not snoozed(a, self._now)}
        told_awake = self._unsnoozed(open_, awake, chosen)
        for due in chosen.values():
            (out.due if due.to.quiet_until is None else out.held).append(due)
        for alert_id in sorted(awake):
            if alert_id not in told_awake or any(d.alert["id"] == alert_id for d in out.due):
                out.woken.append(alert_id)
        if not open_:
            out.due += self._over()
        self._overdue(out)
        return out

    # --- while it runs -----------------------------------------------------------------------------------------------

    def _firing(self, open_: list[Mapping[str, Any]]) -> Iterator[Due]:
        """First, worse, repeated; then escalated, which goes before them."""
        speaking = [a for a in open_ if not a["silenced"] and not snoozed(a, self._now)]
        in_hand = max((_rank(a["severity"]) for a in open_ if a["state"] == "acknowledged"), default=-1)
        waiting = {a["id"] for a in speaking if a["state"] == "firing" and _rank(a["severity"]) > in_hand}
        for key, options in self._audience(speaking).items():
            due = self._for_channel(key, options, waiting)
            if due is not None:
                yield due
        first_told = min((t.created_at for rows in self._told.values() for t in rows), default=None)
        if first_told is None:
            return
        reached = set[Key]()
        for a in sorted((a for a in speaking if a["id"] in waiting), key=_urgency):
            for to in self._router.escalations(Target.of(a), self._now):
                if self._now - first_told < to.after_minutes * 60_000:
                    continue
                for channel in range(len(to.receiver.channels)):
                    key = (to.receiver.name, channel)
                    if key not in reached and not any(t.reason == "escalated" for t in self._told.get(key, [])):
                        reached.add(key)  # with the most urgent alert: the others of the incident are named beside it
                        yield Due(a, to, channel, "escalated")

    def _audience(self, speaking: list[Mapping[str, Any]]) -> dict[Key, list[tuple[Mapping[str, Any], Recipient]]]:
        """Whom the routes name, and to whom it was escalated; with the alerts that each is told of, the most urgent
        first."""
        out: dict[Key, list[tuple[Mapping[str, Any], Recipient]]] = {}
        for a in sorted(speaking, key=_urgency):
            target = Target.of(a)
            found = {r.receiver.name: r for r in self._router.route(target, self._now)}
            for key, rows in self._told.items():
                receiver = self._router.config.receiver(key[0])
                if receiver is not None and key[0] not in found and any(t.reason == "escalated" for t in rows):
                    found[key[0]] = self._router.recipient(receiver, "it was escalated to them", target, self._now)
            for to in found.values():
                for channel in range(len(to.receiver.channels)):
                    out.setdefault((to.receiver.name, channel), []).append((a, to))
        return out

    def _for_channel(
        self, key: Key, options: list[tuple[Mapping[str, Any], Recipient]], waiting: set[int]
    ) -> Due | None:
        rows = self._told.get(key, [])
        heard = [t for t in rows if t.state in TOLD]
        if heard:
            severity = max(_rank(t.severity) for t in heard)
            level = max(GRAVE_ENOUGH - 1, *(handling.rank(t.level) for t in heard))
            for a, to in options:
                if _rank(a["severity"]) > severity or handling.rank(a["level"]) > level:
                    return Due(a, to, key[1], "worse")
            last_heard = max(t.created_at for t in heard)
            just_now = any(t.reason == "matter" and t.created_at > self._now - MATTERS_APART_MS for t in heard)
            for a, to in options:
                if (a["matter_at"] or 0) > last_heard and not just_now:
                    return Due(a, to, key[1], "matter")
        for a, to in options:
            if a["id"] not in waiting:
                continue
            if not rows:
                return Due(a, to, key[1], "first")
            last = rows[-1]
            if not heard and _rank(a["severity"]) > max(_rank(t.severity) for t in rows):
                return Due(a, to, key[1], "first")
            waited = self._now - (last.sent_at or last.created_at) >= to.repeat_minutes * 60_000
            if last.state in ("sent", "failed") and waited:
                return Due(a, to, key[1], "repeated" if heard else "first")
            return None
        return None

    def _unsnoozed(self, open_: list[Mapping[str, Any]], awake: set[int], chosen: dict[Key, Due]) -> set[int]:
        """Who put it off wants to hear of it again, in hand or not; returns the alerts that somebody is told of."""
        told = set()
        for a in sorted((a for a in open_ if a["id"] in awake and not a["silenced"]), key=_urgency):
            for to in self._router.route(Target.of(a), self._now):
                for channel in range(len(to.receiver.channels)):
                    key = (to.receiver.name, channel)
                    if not self._told.get(key):
                        continue
                    told.add(a["id"])
                    if key not in chosen or chosen[key].reason == "repeated":
                        chosen[key] = Due(a, to, channel, "unsnoozed")
        return told

    # --- afterwards --------------------------------------------------------------------------------------------------

    def _over(self) -> Iterator[Due]:
        """All its alerts are resolved: those who were told are told so, after their quiet hours."""
        resolved = [a for a in self._alerts if a["state"] == "resolved" and a["audible"] and not a["silenced"]]
        by_id = {a["id"]: a for a in resolved if a["resolved_at"] > self._now - RESOLVED_WITHIN_MS}
        if not by_id:
            return
        latest = max(by_id.values(), key=lambda a: (a["resolved_at"], a["id"]))
        for (name, channel), rows in sorted(self._told.items()):
            heard = [t for t in rows if t.state in TOLD and t.reason != "overdue"]
            receiver = self._router.config.receiver(name)
            if not heard or receiver is None or channel >= len(receiver.channels) or not receiver.send_resolved:
                continue
            a = by_id.get(heard[0].alert_id, latest)
            to = self._router.recipient(receiver, "they were told of it", Target.of(a), self._now)
            yield Due(a, to, channel, "resolved")

    def _overdue(self, out: Verdict) -> None:
        for a in self._alerts:
            if not a["overdue"] or not a["audible"] or a["silenced"]:
                continue
            recipients = self._router.overdue(Target.of(a), self._now)
            now = [to for to in recipients if to.quiet_until is None]
            if recipients and not now:
                continue  # told when the first of them may be told
            for to in now:
                out.due += [Due(a, to, i, "overdue", a["overdue"]) for i in range(len(to.receiver.channels))]
            out.overdue.append((a["id"], a["overdue"], [to.receiver.name for to in now]))


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity)


def _urgency(a: Mapping[str, Any]) -> tuple[int, int, int]:
    """Sorts the worst and the gravest first, then the oldest."""
    return -_rank(a["severity"]), -handling.rank(a["level"]), a["id"]
