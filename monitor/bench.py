"""The detector as the benchmark wants it: ``python run.py --adapter monitor.bench:factory``."""

from __future__ import annotations

import math

from monitor.detection.detector import Detector


class Adapter:
    """``update(ts, total, negative) -> (score, alert)``, once a closed bucket; ``ts`` is its end in epoch seconds."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self._alert = False

    def update(self, ts: float, total: float, negative: float) -> tuple[float, bool]:
        if not math.isfinite(total):
            return 0.0, self._alert  # a value that is missing is a bucket left out
        judgement = self.detector.update(ts, total, negative)
        self._alert = judgement.alert
        return judgement.score, judgement.alert


def factory(bucket_seconds: int = 600, mode: str = "counts") -> Adapter:
    """One detector a series. The benchmark's days are UTC days."""
    return Adapter(Detector(bucket_seconds, mode, utc_offset_seconds=0))
