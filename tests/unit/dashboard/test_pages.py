"""Figures of the pages: visits, peers, shifts, the cells of a range, and what is kept for a moment."""

from __future__ import annotations

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.utils import PlotlyJSONEncoder

from barometer.standing import stand
from barometer.store.series.totals import Totals
from dashboard.context import DAY, HOUR, MINUTE, MOST_STEPS, RANGES, View, ranges, step_of
from dashboard.i18n.texts import Lang
from dashboard.pages.models import _figures as model_figures
from dashboard.pages.system import SOURCES, sources_part
from dashboard.services.last_seen import LONGEST_MS, PAUSE_MS, Visit, by_default, look
from dashboard.services.measure import group_of, peers, ranked_share, shown_share, standing
from dashboard.services.model_files import Files
from dashboard.shared_cache import Brief
from models.folder import read_folder


def test_who_comes_back_after_a_pause_sees_what_changed_since() -> None:
    first = look(None, 1_000_000)
    assert first.since is None
    soon = look({"since": first.since, "at": first.at}, 1_000_000 + PAUSE_MS)
    assert soon.since is None, "still the same sitting"
    later = look({"since": soon.since, "at": soon.at}, soon.at + PAUSE_MS + 1)
    assert later.since == soon.at
    again = look({"since": later.since, "at": later.at}, later.at + MINUTE)
    assert again.since == later.since, "what was new stays new while they are looking"


def test_a_visit_looks_back_a_day_at_first_and_a_week_at_most() -> None:
    now = 100 * DAY
    assert Visit(None, now).begin(now) == now - DAY
    assert Visit(5, now).begin(now) == now - LONGEST_MS
    assert Visit(now - HOUR, now).begin(now) == now - HOUR


def test_the_system_page_names_silent_and_busy_sources_first_and_leads_to_all() -> None:
    known = [{"name": f"source {i}", "silent": i == 7, "muted": False, "last_observed_at": 0, "last_day": i}
             for i in range(SOURCES + 30)]  # fmt: skip
    report = {"now": HOUR, "sources": known, "sources_known": 50}
    few = json.dumps(sources_part(View("en", "light"), report, every=False), cls=PlotlyJSONEncoder)
    assert few.count("source ") == SOURCES
    assert few.index("source 7") < few.index("source 49") < few.index("source 31")
    assert "all 50 sources" in few and "/system?sources=all" in few
    every = json.dumps(sources_part(View("en", "light"), report, every=True), cls=PlotlyJSONEncoder)
    assert every.count("source ") == SOURCES + 30
    assert "only the first 20" in every and "sources=all" not in every


def test_a_clock_that_went_back_begins_anew() -> None:
    assert look({"since": 5, "at": 900}, 800) == Visit(None, 800)
    assert look({"at": "rubbish"}, 800) == Visit(None, 800)


def test_peers_rank_from_the_most_negative() -> None:
    found = peers(0.2, [0.5, 0.2, 0.1, None])
    assert found is not None
    assert (found.rank, found.of, found.shares) == (2, 4, (0.1, 0.2, 0.2, 0.5))
    assert peers(None, [0.5]) is None
    assert peers(0.5, [None]) is None
    assert [group_of(x) for x in ("topic:a", "symbol:600519", "all")] == ["topic", "symbol", "all"]


def test_a_period_is_above_only_with_all_of_its_interval() -> None:
    ways = {(60, 30.0): "above", (30, 30.0): "usual", (3, 30.0): "below", (9, 3.0): "usual", (20, 5.0): "above",
            (0, 6.0): "usual", (0, 12.0): "below", (5, 0.1): "above", (3, 0.1): "few", (1, 0.0): "few"}  # fmt: skip
    assert {k: standing(Totals(judged_negative=k[0], expected_negative=k[1])).way for k in ways} == ways
    assert standing(Totals()).way == standing(None).way == "unknown"


@given(st.integers(0, 100_000), st.floats(0, 100_000))
def test_a_standing_contradicts_nothing(seen: int, expected: float) -> None:
    """Its sign, its interval and its place in the order say the same; more negatives are never less above."""
    order = ("below", "usual", "few", "above")
    found = stand(seen, expected)
    if found.way in ("above", "below"):
        assert (found.way == "above") == (seen > expected) == (found.far > 0)
    if found.ratio is not None and found.low is not None and found.high is not None:
        assert found.low <= found.ratio <= found.high
        assert (found.way == "above") == (found.low > 1)
        assert (found.way == "below") == (found.high < 1)
    assert order.index(stand(seen + 100, expected).way) >= order.index(found.way) or found.way == "few"


def test_a_share_is_shown_and_ranked_only_with_enough_texts() -> None:
    one, some, many = (Totals(total=n, negative=n) for n in (1, 5, 20))
    assert [shown_share(x) for x in (one, some, many)] == [None, 1.0, 1.0]
    assert [ranked_share(x.share, x.scored) for x in (one, some, many)] == [None, None, 1.0]


def test_what_alerts_comes_before_what_is_busy() -> None:
    assert by_default(["c"], ["a", "b", "c", "d"], 3) == ["c", "a", "b"]


@pytest.mark.parametrize("bucket", [10_000, MINUTE, 10 * MINUTE, 15 * MINUTE, HOUR, 8 * HOUR, DAY])
def test_cells_are_whole_buckets_and_few(bucket: int) -> None:
    for name in ranges(bucket)[0]:
        step = step_of(RANGES[name], bucket)
        assert step % bucket == 0
        assert RANGES[name] / step <= MOST_STEPS or step == bucket


def test_fifty_readers_ask_the_store_once() -> None:
    kept, made, got = Brief(60), [], []

    def make() -> int:
        made.append(1)
        time.sleep(0.05)
        return len(made)

    threads = [threading.Thread(target=lambda: got.append(kept.get("k", make))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), set(got)) == (1, {1})


def test_a_failure_is_not_kept_and_old_values_are_not_shown() -> None:
    kept = Brief(0.02, size=2)
    with pytest.raises(ZeroDivisionError):
        kept.get("k", lambda: 1 // 0)
    assert kept.get("k", lambda: 1) == 1
    time.sleep(0.03)
    assert kept.get("k", lambda: 2) == 2
    assert kept.get("a", lambda: 3) + kept.get("b", lambda: 4) == 7


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_figures_of_another_network_are_told_as_such(lang: Lang) -> None:
    """A model that trained on dev too shows its twin's figures, and names it; any other names nobody."""
    folder, found = read_folder(), {"dev": {"finfe": {"sentiment": {"n": 3, "accuracy": 0.5}}}}
    own = json.dumps(model_figures(View(lang, "light"), Files(folder, found, "")), cls=PlotlyJSONEncoder)
    twin = json.dumps(
        model_figures(View(lang, "light"), Files(folder, found | {"measured": "e5-x-1"}, "")), cls=PlotlyJSONEncoder
    )
    assert "finfe" in own
    assert "e5-x-1" not in own
    assert "finfe" in twin
    assert "e5-x-1" in twin
