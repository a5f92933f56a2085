"""What people do about an alert beyond taking it in hand: its level with the steps that it asks for, and snoozing.

A **level** (一般 ordinary, 较大 major, 重大 grave) says how grave the matter is. It asks for **steps**, each until a
deadline that counts from when the level was set: 研判 assess, 处置 respond, 报告 report, 总结 review, after the
银行保险机构声誉风险管理办法（试行） of 2021 (its links 分级研判, 应对处置, 信息报告, 评估总结). Steps go on after the
alert has calmed down: what was grave is still to be reported and reviewed. All functions run in the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from barometer.store.alerts.rows import AlertError, event, locked, put
from barometer.store.tables import AlertStep
from barometer.vocabulary import LEVELS, STEPS

LEVEL_NAMES: Mapping[str, str] = {"ordinary": "一般", "major": "较大", "grave": "重大"}
STEP_NAMES = {"assess": "研判", "respond": "处置", "report": "报告", "review": "总结"}
RULE = "rule:"
"""Actors that are rules; what they say never overrules a person."""

Deadlines = Mapping[str, Mapping[str, float]]


def known_level(level: str) -> None:
    """Raises:
    AlertError: there is no such level.
    """
    if level not in LEVELS:
        raise AlertError(f"level {level!r}: use one of {', '.join(LEVELS)}")


def rank(level: str | None) -> int:
    """The graver the higher; 0: not said."""
    return 0 if level is None else 1 + LEVELS.index(level)


def by_person(level_by: str | None) -> bool:
    return level_by is not None and level_by != "detector" and not level_by.startswith(RULE)


def set_level(
    c: Connection,
    alert_id: int,
    actor: str,
    level: str | None,
    now_ms: int,
    comment: str | None = None,
    deadlines: Deadlines | None = None,
) -> bool:
    """Say how grave the matter is (None: not said), in any state; returns whether that changed anything.

    ``deadlines`` are the setting ``level_steps``; without them the steps are left to the monitor to plan.

    A rule (actor ``rule:NAME``, ``detector``) raises a level only, and never touches a person's.

    Raises:
        AlertError: there is no such alert, or no such level.
    """
    if level is not None:
        known_level(level)
    row = locked(c, alert_id)
    person = by_person(actor)
    if not person and (by_person(row.level_by) or rank(level) <= rank(row.level)):
        return False
    if row.level == level:
        if person and not by_person(row.level_by):
            put(c, alert_id, now_ms, level_by=actor)  # confirmed: rules leave it alone from now on
            event(c, alert_id, now_ms, actor, "level", comment, {"from": row.level, "to": level})
        return False
    put(c, alert_id, now_ms, level=level, level_by=actor, level_at=now_ms)
    event(c, alert_id, now_ms, actor, "level", comment, {"from": row.level, "to": level})
    if deadlines is not None:
        plan_steps(c, alert_id, level, now_ms, deadlines)
    return True


# --- steps -----------------------------------------------------------------------------------------------------------


def plan_steps(c: Connection, alert_id: int, level: str | None, level_at: int, deadlines: Deadlines) -> None:
    """Bring the open steps of an alert to what its level asks for. A deadline that was promised is never put off by a
    graver level; steps that were done stay as they are."""
    wanted = deadlines.get(level, {}) if level else {}
    have = {row.step: row for row in steps_of(c, [alert_id])}
    for step in STEPS:
        row, due = have.get(step), wanted.get(step)
        if due is not None:
            at = level_at + int(due * 60_000)
            if row is None:
                c.execute(insert(AlertStep).values(alert_id=alert_id, step=step, state="open", due_at=at))
            elif row.state == "open" and at < row.due_at:
                _step(c, alert_id, step, due_at=at)
        elif row is not None and row.state == "open":
            _step(c, alert_id, step, state="waived", note="the level no longer asks for it")


def steps_of(c: Connection, alert_ids: Iterable[int]) -> Sequence[Row[Any]]:
    """The steps of alerts (columns of ``alert_steps``), in the order in which they are taken."""
    rows = c.execute(select(AlertStep.__table__).where(AlertStep.alert_id.in_(list(alert_ids)))).all()
    return sorted(rows, key=lambda row: (row.alert_id, STEPS.index(row.step)))


def overdue(steps: Iterable[Row[Any]], now_ms: int) -> list[Row[Any]]:
    """Those that should have been done."""
    return [row for row in steps if row.state == "open" and row.due_at <= now_ms]


def do_step(
    c: Connection, alert_id: int, step: str, actor: str, note: str | None, now_ms: int, *, waive: bool = False
) -> None:
    """Somebody has done a step, or says with a reason that it is not needed. Steps may be done in any order: a report
    need not wait for the last measure.

    Raises:
        AlertError: no such alert, no such step or done already (says by whom); or a step is waived without a reason.
    """
    row = locked(c, alert_id)
    found = {s.step: s for s in steps_of(c, [alert_id])}.get(step)
    if step not in STEPS:
        raise AlertError(f"step {step!r}: use one of {', '.join(STEPS)}")
    if found is None:
        asks = "it has no level yet" if row.level is None else f"its level, {row.level}, does not ask for it"
        raise AlertError(f"alert {alert_id} has no step {step}: {asks}")
    if found.state == "done":
        raise AlertError(f"step {step} of alert {alert_id} was done already, by {found.done_by}")
    if waive and not (note or "").strip():
        raise AlertError("to waive a step, say why")
    state = "waived" if waive else "done"
    _step(c, alert_id, step, state=state, done_at=now_ms, done_by=actor, note=note)
    late = max(0, now_ms - found.due_at)
    data = {"step": step, "due_at": found.due_at, **({"late_ms": late} if late else {})}
    event(c, alert_id, now_ms, actor, "step_waived" if waive else "step_done", note, data)


def waive_open_steps(c: Connection, alert_id: int, actor: str, why: str, now_ms: int) -> None:
    """Nothing is left to be done (a false alarm)."""
    for row in steps_of(c, [alert_id]):
        if row.state == "open":
            _step(c, alert_id, row.step, state="waived", done_at=now_ms, done_by=actor, note=why)
            event(c, alert_id, now_ms, actor, "step_waived", why, {"step": row.step, "due_at": row.due_at})


def record_overdue(c: Connection, alert_id: int, steps: Iterable[str], receivers: list[str], now_ms: int) -> None:
    """Write down that people are told that steps are overdue: once a step."""
    for step in steps:
        _step(c, alert_id, step, overdue_at=now_ms)
        event(c, alert_id, now_ms, "system", "overdue", None, {"step": step, "receivers": receivers})


def _step(c: Connection, alert_id: int, step: str, **values: Any) -> None:
    c.execute(update(AlertStep).where(AlertStep.alert_id == alert_id, AlertStep.step == step).values(**values))


# --- snooze ----------------------------------------------------------------------------------------------------------


def snooze(c: Connection, alert_id: int, actor: str, until_ms: int | None, comment: str | None, now_ms: int) -> None:
    """Not now: nobody is reminded before ``until_ms``, unless it gets worse; then those who were told are told that it
    still runs. None: wake it up at once.

    Raises:
        AlertError: there is no such alert, it is resolved, or the time has passed.
    """
    row = locked(c, alert_id)
    if row.state == "resolved":
        raise AlertError(f"alert {alert_id} was resolved already, by {row.resolved_by}: nothing to snooze")
    if until_ms is not None and until_ms <= now_ms:
        raise AlertError("snooze: until a time to come")
    put(c, alert_id, now_ms, snoozed_until=until_ms if until_ms is not None else None)
    action = "snoozed" if until_ms is not None else "woken"
    event(c, alert_id, now_ms, actor, action, comment, {"until": until_ms} if until_ms is not None else {})


def wake(c: Connection, alert_id: int, now_ms: int) -> None:
    """A snooze is over."""
    put(c, alert_id, now_ms, snoozed_until=None)
    event(c, alert_id, now_ms, "system", "woken", None, {})


def snoozed(alert: Mapping[str, Any] | Row[Any], now_ms: int) -> bool:
    until = alert["snoozed_until"] if isinstance(alert, Mapping) else alert.snoozed_until
    return until is not None and until > now_ms
