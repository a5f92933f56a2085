"""Alarms about notifications themselves: a refused file of receivers, a channel that does not deliver."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from barometer.store.alerts.notifications import failing_channels
from monitor.alarms.conditions import Condition
from monitor.notify.reload import WatchedNotifyFile

RECENT_MS = 24 * 3_600_000
"""A channel that failed longer ago than this, and was not used since, is no alarm any more."""


def notify_conditions(c: Connection, watched: WatchedNotifyFile, now_ms: int) -> Iterator[Condition]:
    """The alarms that hold now.

    A channel is in trouble when its last finished message failed: temporary failures after the last attempt, permanent
    ones (a bad token) at once. A later message that arrives, or a file that was changed since, ends the alarm.
    """
    config = watched.current()
    if watched.fault is not None:
        yield Condition("notify_file", "warning", "the new file of receivers is refused", {"message": watched.fault})
    since = max(now_ms - RECENT_MS, watched.changed_at)
    for failure in failing_channels(c, since):
        receiver = config.receiver(failure.receiver)
        if receiver is None or failure.channel >= len(receiver.channels):
            continue
        place = f"{failure.receiver}/{failure.channel}"
        kind = receiver.channels[failure.channel].type
        text = f"channel {failure.channel} of {failure.receiver} does not deliver"
        yield Condition(f"channel:{place}", "warning", text, {"channel": kind, "message": failure.error})
