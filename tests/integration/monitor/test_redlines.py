"""From a text in the stream to an alert of a rule: once, folded by copies, ended by the stream's time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, select, update

from barometer.errors import StaleWrite
from barometer.rules import load_rules
from barometer.store import leases
from barometer.store.alerts.life_cycle import AlertChange
from barometer.store.engine import Store
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.store.tables import Alert, RuleHit, SealingState
from monitor.rules.redlines import HOUR_MS, raise_hits
from tests.integration.store.test_writer import BUCKETS, T0, document, make_log

NOW = T0
COPIES, HOLD = 48 * HOUR_MS, 12 * HOUR_MS


class Scene:
    def __init__(self, store: Store) -> None:
        self.store, self.rules, self.offset = store, load_rules(), 0
        self.writer = Writer(store, BUCKETS)
        self.told: list[AlertChange] = []
        lease = leases.acquire(store, leases.LEADER, "test", 600)
        assert lease is not None
        self.lease = lease

    def say(self, *texts: str, at: int = NOW, source: str | None = "新华社") -> None:
        """Write texts as a worker would, and what the rules match of them."""
        documents = [
            replace(document(0, self.offset + i, t, at=at - T0), source=source)
            for i, t in enumerate(texts)
        ]  # fmt: skip
        hits = [
            (d, m) for d in documents
            for m in self.rules.match(d.text, kind="news", observed_at=d.observed_at, source=d.source)
        ]  # fmt: skip
        n = len(texts)
        move = Move(0, self.offset or None, self.offset + n, n)
        self.writer.commit(Batch(1, 1, [move], documents, [None] * n, ["zh"] * n, ["no_model"] * n, [], hits))
        self.offset += n

    def lead(self, now: int = NOW + 5_000) -> int:
        def told(_c: Connection, change: AlertChange, _now: int) -> None:
            self.told.append(change)

        return raise_hits(self.store, self.lease, told, COPIES, HOLD, now)

    def alerts(self) -> list[tuple[str, str, str | None, bool]]:
        with self.store.read() as c:
            rows = c.execute(select(Alert.fingerprint, Alert.severity, Alert.level, Alert.ended_at).order_by(Alert.id))
            return [(r[0], r[1], r[2], r[3] is not None) for r in rows]


@pytest.fixture
def scene(store: Store) -> Scene:
    make_log(store)
    return Scene(store)


def test_one_text_opens_one_alert_and_its_copies_none(scene: Scene) -> None:
    scene.say("某村镇银行出现挤兑，储户连夜排队", "今日大盘平稳")
    assert scene.lead() == 1
    assert scene.alerts() == [("rule:挤兑", "critical", "grave", False)]
    assert len(scene.told) == 1
    scene.say("某村镇银行出现挤兑，储户连夜排队！", at=NOW + 60_000)
    assert scene.lead() == 1
    assert len(scene.told) == 1, "a copy tells nobody again"
    assert scene.lead() == 0
    with scene.store.read() as c:
        alert = c.execute(select(Alert.explanation, Alert.evidence)).one()
        assert c.execute(select(func.count()).where(RuleHit.handled_at.is_(None))).scalar() == 0
    assert [h["words"] for h in alert.explanation["hits"]] == [["挤兑"]]
    assert alert.explanation["hits"][0]["title"]["en"] == "Run on a bank or blocked withdrawals"
    assert alert.evidence[0]["text"].startswith("某村镇银行")


def test_what_is_denied_or_from_nobody_opens_none(scene: Scene) -> None:
    scene.say("该行没有出现挤兑", "网传挤兑系谣言")
    scene.say("恒信地产债券违约", source="某论坛")
    assert scene.lead() == 0
    assert scene.alerts() == []


def test_an_old_text_is_shown_and_told_to_nobody(scene: Scene) -> None:
    scene.say("公司被立案调查", at=NOW - 30 * 24 * HOUR_MS)
    scene.lead()
    assert [a[0] for a in scene.alerts()] == ["rule:立案调查"]
    with scene.store.read() as c:
        assert c.execute(select(Alert.explanation)).scalar_one()["quiet"] is True


def test_it_ends_when_nothing_has_matched_for_long(scene: Scene) -> None:
    scene.say("某银行排队取钱")
    scene.lead()
    with scene.store.write() as c:
        c.execute(SealingState.__table__.insert().values(log_id=1, sealed_until=NOW + HOUR_MS, term=1, updated_at=NOW))  # type: ignore[attr-defined]
    scene.lead()
    assert not scene.alerts()[0][3]
    with scene.store.write() as c:
        c.execute(update(SealingState).values(sealed_until=NOW + HOLD + 1))
    scene.lead()
    assert scene.alerts()[0][3], "the rule let go of it"


def test_a_repeat_and_a_leader_that_is_none_raise_nothing(scene: Scene) -> None:
    scene.say("某银行挤兑")
    leases.release(scene.store, scene.lease)
    with pytest.raises(StaleWrite):
        scene.lead()
    assert scene.alerts() == []
    lease = leases.acquire(scene.store, leases.LEADER, "next", 600)
    assert lease is not None
    scene.lease = lease
    scene.lead()
    assert len(scene.alerts()) == 1
