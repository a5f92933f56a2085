"""What left the house: notifications, and the dead letters' copies for other systems. Each at least once."""

from __future__ import annotations

from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import func, select

from barometer.settings import Settings
from barometer.store import tables as t
from barometer.store.engine import Store

READ_MS = 2_000


def deliveries_wrong(store: Store, keys: Mapping[str, int]) -> list[str]:
    """Every notification arrived, none was made up, and none more often than attempts at it were recorded. How many
    came once more than needed is reported, not judged: a kill makes them, and so does a leader too slow for a lease
    as short as the runs' on a machine that has other things to do.

    Args:
        keys: idempotency key -> how often it arrived.
    """
    a, n, x = t.Alert, t.Notification, t.NotificationAttempt
    attempts = select(func.count()).where(x.notification_id == n.id).scalar_subquery()
    with store.read() as c:
        rows = c.execute(select(n.message_id, n.state, attempts).join(a, a.id == n.alert_id)).all()
    known = {r[0]: (r[1], int(r[2])) for r in rows}
    out = [f"notification {k} arrived and is not in the outbox" for k in keys if k not in known]
    for key, (state, tried) in known.items():
        came = keys.get(key, 0)
        if state == "sent" and not came:
            out.append(f"notification {key} is marked as sent and never arrived")
        if came > tried:
            out.append(f"notification {key} arrived {came} times in {tried} attempts")
    return out


def relayed_wrong(settings: Settings, store: Store) -> list[str]:
    """Every dead letter has a copy in the topic for other systems, and every copy a dead letter."""
    with store.read() as c:
        want = {str(r) for r in c.execute(select(t.DeadLetter.row_id)).scalars()}
    consumer = KafkaConsumer(**settings.kafka(), enable_auto_commit=False, auto_offset_reset="earliest")
    place = TopicPartition(settings.topic_dlq, 0)
    have: set[str] = set()
    try:
        consumer.assign([place])
        while batch := consumer.poll(timeout_ms=READ_MS).get(place, []):
            have |= {dict(r.headers)["barometer-row"].decode() for r in batch}
            if consumer.position(place) >= (consumer.highwater(place) or 0):
                break
    finally:
        consumer.close()
    out = []
    if want - have:
        out.append(f"{len(want - have)} of {len(want)} dead letters are marked as relayed and not in the topic")
    if have - want:
        out.append(f"{len(have - want)} records of the topic are no dead letters")
    return out
