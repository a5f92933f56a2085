"""Names of sources are whatever somebody wrote into the topic: however many there are, the product keeps going."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from sqlalchemy import Connection, func, insert, select, update

from barometer.buckets import Buckets
from barometer.settings import Settings
from barometer.store import tables as t
from barometer.store.alerts.life_cycle import resolve
from barometer.store.alerts.silences import Silencer, add_silence
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.stream import writer as w
from barometer.store.stream.batch import Move
from barometer.store.stream.names import Names
from barometer.store.stream.sources import MOST_LISTED, OTHERS, read_sources
from monitor.alarms.checks import Alarms
from monitor.alarms.silent_sources import FEW
from tests.integration.monitor.test_monitor import Log, MakeSettings, lead
from tests.integration.store.test_writer import batch, document, make_log

HOUR = 3_600_000
WEEK_HOURS = 7 * 24


@pytest.fixture
def settings(settings_for: MakeSettings) -> Settings:
    return settings_for()


def send(c: Connection, now: int, names: Iterable[str], *, until: int = 5) -> None:
    """Sources that sent three texts in each hour of the last week, up to ``until`` hours ago."""
    rows = [{"name": n, "created_at": 0, "muted": False} for n in names]
    c.execute(insert(t.Source), rows)
    ids = c.execute(select(t.Source.id).where(t.Source.name.in_([r["name"] for r in rows]))).scalars()
    hours = [*range(until, until + 4), *range(WEEK_HOURS + 1, WEEK_HOURS + until)]
    c.execute(
        insert(t.SourceRollup),
        [{"source_id": i, "hour": (now // HOUR - h) * HOUR, "log_id": 1, "partition": 0, "total": 3,
          "last_observed_at": (now // HOUR - h) * HOUR} for i in ids for h in hours],
    )  # fmt: skip


def test_seventy_thousand_names_are_judged_and_the_report_stays_small(store: Store, settings: Settings) -> None:
    """More than a statement may have parameters on either database."""
    with store.write() as c:
        now = store.now_ms(c)
        c.execute(insert(t.Source), [{"name": f"n{i}", "created_at": 0, "muted": False} for i in range(70_000)])
        send(c, now, ["晨报", "晚报"])
        send(c, now, ["heard"], until=0)
    report = status(store, settings)
    assert (report["sources_known"], report["sources_active"], report["sources_silent"]) == (70_003, 3, 2)
    assert len(report["sources"]) == MOST_LISTED
    assert {s["name"] for s in report["sources"][:2]} == {"晨报", "晚报"}
    assert report["sources"][2]["name"] == "heard"
    problem = next(p for p in report["problems"] if p["code"] == "silent")
    assert set(problem["names"].split(", ")) == {"晨报", "晚报"}


def test_what_a_source_sent_and_who_is_not_judged(store: Store) -> None:
    with store.write() as c:
        now = store.now_ms(c) // HOUR * HOUR + HOUR // 2
        send(c, now, ["quiet"])
        send(c, now, ["muted"])
        send(c, now, ["new"], until=5)
        c.execute(update(t.Source).where(t.Source.name == "muted").values(muted=True))
        new = c.execute(select(t.Source.id).where(t.Source.name == "new")).scalar_one()
        c.execute(
            t.SourceRollup.__table__.delete().where(
                t.SourceRollup.source_id == new, t.SourceRollup.hour < now - 100 * HOUR
            )
        )
    with store.read() as c:
        found = {s["name"]: s for s in read_sources(c, now, 6.0).listed}
    assert {n: s["silent"] for n, s in found.items()} == {"quiet": True, "muted": False, "new": False}
    assert found["quiet"] == {
        "name": "quiet", "muted": False, "last_observed_at": (now // HOUR - 5) * HOUR, "last_day": 12, "last_week": 12,
        "silent": True,
    }  # fmt: skip
    with store.read() as c:  # four whole hours of the week before had three texts each
        assert [read_sources(c, now, f).silent for f in (12.0, 12.1)] == [1, 0]


def test_names_beyond_the_limit_count_together_and_are_kept_with_the_text(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(store, most_sources=3)
    first = names.sources(["a", "b"])
    assert len(set(first.values())) == 2
    more = names.sources(["a", "c", "d", "e"])
    assert more["a"] == first["a"]
    assert len(set(more.values())) == 3  # "c" had room
    assert more["d"] == more["e"]
    assert names.has_source("c") and not names.has_source("d")
    again = Names(store, most_sources=3).sources(["d", "a"])  # another process, and the store is full
    assert again == {"a": first["a"], "d": more["d"]}
    with store.read() as c:
        known = dict(c.execute(select(t.Source.name, t.Source.muted)).tuples().all())
    assert known == {"a": False, "b": False, "c": False, OTHERS: True}

    writer = w.Writer(store, Buckets(600, settings.zone))
    monkeypatch.setattr(writer, "_names", Names(store, most_sources=3))
    make_log(store)
    texts = [document(0, 0, "one"), document(0, 1, "two")]
    texts[0].source, texts[1].source = "a", "made up"
    texts[0].extra = None
    texts[1].extra = {"seen": 3}
    writer.commit(batch([Move(0, None, 2, 2)], texts))
    with store.read() as c:
        rows = c.execute(
            select(t.Document.text, t.Source.name, t.Document.extra)
            .join(t.Source, t.Source.id == t.Document.source_id)
            .order_by(t.Document.row_id)
        ).all()
        assert c.execute(select(func.count()).select_from(t.Source)).scalar() == 4
    assert [tuple(r) for r in rows] == [("one", "a", None), ("two", OTHERS, {"seen": 3, "source": "made up"})]


class TestSilentTogether:
    def ready(self, store: Store, settings: Settings) -> int:
        log = Log(store, settings)
        with store.write() as c:
            now = store.now_ms(c)
            c.execute(
                insert(t.Process).values(
                    id="w", role="worker", host="h", pid=1, started_at=now, seen_at=now, state="running", info={}
                )
            )
        for p in range(2):
            log.add(p, [], now)
        return now

    def look(self, store: Store, settings: Settings) -> dict[str, str]:
        Alarms(store, settings, hold_seconds=0, patience_seconds=0).check(lead(store))
        with store.read() as c:
            rows = c.execute(select(t.Alert.fingerprint, t.Alert.state).order_by(t.Alert.id))
            return {r.fingerprint.removeprefix("system:"): r.state for r in rows}

    def listed(self, store: Store, name: str = "system:silent_sources") -> list[str]:
        with store.read() as c:
            found = c.execute(select(t.Alert.explanation).where(t.Alert.fingerprint == name)).scalar_one()
        return list(found["names"])

    def back(self, store: Store, names: list[str]) -> None:
        with store.write() as c:
            c.execute(update(t.Source).where(t.Source.name.in_(names)).values(muted=True))

    def test_a_few_are_an_alarm_each_and_many_are_one(self, store: Store, settings_for: MakeSettings) -> None:
        settings = settings_for()
        now = self.ready(store, settings)
        few, many = [f"few {i}" for i in range(FEW)], [f"many {i}" for i in range(200)]
        with store.write() as c:
            send(c, now, few)
            send(c, now, [f"well {i}" for i in range(300)], until=0)
        assert self.look(store, settings) == {f"silent:{n}": "firing" for n in few}
        with store.write() as c:
            send(c, now, many)
        alarms = self.look(store, settings)
        assert alarms == {**{f"silent:{n}": "firing" for n in few}, "silent_sources": "firing"}
        assert self.listed(store) == sorted(many)
        with store.write() as c:
            send(c, now, ["one more"])
        assert self.look(store, settings) == alarms  # it joins the list
        assert "one more" in self.listed(store)
        self.back(store, many[:150])
        assert self.look(store, settings) == alarms
        assert len(self.listed(store)) == 51
        self.back(store, [*many, *few, "one more"])
        assert set(self.look(store, settings).values()) == {"resolved"}

    def test_who_resolves_a_list_knows_its_sources_and_no_others(
        self, store: Store, settings_for: MakeSettings
    ) -> None:
        settings = settings_for()
        now = self.ready(store, settings)
        with store.write() as c:
            send(c, now, [f"a{i}" for i in range(20)])
        assert self.look(store, settings) == {"silent_sources": "firing"}
        with store.write() as c:
            alert = c.execute(select(t.Alert.id)).scalar_one()
            resolve(c, alert, "li", "known", None, now)
        assert self.look(store, settings) == {"silent_sources": "resolved"}
        with store.write() as c:
            send(c, now, ["b"])
        assert self.look(store, settings) == {"silent_sources": "resolved", "silent:b": "firing"}
        with store.write() as c:
            send(c, now, [f"c{i}" for i in range(10)])
        assert self.look(store, settings)["silent_sources:2"] == "firing"
        assert self.listed(store, "system:silent_sources:2") == sorted(f"c{i}" for i in range(10))

    def test_half_of_all_is_critical_and_a_silence_by_source_covers_a_list(
        self, store: Store, settings_for: MakeSettings
    ) -> None:
        settings = settings_for()
        now = self.ready(store, settings)
        with store.write() as c:
            send(c, now, [f"bj-{i}" for i in range(8)])
            send(c, now, [f"well {i}" for i in range(20)], until=0)
        self.look(store, settings)
        with store.write() as c:
            assert c.execute(select(t.Alert.severity)).scalar() == "warning"
            send(c, now, [f"bj-{i}" for i in range(8, 40)])
        self.look(store, settings)
        with store.write() as c:
            alert = c.execute(select(t.Alert.__table__)).one()
            assert alert.severity == "critical"
            for source in ("sh-*", "bj-*"):
                add_silence(c, "li", "works", now, starts_at=now - 1, ends_at=now + HOUR, source=source)
        with store.read() as c:
            found = Silencer(c, settings, now).of(dict(alert._mapping))
        assert found is not None and found.id == 2

    def test_too_many_names_are_an_alarm(
        self, store: Store, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = settings_for()
        now = self.ready(store, settings)
        with store.write() as c:
            send(c, now, ["a", "b"], until=0)
        assert self.look(store, settings) == {}
        monkeypatch.setattr("monitor.alarms.checks.MOST_SOURCES", 2)
        assert self.look(store, settings) == {"source_names": "firing"}
