"""What was expected of a period is the sum of what was expected of its buckets, empty ones included; over a calm past
it agrees with what came."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from sqlalchemy import insert, select

from app.demo.scenario import PAST_MS, load_texts, past
from barometer.buckets import Buckets
from barometer.records import Document, Progress, fingerprint, hash64, pack_row
from barometer.settings import Settings, load_settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.series.downsampling import align, fold
from barometer.store.series.points import points
from barometer.store.series.sealing import Counts, write_sealed
from barometer.store.series.totals import Totals, list_series, totals
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.vocabulary import Kind
from dashboard.services.measure import standing
from ingest.worker.scoring import score_documents
from models.scoring.scorer import load_scorer
from monitor.detection.detector import Detector
from monitor.detection.judge import Judge
from monitor.sealing.seal import Sealer

ALL = (0, 1, 2)
BUCKET = 600_000
T0 = 1_699_977_600_000  # a Tuesday of 2023, midnight in Shanghai
DAY = 86_400_000


class Told:
    """The demo's calm past as the worker would store it: scored by the model that ships, in one partition."""

    def __init__(self, store: Store, settings: Settings) -> None:
        stream = list(past(load_texts("calm"), T0, T0 + PAST_MS, 20))
        kinds = {k.name.lower(): k for k in (Kind.NEWS, Kind.COMMENT)}
        documents = [
            Document(pack_row(1, 0, i), at, kinds[m["kind"]], m["text"], i + 1, hash64(m["text"]),
                     fingerprint(m["text"]), False, title=m.get("title"), source=m["source"], lang=m["lang"])
            for i, (at, m) in enumerate(stream)
        ]  # fmt: skip
        different = {(d.text, d.kind): d for d in documents}
        scores = score_documents(load_scorer(threads=1), list(different.values()))
        said = dict(zip(different, scores.predictions, strict=True))
        predictions = [said[d.text, d.kind] for d in documents]
        with store.write() as c:
            c.execute(
                insert(t.Log).values(
                    id=1, cluster_id="c", topic=settings.topic_documents, partitions=1, current=True, created_at=0
                )
            )
        writer, at = Writer(store, Buckets(settings.bucket_seconds, settings.zone)), 0
        for i in range(0, len(documents), 500):
            part = documents[i : i + 500]
            last = i + 500 >= len(documents)
            tick = Progress(0, T0 + PAST_MS + settings.lateness_ms, "w", 1) if last else None
            end = at + len(part) + last
            move = Move(0, at or None, end, end - at, 0, int(last), tick)
            n = len(part)
            writer.commit(Batch(1, 1, [move], part, predictions[i : i + n], ["zh"] * n, [None] * n, []))
            at = end


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Settings]:
    folder: Path = tmp_path_factory.mktemp("calm")
    settings = load_settings(database_url=f"sqlite:///{folder / 'calm.db'}")
    store = open_store(settings, migrate=True)
    Told(store, settings)
    lease = leases.acquire(store, leases.LEADER, "tests", 600)
    assert lease is not None
    Sealer(store, settings).seal_ready(lease)
    fold(store, settings, lease)
    return store, settings


@pytest.mark.timeout(120)
def test_over_the_demos_calm_past_what_came_is_what_was_expected(calm: tuple[Store, Settings]) -> None:
    store, _ = calm
    with store.read() as c:
        topics = [s for s in list_series(c) if s.name.startswith("topic:")]
        whole = totals(c, T0, T0 + PAST_MS, 1, ALL)
    assert len(topics) == 20
    seen = sum(whole[s.id].judged_negative for s in topics)
    expected = sum(whole[s.id].expected_negative or 0.0 for s in topics)
    assert seen > 500
    assert expected == pytest.approx(seen, rel=0.25)
    for s in topics:
        item = whole[s.id]
        assert item.judged_negative == item.negative, "all that was sealed was judged"
        assert item.expected_negative is not None
        chance = 2 * sqrt(item.expected_negative + 1)  # a topic with a dozen negatives in ten days scatters more
        assert item.expected_negative == pytest.approx(item.judged_negative, rel=0.25, abs=chance), s.name
        assert standing(item).way == "usual", (s.name, item.judged_negative, item.expected_negative)


