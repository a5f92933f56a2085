"""Judges closed buckets: counts go in, sealed rows and the state of surges come out. Pure: no database, no clock;
sealing and backtest share it.

A judge holds one detector for each series and kind. Series without texts in a bucket are judged as well (zeros matter:
they teach the level, and silence can be an outage), until the whole topic has been silent for so long that the feed is
known to have stopped; from then on time passes and nothing is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from barometer.store.series.sealing import Counts, Key, Past
from barometer.vocabulary import SEVERITIES, Severity
from monitor.detection.detector import Detector, DetectorParams, Judgement

FEW_SERIES = 100
"""Below so many judged series, an alert warns from the opening threshold on; above, chance opens some every day."""
MANY_SERIES = 0.5
"""So much more a warning takes then."""
FEW_VOICES = 4
"""With fewer different negative texts in its window, a surge is mostly copies: it warns, but pages nobody."""
STATE_VERSION = f"{Detector.VERSION}+2"
"""Of what :meth:`Judge.state` keeps; a stored state of another version is not gone on from."""
DAY_MS = 86_400_000
ZERO = Counts()

Different = Callable[[Key, int, int], int]
"""Number of different negative texts of a series and kind in [start, end)."""
Rebase = Callable[[Key, int, int], float | None]
"""(series and kind, model before, model now) -> odds ratio of negatives between them; None if it was not measured."""


@dataclass(slots=True)
class SeriesDetector:
    """One series and kind: its detector, and the stretch without records or expectation that it may be in."""

    detector: Detector
    zero_since: int | None = None
    zero_outage: bool = False
    alert: bool = False
    started_at: int = 0
    best: float = 0.0
    severity: Severity = "info"
    model_id: int | None = None
    peak: tuple[int, int] | None = None
    """While in alert: the window of its highest score, [start, end)."""


@dataclass(slots=True)
class SurgeUpdate:
    """A surge of one series and kind after a bucket: it goes on, or has just ended."""

    key: Key
    firing: bool
    severity: Severity
    started_at: int
    """Start of the window that opened it."""
    new_peak: bool
    judgement: Judgement
    different: int = 0
    """At a new peak: different negative texts in the window."""
    whole: tuple[int, int] | None = None
    """While it fires: [start, end) of the windows of all kinds of the series that fire, each at its peak."""


@dataclass(slots=True)
class Judged:
    """The outcome of one bucket, or of one stretch."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """Columns of ``sealed_buckets`` without ``term``."""
    found: list[SurgeUpdate] = field(default_factory=list)


class Judge:
    """Judges buckets in order.

    Args:
        bucket_seconds: their width.
        zone: whose clock the day profile follows.
        open_at: score from which people are notified.
        judged: says of a series id whether it is judged at all (the total is not).
        different: asked at each new peak of an alert.
        rebase: asked where the model of a series' bucket is another than before: a change of model is not news.
        is_day_off: says of a local date whether the day profile of days off holds; None: on Saturdays and Sundays.
    """

    def __init__(
        self,
        bucket_seconds: int,
        zone: ZoneInfo,
        open_at: float,
        judged: Callable[[int], bool],
        different: Different,
        rebase: Rebase = lambda _key, _before, _now: None,
        is_day_off: Callable[[date], bool] | None = None,
    ) -> None:
        self.bucket_seconds = bucket_seconds
        self._zone = zone
        self._open_at = open_at
        self._params = DetectorParams.told_from(open_at)
        self._judged = judged
        self._different = different
        self._rebase = rebase
        self._options: dict[str, Any] = {"params": self._params, "is_day_off": is_day_off}
        self.detectors: dict[Key, SeriesDetector] = {}

    @property
    def parameters(self) -> dict[str, Any]:
        """What an alert records of the settings that it was judged with."""
        return {"bucket_seconds": self.bucket_seconds, "open_at": self._open_at, **asdict(self._params)}

    def bucket(self, start: int, end: int, counts: Mapping[Key, Counts]) -> Judged:
        """Judge one bucket. ``counts`` has the series and kinds that had something; all known ones are judged."""
        out = Judged()
        seconds = self._utc_offset(end)
        for key in sorted(self.detectors.keys() | counts.keys()):
            watched = self.detectors.get(key) or self._start_detector(key)
            watched.detector.utc_offset_seconds = seconds
            self._one(out, key, watched, counts.get(key, ZERO), start, end)
        return out

    def skip(self, start: int, end: int) -> Judged:
        """A stretch in which the feed is known to have stopped: one row a series and kind, and no judgement."""
        out = Judged()
        for key, watched in sorted(self.detectors.items(), key=lambda x: x[0]):
            out.rows.append(self._zero_row(key, watched, start, end, watched.zero_outage))
        return out

    def warm_up(self, key: Key, rows: Iterable[Past], end_of: Callable[[int], int]) -> bool:
        """Teach a new detector what was sealed before it, in the place of one of another version; returns whether it
        ends in alert.

        Args:
            rows: sealed buckets in order.
            end_of: the end of the bucket that starts at a time.
        """
        w = self._start_detector(key)
        for row in rows:
            if row.model_id is not None:
                self._follow_model(key, w, row.model_id)
            at, stopped = row.start, row.start + stopped_after_ms(self.bucket_seconds * 1000)
            while at < row.end and at < stopped:
                at = end_of(at)
                w.detector.utc_offset_seconds = self._utc_offset(at)
                j = w.detector.update(at / 1000, row.total - row.unscored, row.negative)
                if j.alert:
                    self._firing(key, w, j, at)
                w.alert = j.alert
        return w.alert

    def _utc_offset(self, at: int) -> int:
        """The zone's offset at that time, not now's: the same log is judged the same in summer and in winter."""
        offset = datetime.fromtimestamp(at / 1000, self._zone).utcoffset()
        return int(offset.total_seconds()) if offset else 0

    def _start_detector(self, key: Key) -> SeriesDetector:
        self.detectors[key] = SeriesDetector(Detector(self.bucket_seconds, **self._options))
        return self.detectors[key]

    def _one(self, out: Judged, key: Key, w: SeriesDetector, n: Counts, start: int, end: int) -> None:
        if not self._judged(key[0]):
            if n.total:
                w.zero_since, w.zero_outage = None, False
                out.rows.append({**_counts_row(key, n, start, end), **_unjudged(False)})
            else:
                out.rows.append(self._zero_row(key, w, start, end, False))
            return
        if n.model_id is not None:
            self._follow_model(key, w, n.model_id)
        was = w.alert
        j = w.detector.update(end / 1000, n.total - n.unscored, self._negative(key, w, n))
        if j.alert:
            out.found.append(self._firing(key, w, j, end))
        elif was:
            w.alert, w.peak = False, None
            out.found.append(SurgeUpdate(key, False, w.severity, w.started_at, False, j))
        if j.outage and not j.alert and not was:
            out.rows.append(self._zero_row(key, w, start, end, True))
            return
        w.zero_since, w.zero_outage = None, False
        # An empty bucket keeps what was expected of it, else a period's expectation would be that of its full buckets
        # alone. In an outage nothing is compared: what is missing there must not weigh against a surge before or after.
        known = not j.outage
        out.rows.append(
            {
                **_counts_row(key, n, start, end),
                "score": j.score,
                "alert": j.alert,
                "outage": j.outage,
                "expected_total": j.expected_total if known else None,
                "expected_negative": j.expected_negative if known else None,
                "band_low": j.band_low if known else None,
                "band_high": j.band_high if known else None,
            }
        )

    def _negative(self, key: Key, w: SeriesDetector, n: Counts) -> float:
        """Negatives as the bucket's own model would have counted them, where several models scored it."""
        negative = float(n.negative)
        for model_id, scored, theirs in n.others:
            ratio = self._rebase(key, model_id, n.model_id) if n.model_id is not None else None
            if ratio is not None:
                negative += min(float(scored), theirs * w.detector.share_ratio(ratio)) - theirs
        return negative

    def _follow_model(self, key: Key, w: SeriesDetector, model_id: int) -> None:
        if w.model_id is not None and w.model_id != model_id:
            ratio = self._rebase(key, w.model_id, model_id)
            if ratio is not None:
                w.detector.rebase(ratio)
        w.model_id = model_id

    def _firing(self, key: Key, w: SeriesDetector, j: Judgement, end: int) -> SurgeUpdate:
        window_start = end - j.window_buckets * self.bucket_seconds * 1000
        peak = not w.alert or j.score > w.best
        if not w.alert:
            w.alert, w.best, w.severity, w.started_at = True, 0.0, "info", window_start
        different = 0
        if peak:
            w.best, w.peak = j.score, (window_start, end)
            different = self._different(key, window_start, end)
            w.severity = max(w.severity, self._severity(j.score, different), key=SEVERITIES.index)
        return SurgeUpdate(key, True, w.severity, w.started_at, peak, j, different, self._whole(key[0]))

    def _whole(self, series_id: int) -> tuple[int, int] | None:
        """The span of the windows of all firing kinds: an event is not one of its kinds alone."""
        peaks = [w.peak for key, w in self.detectors.items() if key[0] == series_id and w.alert and w.peak is not None]
        return (min(a for a, _ in peaks), max(b for _, b in peaks)) if peaks else None

    def _severity(self, score: float, different: int) -> Severity:
        few = sum(1 for k in self.detectors if self._judged(k[0])) < FEW_SERIES
        p = self._params
        if score >= p.critical and different >= FEW_VOICES:
            return "critical"
        return "warning" if score >= p.warning + (0.0 if few else MANY_SERIES) else "info"

    @staticmethod
    def _zero_row(key: Key, w: SeriesDetector, start: int, end: int, outage: bool) -> dict[str, Any]:
        """One row for the whole stretch so far, of which nothing was expected: an outage, a feed that has stopped, or a
        series that is not judged."""
        if w.zero_since is None or w.zero_outage != outage:
            w.zero_since, w.zero_outage = start, outage
        return {**_counts_row(key, ZERO, w.zero_since, end), **_unjudged(outage)}

    def state(self, key: Key) -> dict[str, Any]:
        """All that a restart needs of one series and kind, JSON-serialisable."""
        w = self.detectors[key]
        return {
            "detector": w.detector.state(),
            "zero": [w.zero_since, w.zero_outage],
            "alert": [w.alert, w.started_at, w.best, w.severity],
            "model_id": w.model_id,
            "peak": w.peak,
        }

    def restore(self, states: Iterable[tuple[Key, Mapping[str, Any]]]) -> None:
        """Forget everything and go on from stored states."""
        self.detectors.clear()
        for key, state in states:
            detector = Detector.restore(dict(state["detector"]), self.bucket_seconds, **self._options)
            since, outage = state["zero"]
            alert, started_at, best, severity = state["alert"]
            self.detectors[key] = SeriesDetector(
                detector, since, outage, alert, started_at, best, severity, state["model_id"]
            )
            if state.get("peak") is not None:  # older states have none
                self.detectors[key].peak = (int(state["peak"][0]), int(state["peak"][1]))


def _counts_row(key: Key, n: Counts, start: int, end: int) -> dict[str, Any]:
    return {
        "series_id": key[0],
        "kind": key[1],
        "start": start,
        "end": end,
        "total": n.total,
        "negative": n.negative,
        "neutral": n.neutral,
        "positive": n.positive,
        "unscored": n.unscored,
        "independent": n.independent,
        "independent_negative": n.independent_negative,
        "model_id": n.model_id,
    }


def _unjudged(outage: bool) -> dict[str, Any]:
    return {
        "score": None,
        "alert": False,
        "outage": outage,
        "expected_total": None,
        "expected_negative": None,
        "band_low": None,
        "band_high": None,
    }


def stopped_after_ms(bucket_ms: int) -> int:
    """So long a silence of the whole topic is a stopped feed: a day, or seven buckets where these are wide."""
    return max(DAY_MS, 7 * bucket_ms)
