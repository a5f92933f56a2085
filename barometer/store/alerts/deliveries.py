"""Recent deliveries of notifications, channel by channel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from barometer.store.tables import AuditEntry, Notification, NotificationAttempt

SINCE_MS = 90 * 86_400_000
TEST = "notify.test"
"""The act of the audit log; its data: ``{"channels": [{"taken": bool, "detail": str}, ...]}``."""
_TESTS = 200


@dataclass(slots=True)
class Delivery:
    """One channel of one receiver. Times are epoch ms; None: never, within the time that was looked at."""

    good_at: int | None = None
    good_by_test: bool = False
    bad_at: int | None = None
    bad_by_test: bool = False
    error: str = ""
    """Of the last failure."""
    waiting: int = 0
    """Messages that are to be sent, or sent again."""

    @property
    def works(self) -> bool | None:
        """Whether the latest that is known of it was good; None: nothing is known."""
        if self.good_at is None and self.bad_at is None:
            return None
        return (self.good_at or 0) >= (self.bad_at or 0)


def deliveries(c: Connection, now_ms: int, since_ms: int = SINCE_MS) -> Mapping[tuple[str, int], Delivery]:
    """(receiver, place of the channel in the file) -> how it went in the last ``since_ms`` milliseconds: messages about
    alerts and tests."""
    n, a = Notification, NotificationAttempt
    found: dict[tuple[str, int], Delivery] = defaultdict(Delivery)
    recent = n.created_at >= now_ms - since_ms
    for receiver, channel, at in c.execute(
        select(n.receiver, n.channel, func.max(n.sent_at))
        .where(n.state == "sent", recent)
        .group_by(n.receiver, n.channel)
    ):
        found[receiver, channel].good_at = at
    waiting = select(n.receiver, n.channel, func.count()).where(n.state.in_(("pending", "sending")), recent)
    for receiver, channel, count in c.execute(waiting.group_by(n.receiver, n.channel)):
        found[receiver, channel].waiting = count
    last = (
        select(func.max(a.id))
        .join(n, n.id == a.notification_id)
        .where(a.ok.is_(False), recent)
        .group_by(n.receiver, n.channel)
    )
    failed = select(n.receiver, n.channel, a.at, a.error).join(n, n.id == a.notification_id).where(a.id.in_(last))
    for receiver, channel, at, error in c.execute(failed):
        found[receiver, channel].bad_at, found[receiver, channel].error = at, error or ""
    _with_tests(c, found, now_ms - since_ms)
    return found


def last_test(c: Connection, receiver: str) -> int | None:
    """When a receiver was last sent a test from a page, epoch ms."""
    e = AuditEntry
    return c.execute(select(func.max(e.at)).where(e.action == TEST, e.object == receiver)).scalar()


def _with_tests(c: Connection, found: dict[tuple[str, int], Delivery], since: int) -> None:
    e = AuditEntry
    tests = select(e.at, e.object, e.data).where(e.action == TEST, e.at >= since).order_by(e.id.desc()).limit(_TESTS)
    for at, receiver, data in reversed(c.execute(tests).all()):
        for number, outcome in enumerate(data.get("channels") or ()):
            one = found[receiver, number]
            if outcome.get("taken"):
                if at >= (one.good_at or 0):
                    one.good_at, one.good_by_test = at, True
            elif at >= (one.bad_at or 0):
                one.bad_at, one.bad_by_test, one.error = at, True, str(outcome.get("detail") or "")


def unreached(c: Connection, alert_ids: Sequence[int]) -> frozenset[int]:
    """Those of the alerts of which a notification could not be delivered."""
    n = Notification
    q = select(n.alert_id).where(n.alert_id.in_(alert_ids), n.state == "failed").distinct()
    return frozenset(int(i) for i in c.execute(q).scalars())
