"""What Home and Overview read: figures by source and language, what changed, what a person keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from barometer.settings import Settings
from barometer.store.accounts.users import add_user, change_preferences, list_users
from barometer.store.alerts.views import changed_since
from barometer.store.engine import Store
from barometer.store.series.filtered import filtered_totals, languages, texts_between
from barometer.store.series.totals import list_series, totals
from barometer.store.tables import Alert, Source
from tests.support.seed import DAY, HOUR, seed

ALL = (0, 1, 2)


@pytest.fixture
def settings(settings_for: Callable[..., Settings], database_url: str) -> Settings:
    return settings_for(database_url=database_url)


@pytest.fixture
def seeded(store: Store, settings: Settings) -> Store:
    seed(store, settings, days=0.5, users=False)
    return store


def test_counts_by_source_add_up_to_the_whole(seeded: Store) -> None:
    with seeded.read() as c:
        now = seeded.now_ms(c)
        names = {s.name: s.id for s in list_series(c)}
        span = (now - 6 * HOUR, now + HOUR, 7, ALL)
        whole = filtered_totals(c, *span)
        parts = [filtered_totals(c, *span, source=s) for s in c.execute(select(Source.name)).scalars()]
        english = filtered_totals(c, *span, lang="el")
        assert languages(c) == ["el", "zh"]
        assert texts_between(c, now - DAY, now + HOUR) > 0
    estate = names["topic:real_estate"]
    assert whole[estate].negative > 50
    assert sum(p[estate].negative for p in parts if estate in p) == whole[estate].negative
    assert sum(p[names["all"]].total for p in parts) == whole[names["all"]].total
    assert sum(point[0] for point in whole[estate].points.values()) == whole[estate].negative
    assert whole[estate].expected_negative is None
    assert (english[names["all"]].total, english[names["all"]].unscored) == (1, 1)


def test_shares_are_judged_where_something_was_expected(seeded: Store) -> None:
    with seeded.read() as c:
        now = seeded.now_ms(c)
        found = totals(c, now - 6 * HOUR, now, 6, ALL)
        ids = {s.name: s.id for s in list_series(c)}
    estate = found[ids["topic:real_estate"]]
    assert estate.expected_negative is not None
    assert 0.2 < estate.expected_negative / estate.expected_total < 0.36
    assert estate.judged_negative / estate.judged_scored > 0.4
    assert found[ids["all"]].expected_negative is None


def test_what_changed_is_new_or_over_never_both(seeded: Store) -> None:
    with seeded.write() as c:
        now = seeded.now_ms(c)
        opened, over = changed_since(c, now - 40 * HOUR)
        assert [a.fingerprint for a in opened] == ["topic:real_estate"]
        assert [a.fingerprint for a in over] == ["topic:credit_bonds"]
        c.execute(update(Alert).where(Alert.id == 1).values(state="resolved", resolved_at=now))
        opened, over = changed_since(c, now - 40 * HOUR)
        assert (len(opened), [a.fingerprint for a in over]) == (0, ["topic:real_estate", "topic:credit_bonds"])
        assert changed_since(c, now + 1) == ([], [])


def test_preferences_of_two_pages_do_not_lose_each_other(store: Store) -> None:
    add_user(store, "wang", "a long enough password", "viewer", actor="tests")
    with store.read() as c:
        (user,) = list_users(c)
    change_preferences(store, user.id, {"lang": "en"})
    assert change_preferences(store, user.id, {"watched": ["all"]}) == {"lang": "en", "watched": ["all"]}
