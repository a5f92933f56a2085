"""A change of model is not news: a model that calls twice as many texts negative goes live, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from barometer.settings import Settings
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.model_versions.versions import ensure_model
from barometer.vocabulary import Sentiment
from monitor.detection.rebase import measure
from monitor.sealing.seal import Sealer
from tests.integration.monitor.test_sealing import Log, lead
from tests.integration.monitor.test_sealing_alerts import BAD, CALM, alerts, feed

MakeSettings = Callable[..., Settings]
PER_BUCKET, CHANGE = 20, 200


class Harsher:
    """Calls every text negative whose number leaves a rest below ``harsh`` of ten."""

    precision, topics = "int8", ("real_estate",)

    def __init__(self, name: str, harsh: int) -> None:
        self.name, self._harsh = name, harsh
        self.asked = 0

    def sentiment(self, text: str) -> Sentiment:
        return BAD if sum(map(int, text.split()[1:])) * 7 % 10 < self._harsh else CALM

    def score(
        self, texts: Sequence[str], kinds: Sequence[str | None], langs: Sequence[str | None],
        titles: Sequence[str | None],
    ) -> list[Any]:  # fmt: skip
        self.asked += len(texts)
        return [SimpleNamespace(scored=True, topics=self.topics, sentiment=self.sentiment(x)) for x in texts]


def usual(model: Harsher, start: int, end: int) -> dict[int, list[tuple[str, Sentiment]]]:
    texts = {b: [f"楼市 {b} {i * i}" for i in range(PER_BUCKET)] for b in range(start, end)}
    return {b: [(x, model.sentiment(x)) for x in of] for b, of in texts.items()}


def test_the_share_doubles_and_nobody_is_called_until_something_happens(
    store: Store, settings_for: MakeSettings
) -> None:
    settings = settings_for()
    log, old, new = Log(store, settings), Harsher("old", 2), Harsher("new", 4)
    first, second = (ensure_model(store, m.name, m.precision, m.topics) for m in (old, new))
    feed(log, usual(old, 0, CHANGE), model_id=first)
    Sealer(store, settings).seal_ready(lead(store))

    ratios = measure(store, new)
    assert ratios is not None
    assert abs(ratios["topic:real_estate"] - (0.4 / 0.6) / (0.2 / 0.8)) < 0.4
    assert ratios.keys() == {"*", "@news", "topic:real_estate", "topic:real_estate@news"}
    asked = new.asked
    assert measure(store, new) is None, "once is enough"
    assert measure(store, old) is None, "it is live"
    assert new.asked == asked

    # The workers change one after the other, in the middle of a bucket.
    both = {CHANGE: usual(old, CHANGE, CHANGE + 1)[CHANGE][:12]}
    feed(log, both, model_id=first)
    feed(log, {CHANGE: usual(new, CHANGE, CHANGE + 1)[CHANGE][12:]} | usual(new, CHANGE + 1, CHANGE + 60),
         model_id=second)  # fmt: skip
    Sealer(store, settings).seal_ready(lead(store))
    assert alerts(store) == []
    with store.read() as c:
        scores = c.execute(select(t.SealedBucket.score).where(t.SealedBucket.score.is_not(None))).scalars().all()
    assert len(scores) > 200

    surge = {CHANGE + 60 + b: [(f"停工 {b} {i}", BAD) for i in range(30)] for b in range(3)}
    feed(log, surge, model_id=second)
    Sealer(store, settings).seal_ready(lead(store))
    (alert,) = alerts(store)
    assert (alert.fingerprint, alert.severity, alert.model_id) == ("topic:real_estate", "critical", second)


def test_nothing_is_measured_where_nothing_is_known(store: Store, settings_for: MakeSettings) -> None:
    settings = settings_for()
    log, old, new = Log(store, settings), Harsher("old", 2), Harsher("new", 4)
    first = ensure_model(store, old.name, old.precision, old.topics)
    assert measure(store, new) is None
    feed(log, usual(old, 0, 2), model_id=first)
    assert measure(store, new) is None, "40 texts say nothing"
    assert new.asked == 0
