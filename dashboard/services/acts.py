"""What people do to alerts, from the screens and from the API: one door, with the check of who may, and the answer in
both languages where it cannot be done.

An act that the same person has done already is no error and changes nothing: a second click, a request that is sent
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from glob import escape
from typing import Any

from flask_login import current_user
from sqlalchemy import Connection, Row

from barometer.errors import BarometerError
from barometer.hours import HoursError
from barometer.store.accounts.users import list_users
from barometer.store.alerts import handling, life_cycle, silences
from barometer.store.alerts.incidents import incident_alerts
from barometer.store.alerts.rows import LastEvent, last_event, lock_incident, locked, state_of
from barometer.vocabulary import FALSE_ALARM_REASONS, LEVELS, RESOLUTIONS, SEVERITIES, STEPS
from barometer.when import parse_when
from dashboard.context import DAY, context
from dashboard.i18n.texts import Lang, t

SCOPES = ("series", "source", "word")
MAX_COMMENT = 2_000
MAX_NAME = 200
MAX_SNOOZE_MS, MAX_SILENCE_MS = 31 * DAY, 366 * DAY
AGAIN_MS = 10_000
"""The same remark, snooze or silence of the same person within this time is one."""


class Refused(BarometerError):
    """An act cannot be done; ``key`` is the text ``refused.KEY`` of the screens."""

    def __init__(self, key: str, **values: object) -> None:
        self.key, self.values = key, values
        english: Lang = "en"
        super().__init__(t(english, f"refused.{key}", **values))

    def text(self, lang: Lang) -> str:
        """For the screens, in the reader's language."""
        values = dict(self.values)
        for name in ("step", "role"):
            if name in values:
                values[name] = t(lang, f"{name}.{values[name]}")
        return t(lang, f"refused.{self.key}", **values)


class Forbidden(Refused):
    """The user's role does not allow this."""


class Malformed(Refused):
    """A field is missing, unknown or out of range."""


class NoSuchAlert(Refused):
    """There is no alert of that number."""


