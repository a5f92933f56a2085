"""The outbox: what has to be told is written with the change it tells of, and sent after the commit, at least once.

:func:`enqueue` runs in the transaction that changes the alert. :func:`send_due` claims rows under the leader's term,
records each attempt before it is made, sends outside of any transaction, and marks a row as sent only after the channel
took it. A kill between acceptance and mark leaves the row ``sending``: the next term, or the same one after
:data:`SENDING_TIMEOUT_MS`, sends it once more with the same idempotency key.

States of a row: ``pending → sending → sent``, back to ``pending`` after a failure that may pass, ``failed`` after one
that cannot or after the last attempt; ``silenced`` and ``cancelled`` where it must not be sent any more.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from barometer.errors import SettingsError
from barometer.store import leases
from barometer.store.alerts import handling
from barometer.store.alerts.incidents import incident_alerts
from barometer.store.alerts.life_cycle import MATTER, AlertChange, record_event
from barometer.store.alerts.silences import Silencer
from barometer.store.engine import Store
from barometer.store.leases import Lease
from barometer.store.tables import Alert, AlertEvent, Notification, NotificationAttempt, Series
from monitor.notify.channels import HeldBack, SendError, Sent, open_channel
from monitor.notify.config import NotifyConfig
from monitor.notify.due import Due, Incident, Told, Verdict
from monitor.notify.message import facts_of, render
from monitor.notify.routes import Router, guide_of
from monitor.notify.wording import series_name

log = structlog.get_logger(__name__)

SYSTEM = "system"
SENDING_TIMEOUT_MS = 180_000
"""Longer than any channel waits."""
AT_ONCE = 500
"""Alerts that one statement names: more than some thousand parameters a database does not take."""
PARALLEL = 32
"""Sends at a time. No more are claimed than are sent at once, so that a claim never waits for a slow channel."""
A_CHANNEL = 4
"""Of these, for one channel of one receiver."""
PATIENCE_SECONDS = 1.0
"""A call of :func:`send_due` that sees nothing end for so long leaves what is under way to the next."""
FIRST_WAIT_MS, LONGEST_WAIT_MS = 5_000, 900_000


# --- writing ---------------------------------------------------------------------------------------------------------


def enqueue(c: Connection, change: AlertChange | None, config: NotifyConfig, now_ms: int) -> int:
    """Write what people have to be told of a change, in its transaction; returns the number of notifications.

    Nothing is written for alerts that are quiet, of a trial series, or of severity ``info``. A silence, and somebody's
    quiet hours, leave an event on the alert instead.
    """
    if change is None or (change.reason is None and not config.file.levels):
        return 0
    router = Router(config)
    graver = _classify(c, change.alert_id, router, now_ms)
    if not config.file.receivers or (change.reason is None and not graver):
        return 0
    silencer = Silencer(c, config.settings, now_ms)
    alerts = load_incident(c, change.alert_id, silencer, now_ms)
    changed = next(a for a in alerts if a["id"] == change.alert_id)
    if changed["audible"] and changed["silenced"] and change.reason != "resolved":
        silencer.note(c, changed["id"], changed["silenced"], {"reason": change.reason}, now_ms)
    written = carry_out(c, Incident(alerts, told(c, alerts), router, now_ms).verdict(), config, now_ms)
    if changed["incident_id"] is not None:
        _name_together(c, changed["incident_id"], config)
    return written


def _classify(c: Connection, alert_id: int, router: Router, now_ms: int) -> bool:
    """The level by the rules of the file, and the steps that it asks for; returns whether it has become graver."""
    row = c.execute(select(Alert.__table__).where(Alert.id == alert_id)).one()
    if row.type == "system" or row.state == "resolved":
        return False
    rule, deadlines = router.level(dict(row._mapping)), router.config.settings.level_steps
    graver = rule is not None and handling.set_level(
        c, alert_id, handling.RULE + rule.name, rule.sets, now_ms, None, deadlines
    )
    if not graver and row.level is not None:
        handling.plan_steps(c, alert_id, row.level, row.level_at or now_ms, deadlines)
    return graver


def load_incident(c: Connection, alert_id: int, silencer: Silencer, now_ms: int) -> list[dict[str, Any]]:
    """An alert with the others of its incident, as :class:`monitor.notify.due.Incident` wants them."""
    incident = select(Alert.incident_id).where(Alert.id == alert_id).scalar_subquery()
    return load_alerts(c, (Alert.id == alert_id) | (Alert.incident_id == incident), silencer, now_ms)


def load_alerts(c: Connection, which: ColumnElement[bool], silencer: Silencer, now_ms: int) -> list[dict[str, Any]]:
    """Rows of alerts with ``trial``, ``audible``, ``silenced``, ``overdue`` (steps that nobody was told of) and
    ``matter_at``."""
    rows = c.execute(
        select(Alert.__table__, Series.trial)
        .outerjoin(Series, Series.id == Alert.series_id)
        .where(which)
        .order_by(Alert.id)
    ).all()
    alerts = [dict(row._mapping) for row in rows]
    late: dict[int, list[str]] = {}
    for step in handling.overdue(handling.steps_of(c, [a["id"] for a in alerts if a["level"]]), now_ms):
        if step.overdue_at is None:
            late.setdefault(step.alert_id, []).append(step.step)
    latest = c.execute(
        select(AlertEvent.alert_id, func.max(AlertEvent.at))
        .where(AlertEvent.alert_id.in_([a["id"] for a in alerts]), AlertEvent.action == MATTER)
        .group_by(AlertEvent.alert_id)
    )
    matters: dict[int, int] = {row[0]: row[1] for row in latest}
    for a in alerts:
        a["matter_at"] = matters.get(a["id"])
        a["audible"] = not (a["explanation"].get("quiet") or a["trial"] or a["severity"] == "info")
        a["silenced"] = silencer.of(a) if a["audible"] else None
        a["overdue"] = tuple(late.get(a["id"], ()))
    return alerts


def told(c: Connection, alerts: Sequence[Mapping[str, Any]]) -> list[Told]:
    """What was told of alerts, and of the others of their incidents, the oldest first."""
    incidents = sorted({a["incident_id"] for a in alerts} - {None})
    alone = [a["id"] for a in alerts if a["incident_id"] is None]
    n = Notification
    q = select(
        n.id, n.alert_id, Alert.incident_id, n.receiver, n.channel, n.reason, n.state, n.created_at, n.sent_at,
        n.payload["severity"].as_string().label("severity"), n.payload["level"].as_string().label("level"),
    ).join(Alert, Alert.id == n.alert_id)  # fmt: skip
    found = [
        Told(*row)
        for column, ids in ((Alert.id, alone), (Alert.incident_id, incidents))
        for start in range(0, len(ids), AT_ONCE)
        for row in c.execute(q.where(column.in_(ids[start : start + AT_ONCE])))
    ]
    return sorted(found, key=lambda t: t.id)


def carry_out(c: Connection, verdict: Verdict, config: NotifyConfig, now_ms: int) -> int:
    """Write what an incident's state asks for, and note on its alerts what happened; returns the notifications."""
    for due in verdict.due:
        write(c, due, config, now_ms)
    escalated: dict[int, set[str]] = {}
    for due in verdict.due:
        if due.reason == "escalated":
            escalated.setdefault(due.alert["id"], set()).add(due.to.receiver.name)
    for alert_id, names in escalated.items():
        record_event(c, alert_id, now_ms, SYSTEM, "escalated", None, {"receivers": sorted(names)})
    for alert_id, steps, receivers in verdict.overdue:
        handling.told_overdue(c, alert_id, steps, receivers, now_ms)
    for alert_id in verdict.woken:
        handling.wake(c, alert_id, now_ms)
    for due in verdict.held:
        _note_held(c, due, now_ms)
    return len(verdict.due)


