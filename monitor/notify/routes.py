"""Routing: which receivers are notified of an alert at a time, and what each route said, for people who ask why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from barometer.hours import end_of_hours
from barometer.store.alerts.notifiable import NotifiableAlert
from barometer.vocabulary import SEVERITIES, Kind
from barometer.when import minute
from barometer.workdays import Workdays
from monitor.notify.config import NotifyConfig, Receiver
from monitor.notify.policy import DUTY, LevelRule, Matcher, Route
from monitor.notify.roster import on_duty


@dataclass(frozen=True, slots=True)
class Target:
    """The fields of an alert that routing looks at."""

    series: str
    type: str
    severity: str
    kinds: tuple[int, ...]
    level: str | None = None

    @classmethod
    def of(cls, alert: NotifiableAlert) -> Target:
        return cls(alert.fingerprint, alert.type, alert.severity, tuple(alert.kinds), alert.level)


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """Whether one route matched an alert, and why."""

    route: str
    matched: bool
    why: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """A receiver to be notified."""

    receiver: Receiver
    why: str
    """The route, and the roster where one decides."""
    repeat_minutes: float
    quiet_until: int | None = None
    """Notified only then (epoch ms): their quiet hours, or the route's."""
    after_minutes: float = 0.0
    """Of an escalation: after how long without acknowledgement."""


class Router:
    """Applies the routes of the file, with its calendar and rosters.

    >>> from monitor.notify.config import NotifyFile
    >>> from barometer.settings import load_settings
    >>> box = {"type": "webhook", "url": "http://127.0.0.1/"}
    >>> file = NotifyFile.model_validate({
    ...     "receivers": [{"name": "li", "channels": [box]}, {"name": "wang", "channels": [box]}],
    ...     "rosters": [{"name": "risk", "people": ["li", "wang"], "start": "2026-01-05 09:00"}],
    ...     "routes": [{"receivers": "duty:risk"}]})
    >>> router = Router(NotifyConfig(file, load_settings()))
    >>> [r.why for r in router.route(Target("topic:macro", "surge", "warning", (1,)), 1_768_273_200_000)]
    ['routes.0, on duty in risk (turn 2 of 2)']
    """

    def __init__(self, config: NotifyConfig) -> None:
        self.config = config
        self._workdays = Workdays.of(config.settings)
        self._zone = config.settings.zone

    def route(self, target: Target, at_ms: int) -> list[Recipient]:
        """Who is told, each once, in the order of the routes."""
        return self.explain(target, at_ms)[0]

    def explain(self, target: Target, at_ms: int) -> tuple[list[Recipient], list[RouteMatch]]:
        """Who is told, and what each route said."""
        steps: list[RouteMatch] = []
        if SEVERITIES.index(target.severity) < SEVERITIES.index("warning"):
            return [], [RouteMatch("-", False, "alerts of severity info are shown, not notified")]
        found: dict[str, Recipient] = {}
        matched = stopped = False
        for label, r in self._labelled():
            if stopped:
                steps.append(RouteMatch(label, False, "not looked at: a route above ended the search"))
                continue
            why = self._refuses(r, target, at_ms)
            if why is None:
                matched, stopped = True, r.then == "stop"
                for recipient in self._recipients(r.receivers, r, label, target, at_ms):
                    found.setdefault(recipient.receiver.name, recipient)
                steps.append(RouteMatch(label, True, f"tells {', '.join(r.receivers) or 'nobody'}, then {r.then}s"))
            else:
                steps.append(RouteMatch(label, False, why))
        if not matched:
            default = self.config.file.default
            names = [r.name for r in self.config.file.receivers] if default is None else default
            for recipient in self._recipients(names, None, "default", target, at_ms):
                found.setdefault(recipient.receiver.name, recipient)
            steps.append(RouteMatch("default", True, "no route matched: tells " + (", ".join(names) or "nobody")))
        return list(found.values()), steps

    def escalations(self, target: Target, at_ms: int) -> list[Recipient]:
        """Who else is told if nobody acknowledges, of the routes that match, the first first."""
        out = []
        for label, r in self._matching(target, at_ms):
            for i, level in enumerate(sorted(r.escalate, key=lambda e: e.after_minutes)):
                why = f"{label}, escalation {i + 1} after {level.after_minutes:g} min"
                for recipient in self._recipients(level.receivers, r, why, target, at_ms):
                    out.append(replace(recipient, after_minutes=level.after_minutes))
        return sorted(out, key=lambda r: r.after_minutes)

    def overdue(self, target: Target, at_ms: int) -> list[Recipient]:
        """Who is told that a step is overdue: those whom the file names for that, else those of the routes."""
        if self.config.file.overdue is None:
            return self.route(target, at_ms)
        return list(self._recipients(self.config.file.overdue, None, "overdue", target, at_ms))

    def recipient(self, receiver: Receiver, why: str, target: Target, at_ms: int) -> Recipient:
        """A receiver who is told for another reason than a route."""
        return next(self._recipients([receiver.name], None, why, target, at_ms))

    def level(self, alert: NotifiableAlert) -> LevelRule | None:
        """The first rule of the file that says which level an alert has."""
        target = Target.of(alert)
        return next((r for r in self.config.file.levels if _level_fits(r, alert, target)), None)

    def _recipients(
        self, names: list[str], r: Route | None, label: str, target: Target, at_ms: int
    ) -> Iterator[Recipient]:
        repeat = self.config.settings.repeat_interval_minutes
        if r is not None and r.repeat_minutes is not None:
            repeat = r.repeat_minutes
        for name in names:
            who, why = name, label
            if name.startswith(DUTY):
                roster = next(x for x in self.config.file.rosters if x.name == name.removeprefix(DUTY))
                duty = on_duty(roster, at_ms, self._zone)
                who, why = duty.who, f"{label}, on duty in {roster.name} ({duty.why})"
            receiver = self.config.receiver(who)
            if receiver is not None:
                hours = [h for h in (receiver.quiet_hours, r.quiet_hours if r else None) if h is not None]
                quiet = self._quiet_until(hours, target.severity, at_ms)
                yield Recipient(receiver, why, repeat, quiet)

    def _quiet_until(self, names: list[str], severity: str, at_ms: int) -> int | None:
        quiet = [self.config.file.quiet_hours[name] for name in names]
        windows = [w for q in quiet if q.through != severity for w in q.windows]
        return end_of_hours(windows, at_ms, self._zone, self._workdays)

    def _labelled(self) -> Iterator[tuple[str, Route]]:
        for i, r in enumerate(self.config.file.routes):
            yield f"routes.{i}" + (f" ({r.name})" if r.name else ""), r

    def _matching(self, target: Target, at_ms: int) -> Iterator[tuple[str, Route]]:
        if SEVERITIES.index(target.severity) < SEVERITIES.index("warning"):
            return
        for label, r in self._labelled():
            if self._refuses(r, target, at_ms) is None:
                yield label, r
                if r.then == "stop":
                    return

    def _refuses(self, r: Route, target: Target, at_ms: int) -> str | None:
        """Why a route does not match; None if it does."""
        why = _mismatch(r, target)
        if why is None and r.hours is not None and end_of_hours(r.hours, at_ms, self._zone, self._workdays) is None:
            return f"{minute(at_ms, self._zone)} is not in its hours ({'; '.join(map(str, r.hours))})"
        return why


