"""Alarms about telling people itself: a file of receivers that cannot be used, a channel that does not deliver."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from barometer.store.tables import Notification
from monitor.alarms.checks import Condition
from monitor.notify.reload import Watched

RECENT_MS = 24 * 3_600_000
"""A channel that failed longer ago than this, and was not used since, is not spoken of any more."""


def notify_conditions(c: Connection, watched: Watched, now_ms: int) -> Iterator[Condition]:
    """What is wrong now.

    A channel is in trouble when the last message that was ended on it failed: what may pass has been tried to the end,
    what may not (a bad token) fails at once. A later message that arrives, or a file that was changed since, ends it.
    """
    config, n = watched.current(), Notification
    if watched.fault is not None:
        yield Condition("notify_file", "warning", "the new file of receivers is refused", {"message": watched.fault})
    since = max(now_ms - RECENT_MS, watched.changed_at)
    last = (
        select(func.max(n.id))
        .where(n.state.in_(("sent", "failed")), n.created_at >= since)
        .group_by(n.receiver, n.channel)
    )
    failed = select(n.receiver, n.channel, n.last_error).where(n.id.in_(last), n.state == "failed")
    for row in c.execute(failed.order_by(n.receiver, n.channel)):
        receiver = config.receiver(row.receiver)
        if receiver is None or row.channel >= len(receiver.channels):
            continue
        place = f"{row.receiver}/{row.channel}"
        kind = receiver.channels[row.channel].type
        text = f"channel {row.channel} of {row.receiver} does not deliver"
        yield Condition(f"channel:{place}", "warning", text, {"channel": kind, "message": row.last_error})
