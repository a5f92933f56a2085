"""The same log gives the same sealed buckets and alerts, however it was read and in whatever steps it was sealed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from sqlalchemy import insert, select

from barometer.buckets import Buckets
from barometer.records import Document, Prediction, Progress, fingerprint, hash64, pack_row
from barometer.settings import Settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.vocabulary import Kind, Sentiment
from ingest.worker.lateness import Lateness
from monitor.detection import voices
from monitor.sealing import seal
from monitor.sealing.seal import Sealer

DAY = 86_400_000
T0 = 1_699_977_600_000  # midnight in Shanghai
PARTITIONS = 2
TOPICS = ("real_estate", "market")


class Said(NamedTuple):
    """One text of a day: how late it comes, and what it is."""

    partition: int
    lag_days: int
    minute: int
    kind: Kind
    negative: bool
    topic: int
    words: int


class Day(NamedTuple):
    gap: int
    """Days without anything before it."""
    texts: list[Said]
    storm: bool


texts = st.builds(
    Said,
    st.integers(0, PARTITIONS - 1),
    st.sampled_from([0, 0, 0, 0, 1, 3]),
    st.integers(0, 1439),
    st.sampled_from([Kind.NEWS, Kind.COMMENT]),
    st.booleans(),
    st.integers(0, 1),
    st.integers(0, 12),
)
days = st.lists(
    st.builds(Day, st.sampled_from([0, 0, 0, 0, 0, 2, 9, 400]), st.lists(texts, max_size=5), st.booleans()),
    min_size=4,
    max_size=16,
)

Entry = Document | Progress


def make_log(life: list[Day], settings: Settings) -> list[list[Entry]]:
    """The entries of each partition in the order of their offsets; lateness by the product's own rule."""
    log: list[list[Entry]] = [[] for _ in range(PARTITIONS)]
    walks = [Lateness(Buckets(86_400, settings.zone), settings.lateness_ms) for _ in range(PARTITIONS)]
    says: dict[int, tuple[Sentiment, str]] = {}

    def put(p: int, entry: Entry) -> None:
        walks[p].see(entry)
        log[p].append(entry)

    at = T0
    for n, day in enumerate(life):
        at += day.gap * DAY
        said = list(day.texts)
        if day.storm and n > 8:
            said += [Said(i % PARTITIONS, 0, i, Kind.NEWS, True, 0, 100 + i) for i in range(30)]
        for x in said:
            p = x.partition
            words = f"楼市 {x.words}" if x.words < 6 else f"楼市 {n} {x.words}"
            row = pack_row(1, p, len(log[p]))
            document = Document(
                row, at + x.minute * 60_000 - x.lag_days * DAY, x.kind, words, hash64("row", str(row)),
                hash64(words), fingerprint(words), False, source="晨报",
            )  # fmt: skip
            put(p, document)
            says[row] = (Sentiment.NEGATIVE if x.negative else Sentiment.NEUTRAL, TOPICS[x.topic])
        at += DAY
        for p in range(PARTITIONS):
            put(p, Progress(pack_row(1, p, len(log[p])), at + settings.lateness_ms, "w", 1))
    make_log.says = says  # type: ignore[attr-defined]
    return log


class Reader:
    """Commits stretches of the partitions, as workers do."""

    def __init__(self, store: Store, settings: Settings, log: list[list[Entry]]) -> None:
        with store.write() as c:
            c.execute(
                insert(t.Log).values(
                    id=1, cluster_id="c", topic=settings.topic_documents, partitions=PARTITIONS, current=True,
                    created_at=0,
                )
            )  # fmt: skip
        self.log, self.next = log, [0] * PARTITIONS
        self.says: dict[int, tuple[Sentiment, str]] = make_log.says  # type: ignore[attr-defined]
        self.writer = Writer(store, Buckets(86_400, settings.zone))

    def left(self) -> list[int]:
        return [p for p in range(PARTITIONS) if self.next[p] < len(self.log[p])]

    def read(self, p: int, n: int) -> None:
        first = self.next[p]
        entries = self.log[p][first : first + n]
        documents = [e for e in entries if isinstance(e, Document)]
        ticks = [e for e in entries if isinstance(e, Progress)]
        last = max(ticks, key=lambda e: e.t, default=None)
        predictions: list[Prediction | None] = []
        for d in documents:
            sentiment, topic = self.says[d.row_id]
            sure = 0.5 + (d.text_hash % 50) / 100
            predictions.append(Prediction(sentiment, sure, (1 - sure) / 2, (1 - sure) / 2, {topic: 0.9}))
        move = Move(p, first or None, first + len(entries), len(entries), 0, len(ticks), last)
        self.writer.commit(Batch(1, 1, [move], documents, predictions, ["zh"] * len(documents),
                                 [None] * len(documents), []))  # fmt: skip
        self.next[p] = first + len(entries)


