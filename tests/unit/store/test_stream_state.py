"""Nothing looks live that is not of now."""

from __future__ import annotations

from typing import Any

import pytest

from barometer.settings import load_settings
from barometer.store.health.stream_state import stream_state

NOW = 1_700_000_000_000
HOUR = 3_600_000
BOTH = [{"role": r, "live": True} for r in ("worker", "monitor")]


def report(**values: Any) -> dict[str, Any]:
    return {
        "now": NOW, "log": {"replaced_reason": None}, "counts": {"records": 5}, "progress": NOW - 3_000,
        "processes": BOTH, "lag": {"records": 0}, "last_observed_at": NOW - 60_000, "problems": [], **values,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, "live"),
        ({"log": None}, "empty"),
        ({"counts": {"records": 0}}, "empty"),
        ({"progress": None}, "stale"),
        ({"progress": NOW - HOUR}, "stale"),
        ({"log": {"replaced_reason": "another cluster"}}, "stale"),
        ({"progress": NOW - 90_000}, "behind"),
        ({"processes": BOTH[:1]}, "behind"),
        ({"processes": BOTH[1:]}, "behind"),
        ({"lag": {"records": 10_000_000}}, "behind"),
        ({"problems": [{"code": "not_reading"}]}, "behind"),
        ({"problems": [{"code": "silent"}]}, "live"),
        ({"last_observed_at": NOW - 34 * HOUR}, "quiet"),  # progress goes on, texts do not
        ({"last_observed_at": None}, "quiet"),
    ],
)
def test_only_what_is_of_now_is_live(values: dict[str, Any], state: str) -> None:
    assert stream_state(report(**values), load_settings()) == state


def test_wide_buckets_are_not_quiet_between_two_texts() -> None:
    daily = load_settings(bucket_seconds=86_400)
    assert stream_state(report(last_observed_at=NOW - 34 * HOUR), daily) == "live"