def _note_held(c: Connection, due: Due, now_ms: int) -> None:
    """Once for each who is left in peace."""
    data = {"receiver": due.to.receiver.name, "until": due.to.quiet_until, "reason": due.reason}
    before = c.execute(
        select(AlertEvent.data).where(AlertEvent.alert_id == due.alert["id"], AlertEvent.action == "held")
    ).scalars()
    if not any((d.get("receiver"), d.get("until")) == (data["receiver"], data["until"]) for d in before):
        record_event(c, due.alert["id"], now_ms, SYSTEM, "held", None, data)


def write(c: Connection, due: Due, config: NotifyConfig, now_ms: int) -> None:
    """One row of the outbox, its facts frozen."""
    n, alert, receiver = Notification, due.alert, due.to.receiver
    last = c.execute(
        select(func.max(n.sequence)).where(
            n.alert_id == alert["id"], n.receiver == receiver.name, n.channel == due.channel
        )
    ).scalar()
    facts = facts_of(
        alert, reason=due.reason, receiver=receiver, settings=config.settings, now_ms=now_ms,
        **guide_of(config, alert["fingerprint"]),
    )  # fmt: skip
    facts |= {
        "repeat_minutes": due.to.repeat_minutes, "why": due.to.why, "overdue": list(due.steps),
        "incident": _incident_facts(c, alert["incident_id"], config), "steps": _steps_facts(c, alert),
    }  # fmt: skip
    c.execute(
        insert(n).values(
            alert_id=alert["id"], receiver=receiver.name, channel=due.channel, sequence=(last or 0) + 1,
            reason=due.reason, state="pending", message_id=f"barometer-{uuid4().hex}", payload=facts,
            created_at=now_ms, not_before=due.to.quiet_until or now_ms, attempts=0,
        )
    )  # fmt: skip


