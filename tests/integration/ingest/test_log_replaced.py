"""The log under the store is replaced, trimmed or cut: reading stops, says why, and goes on when somebody accepts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from inspect import getmodule

import pytest
from kafka import KafkaAdminClient
from sqlalchemy import delete, select
from typer.testing import CliRunner

from app.commands import operate
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.migrate import open_store
from barometer.store.stream import log_epochs
from barometer.store.tables import AuditEntry, DeadLetter, Document, Meta, Offset
from ingest.topic.topics import ensure_topics, identity
from ingest.worker.log_guard import LogGuard
from monitor.alarms.checks import Alarms
from monitor.sealing.seal import Sealer
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker, MakeBroker
from tests.integration.monitor.test_sealing import lead
from tests.support.kafka_relay import KafkaRelay
from tests.support.stream import T0, Running, Topic, rows, topic_of, totals, wait_for, worker

pytestmark = pytest.mark.both_brokers

MakeSettings = Callable[..., Settings]


def url_of(store: Store) -> str:
    return store.url.render_as_string(hide_password=False)


def replaced(running: Running) -> str:
    wait_for(lambda: running.state == "log replaced")
    return str(next(d["reason"] for n, d in reversed(running.events) if n == "state" and "reason" in d))


def accept(store: Store, settings: Settings, **how: object) -> int:
    cluster, topic_id = identity(settings, settings.topic_documents)
    return log_epochs.accept_replacement(store, settings, "operator", cluster, topic_id, **how)  # type: ignore[arg-type]


def make_anew(settings: Settings) -> None:
    """Delete the topic and make it again."""
    admin = KafkaAdminClient(**settings.kafka())
    admin.delete_topics([settings.topic_documents])
    admin.close()
    ensure_topics(settings)


def fill(topic: Topic, n: int, word: str = "text", at: int = T0) -> None:
    topic.documents(n, word=word, at=at)
    topic.flush()


@pytest.fixture(autouse=True)
def _short_elections(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no election explains any more is waited for a tenth as long."""
    monkeypatch.setattr(getmodule(LogGuard), "ELECTION_SECONDS", 3.0)


@pytest.fixture
def relay(settings_for: MakeSettings, own_broker: MakeBroker) -> Iterator[tuple[KafkaRelay, Broker]]:
    """A broker behind a relay."""
    made = KafkaRelay()
    with own_broker(advertised_port=made.port) as broker:
        made.target = broker.port
        made.start()
        yield made, broker


@pytest.fixture
def kept(settings_for: MakeSettings) -> Iterator[Store]:
    """Where the test is about the broker, one database will do."""
    opened = open_store(settings_for(), migrate=True)
    yield opened
    opened.close()


Relayed = tuple[KafkaRelay, Broker]


# --- the topic was deleted and made anew -----------------------------------------------------------------------------


def test_a_topic_made_anew_and_grown_past_us_is_noticed(
    store: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    settings = settings_for(broker, url_of(store))
    with topic_of(settings) as topic:
        fill(topic, 12)
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == 12)
        before = rows(store)
    make_anew(settings)
    with topic_of(settings) as topic:
        fill(topic, 60, "new")
        with worker(settings, store, KeywordScorer()) as running:
            assert log_epochs.MADE_ANEW in replaced(running)
            time.sleep(1.5)
            assert rows(store) == before, "nothing is read until somebody decides"
            new = accept(store, settings, why="the topic was made with too few partitions")
            wait_for(lambda: totals(store)["records"] == 60)
    assert len(rows(store)) == 72
    with store.read() as c:
        assert [(r.id, r.current) for r in log_epochs.list_logs(c)] == [(new - 1, False), (new, True)]
        act = c.execute(select(AuditEntry.__table__)).one()
    assert (act.actor, act.action, act.data["why"]) == (
        "operator", "log.accept", "the topic was made with too few partitions"
    )  # fmt: skip
    assert log_epochs.MADE_ANEW in act.data["reason"]


def test_a_topic_made_anew_under_a_worker_is_noticed(kept: Store, broker: Broker, settings_for: MakeSettings) -> None:
    store = kept
    settings = settings_for(broker, url_of(store))
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
        fill(topic, 12)
        wait_for(lambda: totals(store)["records"] == 12)
        make_anew(settings)
        assert log_epochs.MADE_ANEW in replaced(running)
        assert totals(store)["records"] == 12


