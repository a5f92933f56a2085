"""What screens and status read, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
from sqlalchemy import delete, insert, update

from barometer.settings import Settings
from barometer.store.alerts.views import alert_page, alerts_between, open_alerts, past_alerts
from barometer.store.documents.listing import latest_of, latest_texts, texts_behind
from barometer.store.engine import Store
from barometer.store.health.status import status
from barometer.store.series.points import points
from barometer.store.series.totals import (
    find_series,
    list_series,
    sealed_totals,
    sealed_until,
    totals,
    with_open,
)
from barometer.store.tables import Log, Offset, Process, Rollup, SealedBucket, SealingState, Series
from tests.support.seed import DAY, seed

WIDTH = 600_000
BEGIN = 1_700_000_400_000  # a bucket's start


@pytest.fixture
def settings(settings_for: Callable[..., Settings], database_url: str) -> Settings:
    return settings_for(database_url=database_url)


def bucket(start: int, *, end: int | None = None, kind: int = 1, total: int = 0, negative: int = 0,
           expected: float | None = None, outage: bool = False) -> dict[str, object]:  # fmt: skip
    return {
        "series_id": 1, "kind": kind, "start": start, "end": end or start + WIDTH, "total": total,
        "negative": negative, "neutral": total - negative, "positive": 0, "unscored": 0, "independent": total,
        "independent_negative": negative, "model_id": None, "score": None, "alert": False, "outage": outage,
        "expected_total": None, "expected_negative": expected,
        "band_low": None if expected is None else expected - 1, "band_high": None if expected is None else expected + 3,
        "term": 1,
    }  # fmt: skip


@pytest.fixture
def small(store: Store) -> Store:
    """Four buckets: [5 texts] [two empty ones sealed as one row] [4 texts] and an open one."""
    with store.write() as c:
        c.execute(insert(Series).values(id=1, name="topic:x", judged=True, trial=False))
        c.execute(insert(Log).values(id=1, cluster_id="c", topic="t", partitions=1, current=True, created_at=0))
        c.execute(
            insert(SealedBucket),
            [
                bucket(BEGIN, total=5, negative=2, expected=1.5),
                bucket(BEGIN, kind=2, total=2, negative=2, expected=0.5),
                bucket(BEGIN + WIDTH, end=BEGIN + 3 * WIDTH),
                bucket(BEGIN + 3 * WIDTH, total=4, negative=1, expected=2.0),
            ],
        )
        c.execute(insert(SealingState).values(log_id=1, sealed_until=BEGIN + 4 * WIDTH, term=1, updated_at=0))
        row = {"series_id": 1, "log_id": 1, "model_id": 1, "neutral": 0, "positive": 0, "unscored": 0, "late": 0}
        c.execute(
            insert(Rollup),
            [
                # The first is sealed already and must not be counted again; partitions of the second are added up,
                # and what one of them takes back is taken back.
                {**row, "bucket": BEGIN, "kind": 1, "partition": 0, "total": 5, "negative": 2},
                {**row, "bucket": BEGIN + 4 * WIDTH, "kind": 1, "partition": 0, "total": 3, "negative": 3},
                {**row, "bucket": BEGIN + 4 * WIDTH, "kind": 1, "partition": 1, "total": -1, "negative": -1},
            ],
        )
    return store


def test_points_are_sealed_then_zeros_then_open(small: Store) -> None:
    with small.read() as c:
        assert sealed_until(c) == BEGIN + 4 * WIDTH
        found, width = points(c, 1, BEGIN, BEGIN + 5 * WIDTH, (0, 1, 2), WIDTH)
    assert width == WIDTH
    assert [(p.start - BEGIN) // WIDTH for p in found] == [0, 1, 2, 3, 4]
    assert [(p.total, p.negative, p.sealed) for p in found] == [
        (7, 4, True), (0, 0, True), (0, 0, True), (4, 1, True), (2, 2, False),
    ]  # fmt: skip
    first = found[0]
    assert first.expected_negative == pytest.approx(2.0)
    assert first.band_low == pytest.approx(2 - 2**0.5)
    assert first.band_high == pytest.approx(2 + 18**0.5)
    assert found[4].expected_negative is None
    assert found[4].share == 1.0
    assert found[1].share is None


def test_kinds_can_be_had_apart(small: Store) -> None:
    with small.read() as c:
        comments, _ = points(c, 1, BEGIN, BEGIN + 5 * WIDTH, (2,), WIDTH)
    assert [(p.start, p.total) for p in comments] == [(BEGIN, 2)]


def test_a_stretch_that_begins_before_the_period_reaches_into_it(small: Store) -> None:
    with small.read() as c:
        found, _ = points(c, 1, BEGIN + 2 * WIDTH, BEGIN + 4 * WIDTH, (1,), WIDTH)
    assert [(p.start, p.total) for p in found] == [(BEGIN + 2 * WIDTH, 0), (BEGIN + 3 * WIDTH, 4)]


def test_points_are_grouped_where_there_are_too_many(small: Store) -> None:
    with small.read() as c:
        found, width = points(c, 1, BEGIN, BEGIN + 5 * WIDTH, (1,), WIDTH, max_points=3)
    assert width == 2 * WIDTH
    assert [(p.total, p.negative) for p in found] == [(5, 2), (4, 1), (2, 2)]


def test_totals_count_sealed_and_open_once(small: Store) -> None:
    with small.read() as c:
        found = totals(c, BEGIN, BEGIN + 5 * WIDTH, 5, (0, 1, 2))[1]
    assert (found.total, found.negative) == (13, 7)
    assert found.judged_negative == 5
    assert found.expected_negative == pytest.approx(4.0)
    assert found.share == pytest.approx(7 / 13)
    assert {k: x[0] for k, x in found.points.items()} == {0: 4, 1: 0, 3: 1, 4: 2}


def test_what_is_sealed_is_added_up_once_and_what_is_open_every_time(small: Store) -> None:
    asked = (BEGIN, BEGIN + 5 * WIDTH, 5, (0, 1, 2))
    with small.read() as c:
        sealed = sealed_totals(c, *asked)
        before = deepcopy(sealed)
        first, second = with_open(c, sealed, *asked), with_open(c, sealed, *asked)
        whole = totals(c, *asked)
    assert first == second == whole
    assert sealed == before, "what is kept is nobody's to change"
    assert sealed[1].total == whole[1].total - 2
    with small.write() as c:
        c.execute(update(Rollup).where(Rollup.partition == 0, Rollup.bucket > BEGIN).values(total=10))
    with small.read() as c:
        assert with_open(c, sealed, *asked) == totals(c, *asked)
        assert totals(c, *asked)[1].total == whole[1].total + 7


def test_the_screens_queries_on_a_full_store(store: Store, settings: Settings) -> None:
    firing = seed(store, settings, days=1.5, users=False)
    with store.read() as c:
        now = store.now_ms(c)
        assert len(list_series(c)) == 17
        row = find_series(c, "topic:real_estate")
        assert row is not None
        assert find_series(c, "topic:nothing") is None
        every = totals(c, now - DAY, now, 48, (0, 1, 2))
        assert every[1].total >= every[row.id].total > 0
        behind = texts_behind(c, row.id, now - DAY, now + 1, (0, 1, 2), limit=10)
        assert [t.p_negative for t in behind] == sorted((t.p_negative for t in behind), reverse=True)
        folded = next(t for t in behind if t.copies > 1)
        assert folded.copies == 10
        assert int(folded.key) == folded.row_id > 2**52
        since = latest_of(c, row.id, now - DAY, now + 1, (0, 1, 2), 5)
        few = texts_behind(c, row.id, since, now + 1, (0, 1, 2))
        assert sum(t.copies for t in few) <= 5
        assert latest_of(c, row.id, since, now + 1, (0, 1, 2), 5) == since
        assert latest_of(c, row.id, now - DAY, now + 1, (0, 1, 2), 10_000) == now - DAY
        page = latest_texts(c, limit=20)
        after = latest_texts(c, limit=20, before=(page[-1].observed_at, page[-1].row_id))
        assert len({t.row_id for t in page + after}) == 40
        assert all(t.sentiment is None for t in latest_texts(c, unscored=True))
        assert {t.kind for t in latest_texts(c, series_id=row.id, kind=2, sentiment=0)} == {2}
        assert [a.state for a in open_alerts(c)] == ["firing", "acknowledged"]
        assert [a.state for a in past_alerts(c)] == ["resolved"]
        assert [a.id for a in alerts_between(c, row.id, now - DAY, now)] == [firing]
        full = alert_page(c, firing)
        assert full is not None
        assert full.series == "topic:real_estate"
        assert [e.action for e in full.events] == ["opened", "worse"]
        assert len(full.notifications) == 2
        assert alert_page(c, 999) is None


def test_the_status_of_an_empty_store_is_not_calm(store: Store, settings: Settings) -> None:
    report = status(store, settings)
    assert {p["code"] for p in report["problems"]} == {"empty", "no_worker", "no_monitor"}
    assert report["watermark"] is None
    assert report["lag"]["seconds"] is None


def test_the_status_names_what_is_wrong(store: Store, settings: Settings) -> None:
    seed(store, settings, days=1, users=False)
    report = status(store, settings)
    assert {p["code"] for p in report["problems"]} == {"job", "notifications", "silent"}
    assert report["counts"]["difference"] == 0
    assert report["lag"]["records"] == 12
    assert report["leader"] == "monitor-2"
    assert report["throughput"] == pytest.approx(83.0)
    with store.write() as c:
        c.execute(update(Offset).values(progress_t=1_000, high_water=10**6, tombstones=99))
        c.execute(update(Log).values(replaced_reason="another cluster"))
        c.execute(delete(Process))
    report = status(store, settings)
    assert [p["code"] for p in report["problems"]][:5] == ["replaced", "unbalanced", "no_worker", "no_monitor", "stale"]
    assert "lag" in {p["code"] for p in report["problems"]}
    with store.write() as c:
        c.execute(delete(Offset).where(Offset.partition == 2))
    assert "no_progress" in {p["code"] for p in status(store, settings)["problems"]}