def _steps_facts(c: Connection, alert: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps = handling.steps_of(c, [alert["id"]]) if alert["level"] else []
    return [{"step": s.step, "state": s.state, "due_at": s.due_at, "done_by": s.done_by} for s in steps]


def _incident_facts(c: Connection, incident_id: int | None, config: NotifyConfig) -> dict[str, Any] | None:
    """The alerts that one message tells of; None where there is one only."""
    found = [] if incident_id is None else incident_alerts(c, incident_id)
    if len(found) < 2:
        return None
    file = config.settings.topics_file
    return {
        "id": incident_id,
        "alerts": [
            {"id": a.id, "state": a.state, "severity": a.severity, "fingerprint": a.fingerprint,
             "series": {lang: series_name(a.fingerprint, lang, file) for lang in ("zh", "en")}}
            for a in found
        ],
    }  # fmt: skip


def _name_together(c: Connection, incident_id: int, config: NotifyConfig) -> None:
    """What nobody has seen yet names all the alerts that it is about by now."""
    facts = _incident_facts(c, incident_id, config)
    if facts is None:
        return
    n = Notification
    ids = select(Alert.id).where(Alert.incident_id == incident_id)
    for row in c.execute(
        select(n.id, n.payload).where(n.alert_id.in_(ids), n.state == "pending", n.attempts == 0)
    ).all():
        if row.payload.get("incident") != facts:
            c.execute(update(n).where(n.id == row.id).values(payload={**row.payload, "incident": facts}))


# --- sending ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claim:
    id: int
    alert_id: int
    receiver: str
    channel: int
    reason: str
    message_id: str
    payload: Mapping[str, Any]
    attempt: int
    attempt_id: int


class Sending:
    """What is on its way. Each channel has its own few places, so that one which hangs keeps nobody else waiting.

    The leader keeps one for as long as it lives: a send that hangs goes on over several calls of :func:`send_due`.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="notify")
        self._under_way: dict[Future[Sent | SendError], _Claim] = {}

    @property
    def room(self) -> int:
        return PARALLEL - len(self._under_way)

    @property
    def counts(self) -> Counter[tuple[str, int]]:
        """Sends under way, by (receiver, number of the channel)."""
        return Counter((x.receiver, x.channel) for x in self._under_way.values())

    def begin(self, claim: _Claim, config: NotifyConfig, leading: Callable[[], bool]) -> None:
        self._under_way[self._pool.submit(_send, claim, config, leading)] = claim

    def finished(self, seconds: float | None) -> list[tuple[_Claim, Sent | SendError]]:
        """What has come to an end; waits so long for the first (None: for as long as it takes)."""
        done, _ = wait(self._under_way, seconds, FIRST_COMPLETED)
        return [(self._under_way.pop(future), future.result()) for future in done]

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def close(self) -> None:
        """Begin nothing more; what is under way ends by itself, and is sent again by whoever leads next."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def send_due(
    store: Store,
    lease: Lease,
    config: NotifyConfig,
    now_ms: int,
    *,
    budget_seconds: float = 20.0,
    leading: Callable[[], bool] = lambda: True,
    sending: Sending | None = None,
) -> int:
    """Send what is due; returns the number of messages that were taken.

    Messages of one alert to one channel keep their order: a later one waits until the earlier is sent or given up.

    Args:
        lease: the leader's; checked when a row is claimed and again when it is marked.
        budget_seconds: claim no more once so much time has passed; what is left is sent by the next call.
        leading: asked right before each send, by our own clock: who was frozen beyond the lease sends nothing when it
            wakes, since the next leader has.
        sending: what is under way from call to call; a send that lasts is left to the next call. None: the call waits
            for all that it begins.

    Raises:
        StaleWrite: the lease was lost. What was being sent stays ``sending`` and is sent again by the next leader.
    """
    if sending is None:
        own = Sending()
        try:
            return _send_due(store, lease, config, now_ms, budget_seconds, leading, own, None)
        finally:
            own.close()
    return _send_due(store, lease, config, now_ms, budget_seconds, leading, sending, PATIENCE_SECONDS)