def test_on_no_calm_day_is_a_topic_called_above(calm: tuple[Store, Settings]) -> None:
    store, _ = calm
    with store.read() as c:
        names = {s.id: s.name for s in list_series(c)}
        for day in range(1, 10):
            for series, item in totals(c, T0 + day * DAY, T0 + (day + 1) * DAY, 1, ALL).items():
                found = standing(item)
                assert found.way != "above", (day, names[series], item.judged_negative, item.expected_negative)


def test_all_ways_of_reading_a_period_say_the_same(calm: tuple[Store, Settings]) -> None:
    """Buckets, points of any width, folded cells, sums by step."""
    store, settings = calm
    begin, end = align(T0 + 2 * DAY, 6 * 3_600_000, settings), T0 + 8 * DAY
    with store.read() as c:
        for s in list_series(c):
            if not s.judged:
                continue
            whole = totals(c, begin, end, 1, ALL)[s.id]
            steps = totals(c, begin, end, 24, ALL)[s.id]
            assert sum(p[2] for p in steps.points.values()) == pytest.approx(whole.expected_negative)
            for most in (1000, 400, 48):
                found, _ = points(c, s.id, begin, end, ALL, BUCKET, most)
                assert sum(p.expected_negative or 0 for p in found) == pytest.approx(whole.expected_negative)
                assert sum(p.judged_negative for p in found) == whole.judged_negative
                assert all(p.expected_negative is not None for p in found), "the line of expectation has no holes"


@rules(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    life=st.lists(st.just(0) | st.integers(1, 6), min_size=30, max_size=90),
    cut=st.tuples(st.integers(0, 90), st.integers(1, 90)),
    folded=st.booleans(),
)
def test_any_range_sums_the_detectors_expectation_of_each_bucket(
    empty_store_of: Callable[[], Store], life: list[int], cut: tuple[int, int], folded: bool
) -> None:
    store, settings = empty_store_of(), load_settings()
    judge = Judge(600, ZoneInfo("Asia/Shanghai"), 3.6, lambda _s: True, lambda *_: 50)
    alone, expected, rows = Detector(600), [], []
    life = [1, *life]  # a series is known from its first text on
    for i, n in enumerate(life):
        start = T0 + i * BUCKET
        counts = {(1, 1): Counts(total=n, negative=n // 2, neutral=n - n // 2)} if n else {}
        rows += judge.bucket(start, start + BUCKET, counts).rows
        said = alone.update((start + BUCKET) / 1000, n, n // 2)
        expected.append(0.0 if said.outage else said.expected_negative)
    with store.write() as c:
        write_sealed(c, store, [{**r, "term": 1} for r in rows])
        c.execute(insert(t.SealingState).values(
            log_id=1, sealed_until=T0 + len(life) * BUCKET, empty_since=None, term=1, updated_at=0))  # fmt: skip
    if folded:
        lease = leases.acquire(store, leases.LEADER, "tests", 600)
        assert lease is not None
        fold(store, settings, lease)
    first = min(cut[0], len(life) - 1)
    last = min(first + cut[1], len(life))
    begin, end = T0 + first * BUCKET, T0 + last * BUCKET
    with store.read() as c:
        item = totals(c, begin, end, 1, ALL)[1]
        drawn, _ = points(c, 1, begin, end, ALL, BUCKET)
    assert (item.expected_negative or 0.0) == pytest.approx(sum(expected[first:last]))
    assert sum(p.expected_negative or 0.0 for p in drawn) == pytest.approx(sum(expected[first:last]))
    assert item.judged_negative == sum(n // 2 for n in life[first:last])


@pytest.fixture
def empty_store_of(sqlite_template: Path, tmp_path: Path) -> Callable[[], Store]:
    """A new store with one log and one series each time it is called."""
    made: list[Any] = []

    def make() -> Store:
        path = tmp_path / f"{len(made)}.db"
        path.write_bytes(sqlite_template.read_bytes())
        store = Store(f"sqlite:///{path}")
        made.append(store)
        with store.write() as c:
            known = c.execute(select(t.Series.id).where(t.Series.id == 1)).scalar()
            if known is None:
                c.execute(insert(t.Series).values(id=1, name="topic:real_estate", judged=True, trial=False))
            c.execute(insert(t.Log).values(id=1, cluster_id="c", topic="x", partitions=1, current=True, created_at=0))
        return store

    return make


def test_a_share_of_an_expectation_is_never_made_of_missing_texts(calm: tuple[Store, Settings]) -> None:
    """Before anything was sealed there is nothing to compare."""
    assert standing(Totals()).way == "unknown"
