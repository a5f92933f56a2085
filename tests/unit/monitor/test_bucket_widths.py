"""Buckets from 10 seconds to a day: few false alarms on series that only wander, and surges found, at any width."""

from __future__ import annotations

import numpy as np
import pytest

from bench.bucket_widths import DAY, Outcome, judge, simulate

# Narrow buckets are many: fewer days, so that all of this takes seconds.
LIVES = {10: (3, 2), 60: (12, 3), 600: (50, 10), 3_600: (120, 10), DAY: (700, 60)}
"""Width: days, and those of them that teach."""


def outcome(width: int, per_hour: float, seed: int, every: tuple[float, float] | None) -> Outcome:
    days, warm = LIVES[width]
    return judge(simulate(width, per_hour, days, seed, every, warm), warm)


@pytest.mark.parametrize("width", LIVES)
def test_a_series_that_only_wanders_seldom_raises_an_alarm(width: int) -> None:
    """Promised: 0.16 a week. So few weeks can show only a multiple of it."""
    of = [outcome(width, per_hour, 3, None) for per_hour in (20.0, 200.0)]
    weeks = sum(o.weeks for o in of)
    assert sum(o.opened for o in of) <= max(1, np.ceil(0.3 * weeks))


@pytest.mark.parametrize("width", LIVES)
def test_surges_are_found_soon(width: int) -> None:
    days = LIVES[width][0]
    of = outcome(width, 200.0, 4, (6, 10) if width == DAY else (days / 20, days / 10))
    assert of.planted >= 1
    assert len(of.delays) >= 0.9 * of.planted
    assert np.median(of.delays) * width <= max(1_800, width)
