"""The detector as the benchmark wants it: ``python run.py --adapter monitor.bench:factory``."""

from __future__ import annotations

from monitor.detector import Detector


class Adapter:
    """``update(ts, total, negative) -> (score, alert)``, once a closed bucket; ``ts`` is its end in epoch seconds."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def update(self, ts: float, total: float, negative: float) -> tuple[float, bool]:
        judgement = self.detector.update(ts, total, negative)
        return judgement.score, judgement.alert


def factory(bucket_seconds: int = 600, mode: str = "counts") -> Adapter:
    """One detector a series. The benchmark's days are UTC days."""
    return Adapter(Detector(bucket_seconds, mode, utc_offset_seconds=0))
