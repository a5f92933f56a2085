"""The leader is killed between send and mark; ``bench/notify_kills.py`` does the same fifty times."""

from __future__ import annotations

import pytest

from bench.notify_kills import trial

pytestmark = pytest.mark.slow


def test_a_kill_costs_at_most_one_repeat_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    out = trial(5)
    assert out.wrong == []
    assert (out.kills, out.freezes) == (4, 1)
    assert out.between >= 1  # some did fall between acceptance and mark
    assert out.notifications == 15
