"""The rate that a worker's heartbeat tells is over the last minute."""

from __future__ import annotations

from pathlib import Path

from barometer.store.engine import Store
from ingest.worker.heartbeat import Heartbeat


def test_the_rate_is_over_the_last_minute(tmp_path: Path) -> None:
    heartbeat = Heartbeat(Store(f"sqlite:///{tmp_path / 's.db'}"), "worker-1")
    assert heartbeat._rate(0.0) == 0.0
    heartbeat.batch_written({"documents": 300})
    assert heartbeat._rate(30.0) == 10.0
    assert heartbeat._rate(60.0) == 5.0
    # What came in the first half minute is forgotten with it.
    assert heartbeat._rate(91.0) == 0.0
    heartbeat.batch_written({"documents": 60})
    assert heartbeat._rate(121.0) == 2.0