def outcome(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All that sealing leaves behind, without terms, row numbers and the time of day."""
    out: dict[str, list[tuple[Any, ...]]] = {}
    with store.read() as c:
        names = {r.id: r.name for r in c.execute(select(t.Series.id, t.Series.name))}
        s, f, x, a, e = t.SealedBucket, t.Fingerprint, t.SeriesState, t.Alert, t.AlertEvent
        columns = [k for k in s.__table__.columns if k.name not in ("series_id", "term")]
        out["sealed"] = sorted((names[r[0]], *r[1:]) for r in c.execute(select(s.series_id, *columns)))
        out["copies"] = sorted(
            (names[r[0]], *r[1:]) for r in c.execute(select(f.series_id, f.fingerprint, f.last_observed_at, f.copies))
        )
        out["states"] = sorted(
            (names[r[0]], *r[1:3], repr(r[3]))
            for r in c.execute(select(x.series_id, x.kind, x.last_bucket_end, x.state))
        )
        shown = [k for k in a.__table__.columns if k.name not in ("id", "series_id", "updated_at", "resolved_at")]
        out["alerts"] = [tuple(map(repr, r)) for r in c.execute(select(*shown).order_by(a.fingerprint, a.started_at))]
        out["events"] = sorted(
            (r[0], r[1], repr(r[2]))
            for r in c.execute(select(a.fingerprint, e.action, e.data).join(a, a.id == e.alert_id))
        )
        out["until"] = [tuple(r) for r in c.execute(select(t.SealingState.sealed_until))]
    return out


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store's file, to be copied for each example."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    open_store(Settings(database_url=f"sqlite:///{path}", bucket_seconds=86_400), migrate=True).close()
    return path


@pytest.mark.timeout(300)
@rules(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(life=days, choose=st.randoms(use_true_random=False))
def test_the_same_log_gives_the_same_buckets_and_alerts(
    template: Path, tmp_path: Path, settings_for: Callable[..., Settings], life: list[Day], choose: random.Random
) -> None:
    seen = []
    for way in ("at once", "piecemeal"):
        path = tmp_path / f"{way}.db"
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copy(template, path)
        settings = settings_for(database_url=f"sqlite:///{path}", bucket_seconds=86_400)
        assert settings.zone == ZoneInfo("Asia/Shanghai")
        store = Store(settings.database_url)
        reader = Reader(store, settings, make_log(life, settings))
        if way == "at once":
            for p in range(PARTITIONS):
                reader.read(p, len(reader.log[p]))
            Sealer(store, settings).seal_ready(lead(store))
        else:
            piecemeal(store, settings, reader, choose)
        seen.append(outcome(store))
        store.close()
    for part in seen[0]:
        assert seen[1][part] == seen[0][part], part


def piecemeal(store: Store, settings: Settings, reader: Reader, choose: random.Random) -> None:
    """Partitions read in any order and stretch, sealing now and then, in steps of any size, by ever new leaders."""
    sealer = Sealer(store, settings)
    while left := reader.left():
        reader.read(choose.choice(left), choose.randint(1, 12))
        if choose.random() < 0.4:
            if choose.random() < 0.4:
                sealer = Sealer(store, settings)
            pages = {"everything": False, "page": choose.choice([1, 9])}
            with (
                patch.object(seal, "STEP", choose.choice([1, 2, 100])),
                patch.object(seal, "JUDGEMENTS", choose.choice([1, 7, 10_000])),
                patch.object(seal, "DOCUMENTS", choose.choice([1, 10_000])),
                patch.object(seal.sql.voices, "__kwdefaults__", pages),
                patch.object(voices, "TOGETHER", choose.choice([0, 3, 20_000])),
            ):
                sealer.seal_ready(lead(store))
    sealer.seal_ready(lead(store))


def lead(store: Store) -> leases.Lease:
    lease = leases.acquire(store, leases.LEADER, "a", 60)
    assert lease is not None
    return lease
