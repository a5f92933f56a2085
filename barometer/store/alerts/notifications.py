"""The outbox: notifications and the attempts to send them.

States: ``pending → sending → sent``, back to ``pending`` after a failure that may pass, ``failed`` after a permanent
one or after the last attempt; ``silenced`` and ``cancelled`` where it must no longer be sent. A claim is a row in state
``sending`` with the leader's term and a ``not_before`` at which its sender is taken for dead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from barometer.store.alerts.notifiable import NotifiableAlert
from barometer.store.tables import Alert, Notification, NotificationAttempt

IDS_PER_QUERY = 500
"""Databases take no more than some thousand parameters a statement."""

ChannelKey = tuple[str, int]
"""Name of the receiver, and which of its channels (by its place in the file)."""


class PastNotification(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A notification on its way; ``attempts`` counts those begun."""

    id: int
    alert_id: int
    receiver: str
    channel: int
    reason: str
    state: str
    message_id: str
    payload: Mapping[str, Any]
    attempts: int


class ChannelFailure(NamedTuple):
    """A channel whose last finished notification failed."""

    receiver: str
    channel: int
    error: str | None


_ENTRY = tuple(Notification.__table__.c[name] for name in OutboxEntry.__dataclass_fields__)


# --- writing ---------------------------------------------------------------------------------------------------------


def add_notification(
    c: Connection,
    *,
    alert_id: int,
    receiver: str,
    channel: int,
    reason: str,
    message_id: str,
    payload: Mapping[str, Any],
    not_before: int,
    now_ms: int,
) -> None:
    """Add a pending notification behind those of the same alert and channel."""
    n = Notification
    same = (n.alert_id == alert_id, n.receiver == receiver, n.channel == channel)
    last = c.execute(select(func.max(n.sequence)).where(*same)).scalar()
    c.execute(
        insert(n).values(
            alert_id=alert_id,
            receiver=receiver,
            channel=channel,
            sequence=(last or 0) + 1,
            reason=reason,
            state="pending",
            message_id=message_id,
            payload=dict(payload),
            created_at=now_ms,
            not_before=not_before,
            attempts=0,
        )
    )


def past_notifications(c: Connection, alerts: Sequence[NotifiableAlert]) -> list[PastNotification]:
    """Notifications of alerts, and of the others of their incidents, the oldest first."""
    incidents = sorted({a.incident_id for a in alerts if a.incident_id is not None})
    alone = [a.id for a in alerts if a.incident_id is None]
    n = Notification
    q = select(
        n.id,
        n.alert_id,
        Alert.incident_id,
        n.receiver,
        n.channel,
        n.reason,
        n.state,
        n.created_at,
        n.sent_at,
        n.payload["severity"].as_string(),
        n.payload["level"].as_string(),
    ).join(Alert, Alert.id == n.alert_id)
    found = [
        PastNotification(*row)
        for column, ids in ((Alert.id, alone), (Alert.incident_id, incidents))
        for start in range(0, len(ids), IDS_PER_QUERY)
        for row in c.execute(q.where(column.in_(ids[start : start + IDS_PER_QUERY])))
    ]
    return sorted(found, key=lambda x: x.id)


def unsent_of_incident(c: Connection, incident_id: int) -> list[OutboxEntry]:
    """Notifications of an incident that were never tried."""
    n, ids = Notification, select(Alert.id).where(Alert.incident_id == incident_id)
    return _entries(c, select(*_ENTRY).where(n.alert_id.in_(ids), n.state == "pending", n.attempts == 0))


def replace_payload(c: Connection, notification_id: int, payload: Mapping[str, Any]) -> None:
    _set(c, notification_id, payload=dict(payload))


# --- sending ---------------------------------------------------------------------------------------------------------


def any_due(c: Connection, term: int, now_ms: int, full: Iterable[ChannelKey]) -> bool:
    """Whether :func:`due_entries` would find something."""
    due = select(Notification.id).where(_is_due(term, now_ms, full))
    return c.execute(due.limit(1)).first() is not None


def due_entries(c: Connection, term: int, now_ms: int, full: Iterable[ChannelKey], limit: int) -> list[OutboxEntry]:
    """What is to be sent now, locked until the commit, the longest due first.

    Messages of one alert to one channel keep their order: a later one waits until the earlier is sent or given up.

    Args:
        term: the leader's; an entry that is ``sending`` under another term has lost its sender.
        full: channels that take no more just now.
    """
    n = Notification
    due = select(*_ENTRY).where(_is_due(term, now_ms, full)).order_by(n.not_before, n.id)
    return _entries(c, due.limit(limit).with_for_update())


