"""Whether the demo alerted correctly: the right alert is a surge on the topic that turned bad, while it was turning; a
wrong one is any other surge that people would be notified of."""

from __future__ import annotations

from collections import Counter

from app.demo.scenario import LOUD_TOPIC, TURNING_TOPIC, load_texts
from barometer.store.alerts.surges import SurgeAlert, surge_alerts
from barometer.store.engine import Store
from barometer.vocabulary import NOTIFIED_SEVERITIES

MIN_TEXTS = 5
"""A topic that so many of the bad texts are also about may alarm with the first: it is the same incident."""


def surges(store: Store) -> list[SurgeAlert]:
    """All surge alerts so far, the oldest first."""
    with store.read() as c:
        return surge_alerts(c)


def accompanying() -> set[str]:
    """Series that the bad texts are about as well, by our own labels, apart from the one that is only loud."""
    counts = Counter(topic for text in load_texts("bad_turn") for topic in text.topics)
    return {f"topic:{t}" for t, n in counts.items() if n >= MIN_TEXTS and t not in (TURNING_TOPIC, LOUD_TOPIC)}


def judge(alerts: list[SurgeAlert], turn_at: int) -> tuple[bool, list[SurgeAlert]]:
    """(whether the right alert fired, the wrong ones).

    Args:
        turn_at: when the bad turn begins, epoch ms; an alert that was detected before it is wrong, whatever its topic.
    """
    right_series, allowed = f"topic:{TURNING_TOPIC}", accompanying()
    notified = [a for a in alerts if a.severity in NOTIFIED_SEVERITIES]
    right = [a for a in notified if a.series == right_series and a.detected_at > turn_at]
    wrong = [a for a in notified if a not in right and not (a.series in allowed and a.detected_at > turn_at and right)]
    return bool(right), wrong
