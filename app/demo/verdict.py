"""Did the demo alert rightly? The right alert is a surge on the topic that turned bad, while it was turning; a wrong
one is any other surge that people would be told of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import select

from app.demo.scenario import LOUD_TOPIC, TURNING_TOPIC, load_texts
from barometer.store.engine import Store
from barometer.store.tables import Alert

MIN_TEXTS = 5
"""A topic that so many of the bad texts are also about may alarm with the first: it is the same incident."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One surge alert of the demo's store."""

    alert_id: int
    series: str
    severity: str
    state: str
    started_at: int
    detected_at: int
    seen_negative: int
    seen_total: int
    expected_negative: float


def surges(store: Store) -> list[Seen]:
    """All surge alerts so far, oldest first."""
    with store.read() as c:
        rows = c.execute(select(Alert).where(Alert.type == "surge").order_by(Alert.id)).all()
    return [
        Seen(
            r.id,
            r.fingerprint,
            r.severity,
            r.state,
            r.started_at,
            r.detected_at,
            r.seen_negative,
            r.seen_total,
            r.expected_negative,
        )
        for r in rows
    ]


def accompanying() -> set[str]:
    """Series that the bad texts are about as well, by our own labels, apart from the one that is only loud."""
    counts = Counter(topic for text in load_texts("bad_turn") for topic in text.topics)
    return {f"topic:{t}" for t, n in counts.items() if n >= MIN_TEXTS and t not in (TURNING_TOPIC, LOUD_TOPIC)}


def judge(seen: list[Seen], turn_at: int) -> tuple[bool, list[Seen]]:
    """(whether the right alert fired, the wrong ones).

    Args:
        turn_at: when the bad turn begins, epoch ms; an alert that was detected before it is wrong, whatever its topic.
    """
    right_series, allowed = f"topic:{TURNING_TOPIC}", accompanying()
    told = [a for a in seen if a.severity != "info"]
    right = [a for a in told if a.series == right_series and a.detected_at > turn_at]
    wrong = [a for a in told if a not in right and not (a.series in allowed and a.detected_at > turn_at and right)]
    return bool(right), wrong