def begin_attempt(c: Connection, entry: OutboxEntry, term: int, now_ms: int, gone_at: int) -> int:
    """Claim an entry and record the attempt before it is made; returns the attempt's number.

    Args:
        gone_at: when its sender is taken for dead.
    """
    _set(c, entry.id, state="sending", term=term, attempts=entry.attempts + 1, not_before=gone_at)
    attempt = insert(NotificationAttempt).values(notification_id=entry.id, at=now_ms, term=term)
    return int(c.execute(attempt.returning(NotificationAttempt.id)).scalar_one())


def end_lost_attempts(c: Connection, notification_id: int, now_ms: int) -> None:
    """Close the attempts of a sender that died before it could record an outcome."""
    lost = NotificationAttempt
    c.execute(
        update(lost)
        .where(lost.notification_id == notification_id, lost.finished_at.is_(None))
        .values(finished_at=now_ms, error="its sender ended before it could say what came of it")
    )


def claimed_entry(c: Connection, notification_id: int, term: int, attempt: int) -> OutboxEntry | None:
    """The entry, locked, if it is still claimed by this attempt; None if another sender has taken it over."""
    n = Notification
    mine = (n.id == notification_id, n.state == "sending", n.term == term, n.attempts == attempt)
    return next(iter(_entries(c, select(*_ENTRY).where(*mine).with_for_update())), None)


def end_attempt(c: Connection, attempt_id: int, now_ms: int, error: str | None) -> None:
    """Record an attempt's outcome; ``error`` is None if the channel accepted the message."""
    a = NotificationAttempt
    c.execute(update(a).where(a.id == attempt_id).values(finished_at=now_ms, ok=error is None, error=error))


def withdraw_attempt(c: Connection, attempt_id: int) -> None:
    """Forget an attempt at which nothing was sent."""
    c.execute(delete(NotificationAttempt).where(NotificationAttempt.id == attempt_id))


def mark_sent(c: Connection, notification_id: int, now_ms: int) -> None:
    _set(c, notification_id, state="sent", sent_at=now_ms, last_error=None)


def mark_pending(c: Connection, notification_id: int, attempts: int, not_before: int, error: str) -> None:
    """Try again later."""
    _set(c, notification_id, state="pending", attempts=attempts, not_before=not_before, last_error=error)


def mark_failed(c: Connection, notification_id: int, error: str) -> None:
    _set(c, notification_id, state="failed", last_error=error)


def mark_cancelled(c: Connection, notification_id: int, why: str) -> None:
    _set(c, notification_id, state="cancelled", last_error=why)


def mark_silenced(c: Connection, notification_id: int, why: str) -> None:
    _set(c, notification_id, state="silenced", last_error=why)


# --- health ----------------------------------------------------------------------------------------------------------


def failing_channels(c: Connection, since_ms: int) -> list[ChannelFailure]:
    """Channels whose last notification that ended (of those made since a time) failed, by receiver and channel."""
    n = Notification
    last = (
        select(func.max(n.id))
        .where(n.state.in_(("sent", "failed")), n.created_at >= since_ms)
        .group_by(n.receiver, n.channel)
    )
    failed = select(n.receiver, n.channel, n.last_error).where(n.id.in_(last), n.state == "failed")
    return [ChannelFailure(*row) for row in c.execute(failed.order_by(n.receiver, n.channel))]


def _is_due(term: int, now_ms: int, full: Iterable[ChannelKey]) -> ColumnElement[bool]:
    n, earlier = Notification, aliased(Notification)
    waits_for_earlier = exists().where(
        earlier.alert_id == n.alert_id,
        earlier.receiver == n.receiver,
        earlier.channel == n.channel,
        earlier.sequence < n.sequence,
        earlier.state.in_(("pending", "sending")),
    )
    due = or_(
        and_(n.state == "pending", n.not_before <= now_ms),
        # Its sender is gone: another term is over for good, our own was interrupted.
        and_(n.state == "sending", or_(n.term != term, n.not_before <= now_ms)),
    )
    busy = [~and_(n.receiver == receiver, n.channel == channel) for receiver, channel in full]
    return and_(due, ~waits_for_earlier, *busy)


def _entries(c: Connection, query: Select[Any]) -> list[OutboxEntry]:
    return [OutboxEntry(*row) for row in c.execute(query)]


def _set(c: Connection, notification_id: int, **values: Any) -> None:
    c.execute(update(Notification).where(Notification.id == notification_id).values(**values))
