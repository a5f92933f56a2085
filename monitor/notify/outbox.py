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
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from barometer.errors import SettingsError
from barometer.store import leases
from barometer.store.alerts import AlertChange, record_event
from barometer.store.engine import Store
from barometer.store.leases import Lease
from barometer.store.tables import Alert, Notification, NotificationAttempt, Series
from monitor.notify.channels import HeldBack, SendError, Sent, open_channel
from monitor.notify.config import NotifyConfig, Receiver, Target, route
from monitor.notify.message import facts_of, render
from monitor.notify.silences import silence_of

log = structlog.get_logger(__name__)

SYSTEM = "system"
SENDING_TIMEOUT_MS = 180_000
"""Longer than any channel waits."""
PARALLEL = 8
"""Sends at a time. No more are claimed than are sent at once, so that a claim never waits for a slow channel."""
FIRST_WAIT_MS, LONGEST_WAIT_MS = 5_000, 900_000
TOLD = ("pending", "sending", "sent")


# --- writing ---------------------------------------------------------------------------------------------------------


def enqueue(c: Connection, change: AlertChange | None, config: NotifyConfig, now_ms: int) -> int:
    """Write what people have to be told of a change, in its transaction; returns the number of notifications.

    Nothing is written for alerts that are quiet, of a trial series, or of severity ``info``. A silence leaves an event
    on the alert instead.
    """
    if change is None or change.reason is None or not config.file.receivers:
        return 0
    alert = load_alert(c, change.alert_id)
    if alert is None or not audible(alert):
        return 0
    told = _told(c, change.alert_id)
    if change.reason == "resolved":
        audience = [(r, i) for r, i in told_channels(config, told) if r.send_resolved]
    else:
        everyone = {(r.name, i): (r, i) for r in route(config, Target.of(alert)) for i in range(len(r.channels))}
        everyone |= {(r.name, i): (r, i) for r, i in told_channels(config, told, only="escalated")}
        audience = list(everyone.values())
    if not audience:
        return 0
    silence = silence_of(c, alert, now_ms)
    if silence is not None:
        data = {"silence": silence.id, "until": silence.ends_at, "reason": change.reason}
        record_event(c, change.alert_id, now_ms, silence.created_by, "silenced", silence.comment, data)
        return 0
    for receiver, channel in audience:
        reason = change.reason if (receiver.name, channel) in told else "first"
        write(c, alert, receiver, channel, reason, config, now_ms)
    return len(audience)


def load_alert(c: Connection, alert_id: int) -> Mapping[str, Any] | None:
    """The alert's row, with whether its series is on trial."""
    row = c.execute(
        select(Alert.__table__, Series.trial)
        .outerjoin(Series, Series.id == Alert.series_id)
        .where(Alert.id == alert_id)
    ).one_or_none()
    return None if row is None else dict(row._mapping)


def audible(alert: Mapping[str, Any]) -> bool:
    """Whether anybody may be told of an alert at all."""
    return not (alert["explanation"].get("quiet") or alert["trial"] or alert["severity"] == "info")


def _told(c: Connection, alert_id: int) -> dict[tuple[str, int], set[str]]:
    """Reasons by (receiver, channel) of those who were told of an alert, or will be."""
    out: dict[tuple[str, int], set[str]] = {}
    n = Notification
    for row in c.execute(select(n.receiver, n.channel, n.reason).where(n.alert_id == alert_id, n.state.in_(TOLD))):
        out.setdefault((row.receiver, row.channel), set()).add(row.reason)
    return out


def told_channels(
    config: NotifyConfig, told: Mapping[tuple[str, int], set[str]], only: str | None = None
) -> list[tuple[Receiver, int]]:
    """Those of ``told`` that the file still has, ``only`` for a reason."""
    out = []
    for (name, channel), reasons in sorted(told.items()):
        receiver = config.receiver(name)
        if receiver is not None and channel < len(receiver.channels) and (only is None or only in reasons):
            out.append((receiver, channel))
    return out