def guide_of(config: NotifyConfig, series: str) -> dict[str, Any]:
    """Runbook (both languages) and contact of a series: for each, the first entry of the file that has one."""
    out: dict[str, Any] = {}
    for guide in config.file.series:
        if any(fnmatchcase(series, p) for p in guide.series):
            if guide.runbook is not None:
                out.setdefault("runbook", guide.runbook.model_dump())
            if guide.contact is not None:
                out.setdefault("contact", guide.contact)
    return out


def _mismatch(r: Matcher, target: Target) -> str | None:
    if r.series is not None and not any(fnmatchcase(target.series, p) for p in r.series):
        return f"series {target.series} is none of {', '.join(r.series)}"
    if r.type is not None and target.type not in r.type:
        return f"type {target.type} is none of {', '.join(r.type)}"
    kinds = {Kind(k).label for k in target.kinds}
    if r.kind is not None and not kinds & set(r.kind):
        return f"kinds {', '.join(sorted(kinds)) or 'none'}: none of {', '.join(r.kind)}"
    if r.level is not None and target.level not in r.level:
        return f"level {target.level or 'not said'} is none of {', '.join(r.level)}"
    if SEVERITIES.index(target.severity) < SEVERITIES.index(r.min_severity):
        return f"severity {target.severity} is below {r.min_severity}"
    return None


def _level_fits(r: LevelRule, alert: NotifiableAlert, target: Target) -> bool:
    if _mismatch(r, target) is not None or alert.seen_negative < r.min_negative:
        return False
    if r.min_sources and len({e.get("source") for e in alert.evidence} - {None}) < r.min_sources:
        return False
    if r.word is None:
        return True
    texts = " ".join(f"{e.get('title') or ''} {e.get('text') or ''}" for e in alert.evidence).casefold()
    return any(word.casefold() in texts for word in r.word)
