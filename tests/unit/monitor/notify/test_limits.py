"""No service is sent more than it takes, in any window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.notify.channels import HeldBack
from monitor.notify.channels.limits import MARGIN, Limit, RateLimiter

LIMITS = (Limit(2, 1.0), Limit(5, 10.0))


@given(st.lists(st.floats(0, 3), max_size=80))
def test_no_window_has_more_than_its_limit(gaps: list[float]) -> None:
    limiter, now, sent = RateLimiter(), 0.0, []
    for gap in gaps:
        now += gap
        wait = limiter.take("a", LIMITS, now)
        if wait:
            # One that waits as long as it is told is sent then.
            now += wait + 1e-9
            assert limiter.take("a", LIMITS, now) == 0
        sent.append(now)
    for limit in LIMITS:
        for at in sent:
            assert sum(at <= x < at + limit.seconds for x in sent) <= limit.count


def test_robots_are_counted_apart_and_held_back_by_name() -> None:
    limiter = RateLimiter()
    limits = (Limit(1, 60.0),)
    limiter.wait("a", limits)
    limiter.wait("b", limits)
    with pytest.raises(HeldBack) as e:
        limiter.wait("a", limits)
    assert e.value.retry_after == pytest.approx(60 * MARGIN, abs=1)
    assert not e.value.permanent
    limiter.wait("a", ())