def _send_due(
    store: Store, lease: Lease, config: NotifyConfig, now_ms: int, budget_seconds: float,
    leading: Callable[[], bool], sending: Sending, patience: float | None,
) -> int:  # fmt: skip
    begin, sent = time.monotonic(), 0
    while True:
        spent = time.monotonic() - begin
        looked_at = 0
        if spent <= budget_seconds and sending.room:
            now = now_ms + int(spent * 1000)
            counts = sending.counts
            with store.read() as c:
                waiting = c.execute(select(Notification.id).where(_is_due(lease, now, counts)).limit(1)).first()
            if waiting is not None:
                with store.write() as c:
                    leases.check(store, c, lease)
                    claims, looked_at = _claim(c, lease, config, now, counts, sending.room)
                for claim in claims:
                    sending.begin(claim, config, leading)
        if not sending and not looked_at:
            return sent
        over = sending.finished(0.0 if looked_at and sending.room else patience) if sending else []
        if not over and not looked_at:
            return sent
        for claim, outcome in over:
            now = now_ms + int((time.monotonic() - begin) * 1000)
            with store.write() as c:
                leases.check(store, c, lease)
                sent += _mark(c, lease, claim, outcome, config, now)


def _is_due(lease: Lease, now: int, under_way: Mapping[tuple[str, int], int]) -> ColumnElement[bool]:
    n, earlier = Notification, aliased(Notification)
    waiting = exists().where(
        earlier.alert_id == n.alert_id,
        earlier.receiver == n.receiver,
        earlier.channel == n.channel,
        earlier.sequence < n.sequence,
        earlier.state.in_(("pending", "sending")),
    )
    due = or_(
        and_(n.state == "pending", n.not_before <= now),
        # Its sender is gone: another term is over for good, our own was interrupted.
        and_(n.state == "sending", or_(n.term != lease.term, n.not_before <= now)),
    )
    full = [and_(n.receiver == name, n.channel == i) for (name, i), sends in under_way.items() if sends >= A_CHANNEL]
    return and_(due, ~waiting, *(~x for x in full))


def _claim(
    c: Connection, lease: Lease, config: NotifyConfig, now: int, under_way: Counter[tuple[str, int]], room: int
) -> tuple[list[_Claim], int]:
    """Take what is due and record the attempts; returns the claims, and how many rows were looked at."""
    n = Notification
    due = select(n.__table__).where(_is_due(lease, now, under_way)).order_by(n.not_before, n.id)
    rows = c.execute(due.limit(room).with_for_update()).all()
    claims, counts, looked_at = [], under_way.copy(), 0
    for row in rows:
        if counts[row.receiver, row.channel] >= A_CHANNEL:
            continue
        looked_at += 1
        if row.state == "sending":
            lost = NotificationAttempt
            c.execute(
                update(lost)
                .where(lost.notification_id == row.id, lost.finished_at.is_(None))
                .values(finished_at=now, error="its sender ended before it could say what came of it")
            )
            if row.attempts >= config.settings.notify_attempts:
                _fail(c, row, "the last attempt ended without an answer", row.attempts, now)
                continue
        elif _obsolete(c, row, config, now):
            continue
        # not_before of a row that is being sent is when its sender is taken for gone.
        c.execute(
            update(n)
            .where(n.id == row.id)
            .values(state="sending", term=lease.term, attempts=row.attempts + 1, not_before=now + SENDING_TIMEOUT_MS)
        )
        attempt_id = c.execute(
            insert(NotificationAttempt)
            .values(notification_id=row.id, at=now, term=lease.term)
            .returning(NotificationAttempt.id)
        ).scalar_one()
        counts[row.receiver, row.channel] += 1
        claims.append(
            _Claim(
                row.id, row.alert_id, row.receiver, row.channel, row.reason, row.message_id, row.payload,
                row.attempts + 1, attempt_id,
            )
        )  # fmt: skip
    return claims, looked_at


def _obsolete(c: Connection, row: Any, config: NotifyConfig, now: int) -> bool:
    """Drop a row that must not be sent any more: silenced meanwhile, or a reminder of what somebody took in hand."""
    silencer = Silencer(c, config.settings, now)
    (alert,) = load_alerts(c, Alert.id == row.alert_id, silencer, now)
    if row.reason in ("repeated", "escalated") and alert["state"] != "firing":
        values = {"state": "cancelled", "last_error": f"the alert was {alert['state']} before it was sent"}
        c.execute(update(Notification).where(Notification.id == row.id).values(**values))
        return True
    silenced = alert["silenced"]
    if silenced is None:
        return False
    why = f"silenced by {silenced.by}"
    c.execute(update(Notification).where(Notification.id == row.id).values(state="silenced", last_error=why))
    data = {"reason": row.reason, "receiver": row.receiver}
    silencer.note(c, row.alert_id, silenced, data, now)
    return True