def test_without_ids_of_topics_what_is_stored_must_be_there(
    kept: Store, settings_for: MakeSettings, own_broker: MakeBroker
) -> None:
    """As with a Kafka before 2.8."""
    store = kept
    relay = KafkaRelay()
    relay.topic_ids = False
    with own_broker(advertised_port=relay.port) as broker:
        relay.target = broker.port
        relay.start()
        settings = settings_for(broker, url_of(store), kafka_bootstrap=f"127.0.0.1:{relay.port}")
        assert identity(settings, settings.topic_documents)[1] is None
        with topic_of(settings) as topic:
            fill(topic, 12, at=T0 + 1)
            with worker(settings, store, KeywordScorer()):
                wait_for(lambda: totals(store)["records"] == 12)
            with worker(settings, store, KeywordScorer()):
                fill(topic, 3, at=T0)
                wait_for(lambda: totals(store)["records"] == 15)
        make_anew(settings)
        with topic_of(settings) as topic:
            fill(topic, 60, "new", at=T0 + 2)
        with worker(settings, store, KeywordScorer()) as running:
            assert "the topic is another" in replaced(running)
            assert totals(store)["records"] == 15
            accept(store, settings)
            wait_for(lambda: totals(store)["records"] == 60)


def test_a_store_that_knows_no_id_yet_looks_before_it_trusts(
    kept: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    """A store that was filled by a version which did not ask for ids."""
    store = kept
    settings = settings_for(broker, url_of(store))

    def forget() -> None:
        with store.write() as c:
            c.execute(delete(Meta).where(Meta.key.startswith("topic_id:")))

    def known() -> str | None:
        with store.read() as c:
            return log_epochs.known_topic_id(c, 1)

    with topic_of(settings) as topic:
        fill(topic, 12)
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == 12)
        forget()
        with worker(settings, store, KeywordScorer()):
            assert wait_for(known) == identity(settings, settings.topic_documents)[1]
    forget()
    make_anew(settings)
    with topic_of(settings) as topic:
        fill(topic, 60, "new", at=T0 + 1)
    with worker(settings, store, KeywordScorer()) as running:
        assert "the topic is another" in replaced(running)
        assert known() is None


# --- the log lost records --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_work", [True, False])
def test_records_deleted_before_they_were_read(
    kept: Store, relay: Relayed, settings_for: MakeSettings, at_work: bool
) -> None:
    store = kept
    kafka, broker = relay
    settings = settings_for(broker, url_of(store), kafka_bootstrap=f"127.0.0.1:{kafka.port}", topic_partitions=2)
    with topic_of(settings) as topic:
        fill(topic, 20)
        with worker(settings, store, KeywordScorer()) as running:
            wait_for(lambda: totals(store)["records"] == 20)
            if not at_work:
                running.end()
            kafka.starts[1] = 15
            fill(topic, 20)
            if at_work:
                assert f"{log_epochs.TRIMMED}: partition 1: 10 -> 15" in replaced(running)
        with worker(settings, store, KeywordScorer()) as running:
            assert f"{log_epochs.TRIMMED}: partition 1: 10 -> 15" in replaced(running)
            n = totals(store)["records"]
            time.sleep(0.5)
            assert totals(store)["records"] == n <= 30
            accept(store, settings)
            wait_for(lambda: totals(store)["records"] == 35, what="all but the five that are gone")
            fill(topic, 2)
            wait_for(lambda: totals(store)["records"] == 37)
        with store.read() as c:
            assert c.execute(select(AuditEntry.data)).scalar()["reason"].endswith("partition 1: 10 -> 15")  # type: ignore[index]


@pytest.mark.parametrize("said", ["out of range", "cut off by an election"])
def test_a_log_that_lost_its_newest_records(
    store: Store, relay: Relayed, settings_for: MakeSettings, said: str
) -> None:
    """The same topic, but shorter than what was read of it: an unclean election, a broker restored from a copy."""
    kafka, broker = relay
    settings = settings_for(broker, url_of(store), kafka_bootstrap=f"127.0.0.1:{kafka.port}", topic_partitions=2)
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
        fill(topic, 20)
        topic.progress(T0 + 60_000)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 22)
        kafka.ends[0] = 7
        if said != "out of range":
            kafka.epoch = 5
        assert f"{log_epochs.CUT}: partition 0: 11 -> 7" in replaced(running)
        before = rows(store)
        kafka.ends.clear()  # from here on others have the offsets 7 to 10
        new = accept(store, settings)
        wait_for(lambda: totals(store)["records"] == 4)
        fill(topic, 2)
        wait_for(lambda: totals(store)["records"] == 6)
        with store.read() as c:
            stands = c.execute(
                select(Offset.partition, Offset.next_offset, Offset.progress_t).where(Offset.log_id == new)
            )
            assert sorted(map(tuple, stands)) == [(0, 12, T0 + 60_000), (1, 12, T0 + 60_000)]
        after = rows(store)
        assert [r for r in after if r in before] == before, "what was read stays"
        assert len(after) == len(before) + 3 + 2  # the fourth is a progress record


