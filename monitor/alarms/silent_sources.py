"""Sources that have fallen silent: a few are an alarm each, many are one alarm with a list.

Each source of its own is a matter of its own: whoever mends it resolves it alone. But where a machine that collects two
hundred sources stops, two hundred messages bury the one that counts. So no more than a few sources have alarms of their
own at a time; what falls silent beyond that comes into a list, which grows and shrinks under one alarm. A list that a
person has resolved is known, and so are the sources in it; others that fall silent later are notified anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from sqlalchemy import Connection

from barometer.store.alerts.system_alerts import running_alarms
from barometer.store.health.status import first_names
from barometer.vocabulary import OPEN_STATES
from monitor.alarms.conditions import PREFIX, Condition

FEW = 5
"""Sources that have alarms of their own at a time."""
ONE, MANY = "silent:", "silent_sources"
"""What alarms of one source and of a list are called; a second list beside the first is ``silent_sources:2``."""


@dataclass(frozen=True, slots=True)
class SilentAlarm:
    """An alarm about silent sources that runs."""

    name: str
    """Without the prefix of all alarms."""
    known: bool
    """A person has resolved it, and the sources are silent still."""
    sources: tuple[str, ...]


def silent_alarms(c: Connection) -> list[SilentAlarm]:
    """The alarms about silent sources that run, in the order in which they began."""
    out = []
    for alarm in running_alarms(c, PREFIX + "silent"):
        name, known = alarm.fingerprint.removeprefix(PREFIX), alarm.state not in OPEN_STATES
        if name.startswith(ONE):
            out.append(SilentAlarm(name, known, (name.removeprefix(ONE),)))
        elif name.startswith(MANY):
            out.append(SilentAlarm(name, known, alarm.names))
    return out


def fallen_silent(report: dict[str, Any], running: Sequence[SilentAlarm]) -> Iterator[Condition]:
    """The alarms that hold, by a report of :func:`barometer.store.health.status.status` and the alarms that run."""
    silent = {s["name"]: s for s in report["sources"] if s["silent"]}
    alone = [x for x in running if x.name.startswith(ONE) and x.sources[0] in silent]
    lists = {x.name: [s for s in x.sources if s in silent] for x in running if x.name.startswith(MANY)}
    held = {s for x in alone for s in x.sources}.union(*lists.values())
    new = [name for name in silent if name not in held]
    growing = next((x.name for x in running if x.name in lists and not x.known), None)
    singles = [x.sources[0] for x in alone]
    if growing is None and len(new) + sum(not x.known for x in alone) > FEW:
        growing = next(name for n in count(1) if (name := f"{MANY}:{n}" if n > 1 else MANY) not in lists)
    if growing is not None:
        lists[growing] = lists.get(growing, []) + new
    else:
        singles += new
    for name in singles:
        figures = {"source": name, "last_observed_at": silent[name]["last_observed_at"]}
        yield Condition(ONE + name, "warning", f"{name} has fallen silent", figures)
    unlisted = report["sources_silent"] - len(silent)
    for name, sources in lists.items():
        if sources:
            yield _many(name, sources, len(sources) + (unlisted if name == growing else 0), report["sources_active"])


def _many(name: str, sources: list[str], n: int, active: int) -> Condition:
    """Critical where they are half of all that send: then the fault is ours, and what is said is not seen."""
    names = sorted(sources)
    figures = {"silent_sources": n, "active_sources": active, "names": names}
    text = f"{n} of {active} sources have fallen silent: {first_names(names, n)}"
    return Condition(name, "critical" if 2 * n >= active else "warning", text, figures)