def _send(claim: _Claim, config: NotifyConfig, leading: Callable[[], bool]) -> Sent | SendError:
    """One attempt; whatever goes wrong is an answer, so that one message cannot hold up others."""
    receiver = config.receiver(claim.receiver)
    if receiver is None or claim.channel >= len(receiver.channels):
        return SendError("the file no longer has this receiver or channel", permanent=True)
    try:
        message = render(claim.payload, claim.message_id)
        if not leading():
            return HeldBack("not sent: the lease ran out before it could be")
        return open_channel(receiver.channels[claim.channel], config.settings).send(message)
    except SendError as e:
        return e
    except SettingsError as e:
        return SendError(str(e))
    except Exception as e:
        log.exception("notification_error", notification=claim.id, receiver=claim.receiver)
        return SendError(f"internal error: {type(e).__name__}")


def _mark(c: Connection, lease: Lease, claim: _Claim, outcome: Sent | SendError, config: NotifyConfig, now: int) -> int:
    """Write what came of an attempt; 1 if the channel took it."""
    n = Notification
    mine = (n.id == claim.id, n.state == "sending", n.term == lease.term, n.attempts == claim.attempt)
    row = c.execute(select(n.__table__).where(*mine).with_for_update()).one_or_none()
    if row is None:
        log.warning("notification_taken_over", notification=claim.id, receiver=claim.receiver)
        return 0
    if isinstance(outcome, HeldBack):
        # Nothing was sent: it counts as no attempt, or a busy hour would use them all up.
        c.execute(delete(NotificationAttempt).where(NotificationAttempt.id == claim.attempt_id))
        later = now + int(1000 * (outcome.retry_after or 1.0))
        waiting = {"state": "pending", "attempts": claim.attempt - 1, "not_before": later, "last_error": str(outcome)}
        c.execute(update(n).where(n.id == claim.id).values(**waiting))
        return 0
    taken = isinstance(outcome, Sent)
    c.execute(
        update(NotificationAttempt)
        .where(NotificationAttempt.id == claim.attempt_id)
        .values(finished_at=now, ok=taken, error=None if isinstance(outcome, Sent) else str(outcome))
    )
    if isinstance(outcome, Sent):
        c.execute(update(n).where(n.id == claim.id).values(state="sent", sent_at=now, last_error=None))
        data = {**_where(row, config), "attempts": claim.attempt, "answer": outcome.detail}
        record_event(c, claim.alert_id, now, SYSTEM, "notified", None, data)
        return 1
    if outcome.permanent or claim.attempt >= config.settings.notify_attempts:
        _fail(c, row, str(outcome), claim.attempt, now)
        return 0
    wait = backoff_ms(claim.attempt, outcome.retry_after, random.Random())
    c.execute(update(n).where(n.id == claim.id).values(state="pending", not_before=now + wait, last_error=str(outcome)))
    log.warning("notification_retry", notification=claim.id, receiver=claim.receiver, attempt=claim.attempt,
                seconds=round(wait / 1000), error=str(outcome))  # fmt: skip
    return 0


def _fail(c: Connection, row: Any, error: str, attempts: int, now: int) -> None:
    """Give up, where people see it."""
    c.execute(update(Notification).where(Notification.id == row.id).values(state="failed", last_error=error))
    data = {"receiver": row.receiver, "channel": row.channel, "reason": row.reason, "attempts": attempts}
    record_event(c, row.alert_id, now, SYSTEM, "notification_failed", error, data)
    log.error("notification_failed", notification=row.id, alert=row.alert_id, receiver=row.receiver, error=error)


def _where(row: Any, config: NotifyConfig) -> dict[str, Any]:
    receiver = config.receiver(row.receiver)
    kind = receiver.channels[row.channel].type if receiver and row.channel < len(receiver.channels) else None
    return {"receiver": row.receiver, "channel": row.channel, "type": kind, "reason": row.reason}


def backoff_ms(attempt: int, retry_after: float | None, chance: random.Random) -> int:
    """How long to wait after failed attempt number ``attempt``: doubling from 5 s to 15 min, 20 % of jitter either way,
    and never less than the other side asked for."""
    wait = min(FIRST_WAIT_MS * 2 ** min(attempt - 1, 20), LONGEST_WAIT_MS) * chance.uniform(0.8, 1.2)
    return int(max(wait, (retry_after or 0.0) * 1000))