class NoSuchSilence(Refused):
    """There is no silence of that number."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One act on one alert, in a transaction that holds the alert's row."""

    c: Connection
    row: Row[Any]
    me: str
    now: int
    fields: Mapping[str, Any]

    @property
    def comment(self) -> str | None:
        return self.text("comment", MAX_COMMENT)

    def text(self, name: str, most: int = MAX_NAME) -> str | None:
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise Malformed("not_text", field=name)
        value = value.strip()
        if len(value) > most:
            raise Malformed("too_long", field=name, most=most)
        return value or None

    def one_of(self, name: str, options: Iterable[str], *, missing: str | None = None) -> str:
        value = self.text(name)
        if value is None and missing is not None:
            raise Malformed(missing)
        if value is None or value not in tuple(options):
            raise Malformed("one_of", field=name, value=value or "", options=", ".join(options))
        return value

    def flag(self, name: str) -> bool:
        value = self.fields.get(name)
        if not (value is None or isinstance(value, bool)):
            raise Malformed("not_flag", field=name)
        return bool(value)

    def until(self, most_ms: int) -> int:
        """A time to come: epoch ms, or as people type it."""
        value: Any = self.fields.get("until")
        if isinstance(value, str) and value.strip():
            try:
                value = parse_when(value[:MAX_NAME], self.now, context().zone, "until")
            except BarometerError:
                raise Malformed("when", value=value[:40]) from None
        if isinstance(value, bool) or not isinstance(value, int):
            raise Malformed("no_until")
        if value <= self.now:
            raise Malformed("past")
        if value > self.now + most_ms:
            raise Malformed("too_far", days=most_ms // DAY)
        return value

    def last_own(self, action: str) -> LastEvent | None:
        """The newest event of the alert, if it is this person's and fresh."""
        found = last_event(self.c, self.row.id)
        if found is None or (found.action, found.actor) != (action, self.me) or found.at < self.now - AGAIN_MS:
            return None
        return found


def must_act() -> None:
    """Raises:
    Forbidden: the user only looks on, or the token only reads.
    """
    if current_user.may_act:
        return
    if current_user.token is not None and current_user.user.may_act:
        raise Forbidden("scope")
    raise Forbidden("role", name=current_user.name, role=current_user.role)


def must_be_analyst() -> None:
    """For what only reads, but is not for everybody: the scope of a token does not matter.

    Raises:
        Forbidden: the user only looks on.
    """
    if not current_user.user.may_act:
        raise Forbidden("role", name=current_user.name, role=current_user.role)


def act(what: str, alert_id: int, fields: Mapping[str, Any]) -> str | None:
    """Do one of :data:`ACTS` in the name of the user who is logged in.

    Returns:
        A remark for the screens (the key of a text ``alert_note.KEY``), or None.

    Raises:
        Forbidden: the role is viewer, or the token only reads.
        NoSuchAlert: there is none.
        Malformed: a field.
        Refused: the alert is not in a state for this; says who was first.
        AlertError: what the store refuses beyond that.
    """
    must_act()
    store = context().store
    with store.write() as c:
        try:
            lock_incident(c, alert_id)
            row = locked(c, alert_id)
        except life_cycle.AlertError:
            raise NoSuchAlert("no_alert", id=alert_id) from None
        return ACTS[what](_Asked(c, row, current_user.name, store.now_ms(c), fields))


def act_on_all(what: str, alert_ids: Iterable[int], fields: Mapping[str, Any]) -> dict[int, BarometerError | None]:
    """The same act on several alerts, each by itself: what is refused for one is done for the others.

    Raises:
        Forbidden, Malformed: nothing was done.
    """
    found: dict[int, BarometerError | None] = {}
    for alert_id in alert_ids:
        try:
            act(what, alert_id, fields)
            found[alert_id] = None
        except (Forbidden, Malformed):
            raise
        except BarometerError as e:
            found[alert_id] = e
    return found


def people(c: Connection) -> list[str]:
    """Names of those whom an alert may be given to."""
    return [u.name for u in list_users(c) if u.active and u.may_act]


# --- the acts --------------------------------------------------------------------------------------------------------


def _open(a: _Asked) -> None:
    if a.row.state == "resolved":
        raise Refused("resolved", id=a.row.id, name=a.row.resolved_by or "")


def _acknowledge(a: _Asked) -> None:
    comment = a.comment
    _open(a)
    if a.row.state == "acknowledged":
        if a.row.acknowledged_by == a.me:
            return
        raise Refused("acknowledged", id=a.row.id, name=a.row.acknowledged_by or "")
    life_cycle.acknowledge(a.c, a.row.id, a.me, comment, a.now)


def _assign(a: _Asked) -> None:
    to = a.text("to")
    if to is not None and to not in people(a.c):
        raise Malformed("nobody", name=to)
    _open(a)
    life_cycle.assign(a.c, a.row.id, a.me, to, a.now)


def _comment(a: _Asked) -> None:
    text = a.comment
    if text is None:
        raise Malformed("no_comment")
    before = a.last_own("commented")
    if before is None or before.comment != text:
        life_cycle.comment(a.c, a.row.id, a.me, text, a.now)


def _snooze(a: _Asked) -> None:
    comment, until = a.comment, a.until(MAX_SNOOZE_MS)
    _open(a)
    before = a.last_own("snoozed")
    if before is None or abs(int(before.data.get("until") or 0) - until) > AGAIN_MS:
        handling.snooze(a.c, a.row.id, a.me, until, comment, a.now)


def _wake(a: _Asked) -> None:
    comment = a.comment
    _open(a)
    if handling.snoozed(a.row, a.now):
        handling.snooze(a.c, a.row.id, a.me, None, comment, a.now)


def _silence(a: _Asked) -> str | None:
    """By series, source or word; not all of what a person means by a word covers the alert in front of them."""
    why = a.comment
    if why is None:
        raise Malformed("no_why")
    scope = a.one_of("scope", SCOPES) if a.fields.get("scope") else "series"
    value = a.text("value")
    if value is None and scope != "series":
        raise Malformed(f"no_{scope}")
    named = {scope: value or escape(a.row.fingerprint)}
    severity = a.one_of("severity", SEVERITIES) if a.fields.get("severity") else None
    hours, until = a.text("hours"), a.until(MAX_SILENCE_MS)
    silence_id = silences.made_just_now(a.c, a.me, why, a.now, AGAIN_MS, **named)
    if silence_id is None:
        try:
            silence_id = silences.add_silence(
                a.c,
                a.me,
                why,
                a.now,
                starts_at=a.now,
                ends_at=until,
                severity=severity,
                windows=[hours] if hours else [],
                **named,
            )
        except HoursError:
            raise Malformed("hours", value=hours or "") from None
    silencer = silences.Silencer(a.c, context().settings, a.now)
    covering = silencer.of(dict(a.row._mapping))
    if covering is not None and covering.id == silence_id:
        silencer.note(a.c, a.row.id, covering, {}, a.now)
    return None if covering is not None else "silence_elsewhere"


def _unsilence(a: _Asked) -> None:
    """End the silence that covers the alert."""
    covering = silences.Silencer(a.c, context().settings, a.now).of(dict(a.row._mapping))
    if covering is None:
        return
    silences.expire_silence(a.c, covering.id, a.me, a.comment, a.now)
    life_cycle.record_event(a.c, a.row.id, a.now, a.me, "unsilenced", a.comment, {"silence": covering.id})


def _level(a: _Asked) -> None:
    comment = a.comment
    if "level" not in a.fields:
        raise Malformed("which_level")
    level = a.one_of("level", LEVELS) if a.fields.get("level") is not None else None
    handling.set_level(a.c, a.row.id, a.me, level, a.now, comment, context().settings.level_steps)


def _step(a: _Asked) -> None:
    step, waive, note = a.one_of("step", STEPS, missing="which_step"), a.flag("waive"), a.text("note", MAX_COMMENT)
    if waive and note is None:
        raise Malformed("no_waive_why")
    found = {s.step: s for s in handling.steps_of(a.c, [a.row.id])}.get(step)
    if found is None:
        raise Refused("no_step", id=a.row.id, step=step)
    if found.state == "done":
        if found.done_by == a.me and not waive:
            return
        raise Refused("step_done", step=step, name=found.done_by or "")
    if found.state == "waived" and waive and found.done_by == a.me:
        return
    handling.do_step(a.c, a.row.id, step, a.me, note, a.now, waive=waive)


def _resolve(a: _Asked) -> None:
    _close(a, a.one_of("resolution", RESOLUTIONS))


def _false_alarm(a: _Asked) -> None:
    a.one_of("reason", FALSE_ALARM_REASONS, missing="no_reason")
    _close(a, "false_alarm")


def _close(a: _Asked, resolution: str) -> None:
    comment, whole = a.comment, a.flag("incident")
    reason = a.one_of("reason", FALSE_ALARM_REASONS) if a.fields.get("reason") else None
    if reason is not None and resolution != "false_alarm":
        raise Malformed("reason_unfit")
    mine = a.row.state == "resolved" and (a.row.resolved_by, a.row.resolution) == (a.me, resolution)
    if not mine:
        _open(a)
        life_cycle.resolve(a.c, a.row.id, a.me, resolution, comment, a.now, reason)
    if whole and a.row.incident_id is not None:
        for other in incident_alerts(a.c, a.row.incident_id):
            if state_of(a.c, other.id) != "resolved":
                life_cycle.resolve(a.c, other.id, a.me, resolution, comment, a.now, reason)


ACTS: Mapping[str, Callable[[_Asked], str | None]] = {
    "acknowledge": _acknowledge,
    "assign": _assign,
    "comment": _comment,
    "snooze": _snooze,
    "wake": _wake,
    "silence": _silence,
    "unsilence": _unsilence,
    "level": _level,
    "step": _step,
    "resolve": _resolve,
    "false-alarm": _false_alarm,
}
"""By the name that the API has for them."""
