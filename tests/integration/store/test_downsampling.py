"""Folded cells say what the buckets below them say, whatever is folded already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from barometer.settings import Settings
from barometer.store import leases
from barometer.store.engine import Store
from barometer.store.leases import Lease
from barometer.store.series.downsampling import HOUR_MS, WIDTHS, align, fold, folded_until, grid_offset, pieces
from barometer.store.series.points import Point, points
from barometer.store.series.totals import totals
from barometer.store.tables import FoldedBucket, SealedBucket, SealingState
from barometer.store.tables import Lease as LeaseRow
from tests.support.seed import DAY, HOUR, seed

ALL = (0, 1, 2)


@pytest.fixture
def settings(settings_for: Callable[..., Settings], database_url: str) -> Settings:
    return settings_for(database_url=database_url)


@pytest.fixture
def lease(store: Store) -> Lease:
    found = leases.acquire(store, leases.LEADER, "tests", 600)
    assert found is not None
    return found


def seeded(store: Store, settings: Settings, days: float) -> None:
    seed(store, settings, days=days, users=False)
    with store.write() as c:  # the seed's own leader goes
        c.execute(update(LeaseRow).values(expires_at=0))


def shown(found: dict[int, Any]) -> dict[int, Any]:
    def rounded(x: float | None) -> float | None:
        return None if x is None else round(x, 6)

    return {
        i: (x.total, x.negative, x.unscored, x.judged_negative, x.judged_scored, rounded(x.expected_negative),
            rounded(x.expected_total), {k: [round(y, 6) for y in p] for k, p in sorted(x.points.items())})
        for i, x in found.items()
    }  # fmt: skip


def test_what_is_folded_gives_the_same_figures(store: Store, settings: Settings) -> None:
    seeded(store, settings, 2.2)
    lease = leases.acquire(store, leases.LEADER, "tests", 600)
    assert lease is not None
    with store.read() as c:
        now = store.now_ms(c)
        start = align(now - 2 * DAY, 6 * HOUR, settings)
        asked = [
            (start, start + 9 * 6 * HOUR, 9, ALL),
            (start, start + 54 * HOUR, 54, (1,)),
            (start + 1_234_567, start + 40 * HOUR, 1, ALL),
            (start - 30 * DAY, now, 1, (2,)),
        ]
        before = [shown(totals(c, *q)) for q in asked]
        assert [p.width for p in pieces(c, *asked[0][:2], 6 * HOUR)] == [None]
    assert fold(store, settings, lease) > 0
    assert fold(store, settings, lease) == 0, "nothing more until something is sealed"
    with store.read() as c:
        assert [shown(totals(c, *q)) for q in asked] == before
        widths = [p.width for p in pieces(c, *asked[0][:2], 6 * HOUR)]
        assert 6 * HOUR_MS in widths
        sealed = c.execute(select(func.max(SealingState.sealed_until))).scalar_one()
        assert [folded_until(c, w) for w in WIDTHS] == [align(sealed, w, settings) for w in WIDTHS]
        for width in WIDTHS:
            f, b = FoldedBucket, SealedBucket
            begin = align(now - DAY, width, settings)
            upper = folded_until(c, width)
            below = c.execute(
                select(func.sum(b.independent), func.sum(b.positive), func.sum(b.neutral), func.max(b.score))
                .where(b.start >= begin, b.start < upper)
            ).one()  # fmt: skip
            of_cells = c.execute(
                select(func.sum(f.independent), func.sum(f.positive), func.sum(f.neutral), func.max(f.score))
                .where(f.width == width, f.start >= begin)
            ).one()  # fmt: skip
            assert tuple(map(float, below)) == tuple(map(float, of_cells))
            assert c.execute(select(func.count()).where(f.width == width, f.alert)).scalar_one() > 0


def test_folding_goes_on_where_it_stopped(store: Store, settings: Settings) -> None:
    seeded(store, settings, 1.2)
    lease = leases.acquire(store, leases.LEADER, "tests", 600)
    assert lease is not None
    with store.write() as c:
        end = c.execute(select(SealingState.sealed_until)).scalar_one()
        c.execute(update(SealingState).values(sealed_until=end - 7 * HOUR))
    fold(store, settings, lease)
    with store.write() as c:
        first = folded_until(c, HOUR_MS)
        c.execute(update(SealingState).values(sealed_until=end))
    fold(store, settings, lease)
    with store.read() as c:
        assert folded_until(c, HOUR_MS) == align(end, HOUR_MS, settings)
        assert first is not None
        assert first < align(end, HOUR_MS, settings)
        whole = c.execute(
            select(func.sum(SealedBucket.total)).where(SealedBucket.start < align(end, HOUR_MS, settings))
        ).scalar()
        assert c.execute(select(func.sum(FoldedBucket.total)).where(FoldedBucket.width == HOUR_MS)).scalar() == whole


def test_wide_buckets_and_an_empty_store_have_nothing_to_fold(
    store: Store, settings_for: Callable[..., Settings], lease: Lease
) -> None:
    assert fold(store, settings_for(), lease) == 0
    seeded_settings = settings_for(bucket_seconds=86_400)
    assert fold(store, seeded_settings, lease) == 0
    with store.read() as c:
        assert [tuple(p) for p in pieces(c, 0, 10, 10)] == [(None, 0, 10)]


def test_points_of_folded_cells_are_those_of_their_buckets(store: Store, settings: Settings) -> None:
    seeded(store, settings, 2.2)
    lease = leases.acquire(store, leases.LEADER, "tests", 600)
    assert lease is not None
    grid = grid_offset(settings)

    def read(most: int, grid: int | None) -> list[Point]:
        with store.read() as c:
            now = store.now_ms(c)
            begin = align(now - 2 * DAY, DAY, settings)
            found, width = points(c, 12, begin, align(now, 600_000, settings), ALL, 600_000, most, grid)
            assert width == (6 * HOUR if most == 12 else HOUR)
            return found

    before = {most: read(most, grid) for most in (12, 72)}
    fold(store, settings, lease)
    for most, expected in before.items():
        found = read(most, grid)
        assert [p.start for p in found] == [p.start for p in expected]
        assert (found[0].start + grid) % HOUR == 0
        for p, q in zip(found, expected, strict=True):
            assert (p.total, p.negative, p.neutral, p.positive, p.independent_negative, p.alert, p.sealed) == (
                q.total, q.negative, q.neutral, q.positive, q.independent_negative, q.alert, q.sealed
            )  # fmt: skip
            assert p.band_high == pytest.approx(q.band_high)
            assert p.expected_negative == pytest.approx(q.expected_negative)


def test_a_stretch_of_nothing_is_drawn_as_zeros(store: Store, settings: Settings) -> None:
    seeded(store, settings, 2.2)
    lease = leases.acquire(store, leases.LEADER, "tests", 600)
    assert lease is not None
    with store.write() as c:
        now = store.now_ms(c)
        a, b = align(now - 30 * HOUR, HOUR, settings), align(now - 20 * HOUR, HOUR, settings)
        c.execute(delete(SealedBucket).where(SealedBucket.start > a, SealedBucket.start < b))
        c.execute(update(SealedBucket).where(SealedBucket.start == a)
                  .values(end=b, total=0, negative=0, neutral=0, positive=0, outage=True))  # fmt: skip
    fold(store, settings, lease)
    with store.read() as c:
        found, _ = points(c, 12, a - 10 * HOUR, b + 10 * HOUR, ALL, 600_000, 40, grid_offset(settings))
    quiet = [p for p in found if a <= p.start < b]
    assert len(quiet) == 10
    assert all(p.outage and p.total == 0 for p in quiet)
    assert not any(p.outage for p in found if not a <= p.start < b)