def write(
    c: Connection,
    alert: Mapping[str, Any],
    receiver: Receiver,
    channel: int,
    reason: str,
    config: NotifyConfig,
    now_ms: int,
) -> None:
    """One row of the outbox, its facts frozen."""
    n = Notification
    last = c.execute(
        select(func.max(n.sequence)).where(n.alert_id == alert["id"], n.receiver == receiver.name, n.channel == channel)
    ).scalar()
    facts = facts_of(alert, reason=reason, receiver=receiver, settings=config.settings, now_ms=now_ms)
    c.execute(
        insert(n).values(
            alert_id=alert["id"], receiver=receiver.name, channel=channel, sequence=(last or 0) + 1, reason=reason,
            state="pending", message_id=f"barometer-{uuid4().hex}", payload=facts, created_at=now_ms,
            not_before=now_ms, attempts=0,
        )
    )  # fmt: skip


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


def send_due(store: Store, lease: Lease, config: NotifyConfig, now_ms: int, *, budget_seconds: float = 20.0) -> int:
    """Send what is due; returns the number of messages that were taken.

    Messages of one alert to one channel keep their order: a later one waits until the earlier is sent or given up.

    Args:
        lease: the leader's; checked when a row is claimed and again when it is marked.
        budget_seconds: claim no more once so much time has passed; what is left is sent by the next call.

    Raises:
        StaleWrite: the lease was lost. What was being sent stays ``sending`` and is sent again by the next leader.
    """
    begin, sent = time.monotonic(), 0
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="notify") as pool:
        while True:
            now = now_ms + int((time.monotonic() - begin) * 1000)
            with store.read() as c:
                if c.execute(select(Notification.id).where(_is_due(lease, now)).limit(1)).first() is None:
                    return sent
            with store.write() as c:
                leases.check(store, c, lease)
                claims, looked_at = _claim(c, lease, config, now)
            sending = {pool.submit(_send, claim, config): claim for claim in claims}
            for done in as_completed(sending):
                now = now_ms + int((time.monotonic() - begin) * 1000)
                with store.write() as c:
                    leases.check(store, c, lease)
                    sent += _mark(c, lease, sending[done], done.result(), config, now)
            if not looked_at or time.monotonic() - begin > budget_seconds:
                return sent


def _is_due(lease: Lease, now: int) -> ColumnElement[bool]:
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
    return and_(due, ~waiting)


def _claim(c: Connection, lease: Lease, config: NotifyConfig, now: int) -> tuple[list[_Claim], int]:
    """Take what is due and record the attempts; returns the claims, and how many rows were looked at."""
    n = Notification
    rows = c.execute(
        select(n.__table__).where(_is_due(lease, now)).order_by(n.not_before, n.id).limit(PARALLEL).with_for_update()
    ).all()
    claims = []
    for row in rows:
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
        elif _obsolete(c, row, now):
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
        claims.append(
            _Claim(
                row.id, row.alert_id, row.receiver, row.channel, row.reason, row.message_id, row.payload,
                row.attempts + 1, attempt_id,
            )
        )  # fmt: skip
    return claims, len(rows)


def _obsolete(c: Connection, row: Any, now: int) -> bool:
    """Drop a row that must not be sent any more: silenced meanwhile, or a reminder of what somebody took in hand."""
    alert = load_alert(c, row.alert_id)
    assert alert is not None
    if row.reason in ("repeated", "escalated") and alert["state"] != "firing":
        values = {"state": "cancelled", "last_error": f"the alert was {alert['state']} before it was sent"}
        c.execute(update(Notification).where(Notification.id == row.id).values(**values))
        return True
    silence = silence_of(c, alert, now)
    if silence is None:
        return False
    why = f"silenced by {silence.created_by}"
    c.execute(update(Notification).where(Notification.id == row.id).values(state="silenced", last_error=why))
    data = {"silence": silence.id, "until": silence.ends_at, "reason": row.reason, "receiver": row.receiver}
    record_event(c, row.alert_id, now, silence.created_by, "silenced", silence.comment, data)
    return True


def _send(claim: _Claim, config: NotifyConfig) -> Sent | SendError:
    """One attempt; whatever goes wrong is an answer, so that one message cannot hold up others."""
    receiver = config.receiver(claim.receiver)
    if receiver is None or claim.channel >= len(receiver.channels):
        return SendError("the file no longer has this receiver or channel", permanent=True)
    try:
        message = render(claim.payload, claim.message_id)
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