def test_a_mark_below_what_was_read_is_no_cut(
    relay: Relayed, settings_for: MakeSettings, kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader dies soon after another replica came back: the new leader has all that was read, but its high-water mark
    lies below until enough replicas are in sync."""
    monkeypatch.setattr(getmodule(LogGuard), "MARK_SECONDS", 0.5)
    monkeypatch.setattr(getmodule(LogGuard), "ELECTION_SECONDS", 1.0)
    kafka, broker = relay
    settings = settings_for(broker, kafka_bootstrap=f"127.0.0.1:{kafka.port}", topic_partitions=1)
    with topic_of(settings) as topic, worker(settings, kept, KeywordScorer()) as running:
        fill(topic, 10)
        wait_for(lambda: totals(kept)["records"] == 10)
        kafka.marks[0] = 7
        kafka.epoch = 5
        time.sleep(4)
        assert running.state == "running"
        kafka.marks.clear()
        fill(topic, 2)
        wait_for(lambda: totals(kept)["records"] == 12)
    assert len({r[2] for r in rows(kept)}) == 12, "nothing twice"


# --- what people see and do ------------------------------------------------------------------------------------------


def test_status_says_what_to_do_and_the_act_is_kept(
    kept: Store, broker: Broker, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kept
    settings = settings_for(broker, url_of(store))
    monkeypatch.setattr(operate, "settings", lambda: settings)
    monkeypatch.setattr("getpass.getuser", lambda: "li.wei")
    with topic_of(settings) as topic:
        fill(topic, 6)
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == 6)
        make_anew(settings)
        with worker(settings, store, KeywordScorer()) as running:
            replaced(running)
            run = CliRunner()
            said = run.invoke(operate.app, ["status"])
            assert said.exit_code == 1
            assert "barometer log accept" in said.output
            assert "接受损失再继续" in said.output
            alarms = Alarms(store, settings, lambda *_: None)
            alarms.check(lead(store))
            assert status(store, settings)["alerts"].get("firing"), "an alarm of its own"

            done = run.invoke(operate.app, ["log", "accept"], input="y\n换了主题\n")
            assert done.exit_code == 0, done.output
            assert log_epochs.MADE_ANEW in done.output
            wait_for(lambda: running.state == "running")
            shown = run.invoke(operate.app, ["log", "show"]).output
            assert "by li.wei: 换了主题" in shown
            again = run.invoke(operate.app, ["log", "accept", "--yes"])
            assert "nothing to accept" in str(again.exception)


def test_after_an_accepted_loss_sealing_is_where_it_was(
    kept: Store, broker: Broker, settings_for: MakeSettings
) -> None:
    """Until the new log seals its first bucket, what the old one sealed is the truth."""
    store = kept
    settings = settings_for(broker, url_of(store))
    with topic_of(settings) as topic, worker(settings, store, KeywordScorer()) as running:
        fill(topic, 6)
        topic.progress(T0 + 3_600_000)
        topic.flush()
        wait_for(lambda: totals(store)["records"] == 9)
        Sealer(store, settings).seal_ready(lead(store))
        until = status(store, settings)["sealed_until"]
        assert until is not None
        make_anew(settings)
        replaced(running)
        accept(store, settings)
        assert status(store, settings)["sealed_until"] == until
        with topic_of(settings) as again:
            fill(again, 6, at=T0)
            wait_for(lambda: totals(store)["records"] == 6)
            again.progress(T0 + 7_200_000)
            again.flush()
            wait_for(lambda: totals(store)["records"] == 9)
        Sealer(store, settings).seal_ready(lead(store))
        assert status(store, settings)["sealed_until"] > until
        with store.read() as c:
            assert c.execute(select(Document.late)).scalars().all().count(True) == 0
            assert not c.execute(select(DeadLetter.row_id)).all()
