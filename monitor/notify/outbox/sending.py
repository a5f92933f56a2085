"""Sends what is due in the outbox.

:func:`send_due` claims entries under the leader's term, records each attempt before it is made, sends outside of any
transaction, and marks an entry as sent only after the channel accepted it. A kill between acceptance and mark leaves
the entry ``sending``: the next term, or the same one after :data:`SENDING_TIMEOUT_MS`, sends it once more with the same
idempotency key.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import Connection

from barometer.store import leases
from barometer.store.alerts.life_cycle import record_event
from barometer.store.alerts.notifiable import notifiable_alert
from barometer.store.alerts.notifications import (
    ChannelKey,
    OutboxEntry,
    any_due,
    begin_attempt,
    claimed_entry,
    due_entries,
    end_attempt,
    end_lost_attempts,
    mark_cancelled,
    mark_failed,
    mark_pending,
    mark_sent,
    mark_silenced,
    withdraw_attempt,
)
from barometer.store.alerts.silences import Silencer
from barometer.store.engine import Store
from barometer.store.leases import Lease
from monitor.notify.channels import HeldBack, SendError, Sent
from monitor.notify.config import NotifyConfig
from monitor.notify.outbox.enqueue import SYSTEM
from monitor.notify.outbox.sender_pool import A_CHANNEL, Claim, SenderPool

log = structlog.get_logger(__name__)

SENDING_TIMEOUT_MS = 180_000
"""Longer than any channel waits."""
PATIENCE_SECONDS = 1.0
"""A call of :func:`send_due` that sees nothing end for so long leaves what is under way to the next."""
FIRST_WAIT_MS, LONGEST_WAIT_MS = 5_000, 900_000


def send_due(
    store: Store,
    lease: Lease,
    config: NotifyConfig,
    now_ms: int,
    *,
    budget_seconds: float = 20.0,
    leading: Callable[[], bool] = lambda: True,
    pool: SenderPool | None = None,
) -> int:
    """Send what is due; returns the number of messages that channels accepted.

    Messages of one alert to one channel keep their order: a later one waits until the earlier is sent or given up.

    Args:
        lease: the leader's; checked when an entry is claimed and again when it is marked.
        budget_seconds: claim no more once so much time has passed; what is left is sent by the next call.
        leading: asked right before each send, by our own clock: who was frozen beyond the lease sends nothing when it
            wakes, since the next leader has.
        pool: the sends under way from call to call; a send that lasts is left to the next call. None: the call waits
            for all that it begins.

    Raises:
        StaleWrite: the lease was lost. What was being sent stays ``sending`` and is sent again by the next leader.
    """
    if pool is not None:
        return _send_due(store, lease, config, now_ms, budget_seconds, leading, pool, PATIENCE_SECONDS)
    own = SenderPool()
    try:
        return _send_due(store, lease, config, now_ms, budget_seconds, leading, own, None)
    finally:
        own.close()


def _send_due(
    store: Store,
    lease: Lease,
    config: NotifyConfig,
    now_ms: int,
    budget_seconds: float,
    leading: Callable[[], bool],
    pool: SenderPool,
    patience: float | None,
) -> int:
    begin, sent = time.monotonic(), 0
    while True:
        spent = time.monotonic() - begin
        previewed_rows = 0
        if spent <= budget_seconds and pool.room:
            now = now_ms + int(spent * 1000)
            counts = pool.counts
            with store.read() as c:
                waiting = any_due(c, lease.term, now, _full(counts))
            if waiting:
                with store.write() as c:
                    leases.check(store, c, lease)
                    claims, previewed_rows = _claim(c, lease, config, now, counts, pool.room)
                for claim in claims:
                    pool.begin(claim, config, leading)
        if not pool and not previewed_rows:
            return sent
        ended = pool.finished(0.0 if previewed_rows and pool.room else patience) if pool else []
        if not ended and not previewed_rows:
            return sent
        for claim, outcome in ended:
            now = now_ms + int((time.monotonic() - begin) * 1000)
            with store.write() as c:
                leases.check(store, c, lease)
                sent += _mark(c, lease, claim, outcome, config, now)


def _full(under_way: Counter[ChannelKey]) -> list[ChannelKey]:
    return [channel for channel, sends in under_way.items() if sends >= A_CHANNEL]


def _claim(
    c: Connection, lease: Lease, config: NotifyConfig, now: int, under_way: Counter[ChannelKey], room: int
) -> tuple[list[Claim], int]:
    """Claim what is due and record the attempts; returns the claims, and how many entries were looked at."""
    claims, counts, previewed_rows = [], under_way.copy(), 0
    for entry in due_entries(c, lease.term, now, _full(under_way), room):
        if counts[entry.receiver, entry.channel] >= A_CHANNEL:
            continue
        previewed_rows += 1
        if entry.state == "sending":
            end_lost_attempts(c, entry.id, now)
            if entry.attempts >= config.settings.notify_attempts:
                _give_up(c, entry, "the last attempt ended without an answer", entry.attempts, now)
                continue
        elif _drop_if_obsolete(c, entry, config, now):
            continue
        attempt_id = begin_attempt(c, entry, lease.term, now, now + SENDING_TIMEOUT_MS)
        counts[entry.receiver, entry.channel] += 1
        claims.append(Claim(entry, entry.attempts + 1, attempt_id))
    return claims, previewed_rows


def _drop_if_obsolete(c: Connection, entry: OutboxEntry, config: NotifyConfig, now: int) -> bool:
    """Drop an entry that must no longer be sent: silenced meanwhile, or a reminder of what somebody took in hand."""
    silencer = Silencer(c, config.settings, now)
    alert = notifiable_alert(c, entry.alert_id, silencer, now)
    assert alert is not None  # a foreign key
    if entry.reason in ("repeated", "escalated") and alert.state != "firing":
        mark_cancelled(c, entry.id, f"the alert was {alert.state} before it was sent")
        return True
    if alert.silenced is None:
        return False
    mark_silenced(c, entry.id, f"silenced by {alert.silenced.by}")
    silencer.note(c, alert.id, alert.silenced, {"reason": entry.reason, "receiver": entry.receiver}, now)
    return True


def _mark(c: Connection, lease: Lease, claim: Claim, outcome: Sent | SendError, config: NotifyConfig, now: int) -> int:
    """Record the outcome of an attempt; returns 1 if the channel accepted the message."""
    entry = claimed_entry(c, claim.entry.id, lease.term, claim.attempt)
    if entry is None:
        log.warning("notification_taken_over", notification=claim.entry.id, receiver=claim.entry.receiver)
        return 0
    if isinstance(outcome, HeldBack):
        # Nothing was sent: it counts as no attempt, or a busy hour would use them all up.
        withdraw_attempt(c, claim.attempt_id)
        later = now + int(1000 * (outcome.retry_after or 1.0))
        mark_pending(c, entry.id, claim.attempt - 1, later, str(outcome))
        return 0
    if isinstance(outcome, Sent):
        end_attempt(c, claim.attempt_id, now, None)
        mark_sent(c, entry.id, now)
        data = {**_channel_facts(entry, config), "attempts": claim.attempt, "answer": outcome.detail}
        record_event(c, entry.alert_id, now, SYSTEM, "notified", None, data)
        return 1
    end_attempt(c, claim.attempt_id, now, str(outcome))
    if outcome.permanent or claim.attempt >= config.settings.notify_attempts:
        _give_up(c, entry, str(outcome), claim.attempt, now)
        return 0
    wait = backoff_ms(claim.attempt, outcome.retry_after, random.Random())
    mark_pending(c, entry.id, claim.attempt, now + wait, str(outcome))
    log.warning(
        "notification_retry",
        notification=entry.id,
        receiver=entry.receiver,
        attempt=claim.attempt,
        seconds=round(wait / 1000),
        error=str(outcome),
    )
    return 0


def _give_up(c: Connection, entry: OutboxEntry, error: str, attempts: int, now: int) -> None:
    """Mark an entry as failed, also in the alert's history, where people see it."""
    mark_failed(c, entry.id, error)
    data = {"receiver": entry.receiver, "channel": entry.channel, "reason": entry.reason, "attempts": attempts}
    record_event(c, entry.alert_id, now, SYSTEM, "notification_failed", error, data)
    log.error("notification_failed", notification=entry.id, alert=entry.alert_id, receiver=entry.receiver, error=error)


def _channel_facts(entry: OutboxEntry, config: NotifyConfig) -> dict[str, Any]:
    receiver = config.receiver(entry.receiver)
    known = receiver is not None and entry.channel < len(receiver.channels)
    type_ = receiver.channels[entry.channel].type if receiver is not None and known else None
    return {"receiver": entry.receiver, "channel": entry.channel, "type": type_, "reason": entry.reason}


def backoff_ms(attempt: int, retry_after: float | None, chance: random.Random) -> int:
    """How long to wait after failed attempt number ``attempt``: doubling from 5 s to 15 min, 20 % of jitter either way,
    and never less than the service asked for."""
    wait = min(FIRST_WAIT_MS * 2 ** min(attempt - 1, 20), LONGEST_WAIT_MS) * chance.uniform(0.8, 1.2)
    return int(max(wait, (retry_after or 0.0) * 1000))
