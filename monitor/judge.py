"""From counts of a closed bucket to sealed rows and findings. Pure: no database, no clock; sealing and backtest
share it.

A judge holds one detector a series and kind. Series that had nothing in a bucket are told so (zeros matter: they teach
the level, and silence can be an outage), until the whole topic has been silent for so long that the feed is known to
have stopped; from then on time passes and nothing is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from barometer.store.alerts import Severity
from barometer.store.sealing import Counts, Key
from monitor.detector import Detector, DetectorParams, Judgement

FEW_SERIES = 100
"""Below so many judged series, an alert warns from the opening threshold on; above, chance opens some every day."""
DAY_MS = 86_400_000
ZERO = Counts()


@dataclass(slots=True)
class Watched:
    """One series and kind: its detector, and the stretch without records that it may be in."""

    detector: Detector
    zero_since: int | None = None
    alert: bool = False
    started_at: int = 0
    best: float = 0.0
    severity: Severity = "info"


@dataclass(slots=True)
class Found:
    """An alert that is on, or has just ended, for one series and kind."""

    key: Key
    firing: bool
    severity: Severity
    started_at: int
    """Start of the window that opened it."""
    new_peak: bool
    judgement: Judgement


@dataclass(slots=True)
class Sealed:
    """What one bucket, or one stretch, came to."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """Columns of ``sealed_buckets`` without ``term``."""
    found: list[Found] = field(default_factory=list)


class Judge:
    """Judges buckets in order.

    Args:
        bucket_seconds: their width.
        utc_offset_seconds: of the zone that the day profile follows.
        open_at: score from which an alert is worth telling.
        judged: says of a series id whether it is judged at all (the total is not).
    """

    def __init__(
        self, bucket_seconds: int, utc_offset_seconds: int, open_at: float, judged: Callable[[int], bool]
    ) -> None:
        self.bucket_seconds = bucket_seconds
        self._offset = utc_offset_seconds
        self._open_at = open_at
        self._params = DetectorParams(open=open_at - 0.2)
        self._judged = judged
        self.watched: dict[Key, Watched] = {}

    @property
    def parameters(self) -> dict[str, Any]:
        """What an alert keeps to be traced by."""
        return {"bucket_seconds": self.bucket_seconds, "open_at": self._open_at, **asdict(self._params)}

    def bucket(self, start: int, end: int, counts: Mapping[Key, Counts]) -> Sealed:
        """Judge one bucket. ``counts`` has the series and kinds that had something; all known ones are judged."""
        out = Sealed()
        for key in sorted(self.watched.keys() | counts.keys()):
            watched = self.watched.get(key) or self._meet(key)
            self._one(out, key, watched, counts.get(key, ZERO), start, end)
        return out

    def skip(self, start: int, end: int) -> Sealed:
        """A stretch in which the feed is known to have stopped: one row a series and kind, and no judgement."""
        out = Sealed()
        for key, watched in sorted(self.watched.items(), key=lambda x: x[0]):
            out.rows.append(self._zero_row(key, watched, start, end))
        return out

    def _meet(self, key: Key) -> Watched:
        self.watched[key] = Watched(Detector(self.bucket_seconds, params=self._params, utc_offset_seconds=self._offset))
        return self.watched[key]

    def _one(self, out: Sealed, key: Key, w: Watched, n: Counts, start: int, end: int) -> None:
        if not self._judged(key[0]):
            if n.total:
                w.zero_since = None
                out.rows.append({**self._counts_row(key, n, start, end), **_unjudged()})
            else:
                out.rows.append(self._zero_row(key, w, start, end))
            return
        j = w.detector.update(end / 1000, n.total - n.unscored, n.negative)
        was = w.alert
        if j.alert:
            peak = not was or j.score > w.best
            if not was:
                w.alert, w.best, w.severity = True, 0.0, "info"
                w.started_at = end - j.window_buckets * self.bucket_seconds * 1000
            w.best = max(w.best, j.score)
            w.severity = self._severity(w.best)
            out.found.append(Found(key, True, w.severity, w.started_at, peak, j))
        elif was:
            w.alert = False
            out.found.append(Found(key, False, w.severity, w.started_at, False, j))
        if not n.total and not j.score and not j.alert and not was:
            out.rows.append(self._zero_row(key, w, start, end))
            return
        w.zero_since = None
        out.rows.append(
            {
                **self._counts_row(key, n, start, end),
                "score": j.score,
                "alert": j.alert,
                "outage": j.outage,
                "expected_total": j.expected_total,
                "expected_negative": j.expected_negative,
                "band_low": j.band_low,
                "band_high": j.band_high,
            }
        )

    def _severity(self, score: float) -> Severity:
        few = sum(1 for k in self.watched if self._judged(k[0])) < FEW_SERIES
        if score >= self._open_at + 1.1:
            return "critical"
        return "warning" if score >= self._open_at + (0.0 if few else 0.5) else "info"

    @staticmethod
    def _counts_row(key: Key, n: Counts, start: int, end: int) -> dict[str, Any]:
        return {"series_id": key[0], "kind": key[1], "start": start, "end": end, **asdict(n)}

    def _zero_row(self, key: Key, w: Watched, start: int, end: int) -> dict[str, Any]:
        if w.zero_since is None:
            w.zero_since = start
        return {**self._counts_row(key, ZERO, w.zero_since, end), **_unjudged()}

    def state(self, key: Key) -> dict[str, Any]:
        """All that a restart needs of one series and kind, JSON-serialisable."""
        w = self.watched[key]
        return {
            "detector": w.detector.state(),
            "zero_since": w.zero_since,
            "alert": [w.alert, w.started_at, w.best, w.severity],
        }

    def restore(self, states: Iterable[tuple[Key, Mapping[str, Any]]]) -> None:
        """Forget everything and go on from stored states."""
        self.watched.clear()
        for key, state in states:
            detector = Detector.restore(
                dict(state["detector"]), self.bucket_seconds, params=self._params, utc_offset_seconds=self._offset
            )
            alert, started_at, best, severity = state["alert"]
            self.watched[key] = Watched(detector, state["zero_since"], alert, started_at, best, severity)


def _unjudged() -> dict[str, Any]:
    return {
        "score": None, "alert": False, "outage": False, "expected_total": None, "expected_negative": None,
        "band_low": None, "band_high": None,
    }  # fmt: skip


def stopped_after_ms(bucket_ms: int) -> int:
    """So long a silence of the whole topic is a stopped feed: a day, or seven buckets where these are wide."""
    return max(DAY_MS, 7 * bucket_ms)
