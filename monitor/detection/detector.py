"""The detector of negative surges: one small object a series and kind, fed once a closed bucket.

    >>> d = Detector(bucket_seconds=600)
    >>> for i in range(1, 1001):
    ...     j = d.update(600 * i, total=20, negative=4)
    >>> j.alert, round(j.expected_negative)
    (False, 4)
    >>> for i in range(1001, 1005):
    ...     j = d.update(600 * i, total=40, negative=28)
    >>> j.alert, j.severity
    (True, 'critical')

What is usual comes from :mod:`monitor.detection.baseline`; windows of several lengths and how widely they scatter
from :mod:`monitor.detection.windows`; tail probabilities from :mod:`monitor.detection.tail_probabilities`. Here they
are weighed: in each window the count of negatives (volume arm, negative binomial) and their share (share arm,
over-dispersed binomial); the score is the largest -log10 p, less a fee for short windows, of which a day has more. A
window counts only while its excess goes on. A score that opens an alert holds it until it has been low for a while.
An update costs the same however long the windows are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from monitor.detection.baseline import DAY, Baseline, GroupPrior, Season
from monitor.detection.tail_probabilities import count_surprise, share_surprise
from monitor.detection.windows import Scatter, Sums, Windows, block_buckets

__all__ = ["Detector", "DetectorParams", "GroupPrior", "Judgement"]

HOUR = 3_600.0
SHOWN_BEFORE, PAGED_ABOVE = 0.2, 1.1
"""An alert is shown a little below the score from which it is told, and pages from so much above it."""


@dataclass(frozen=True, slots=True)
class DetectorParams:
    """Constants of the method; half-lives and times in seconds."""

    open: float = 3.6
    close: float = 2.0
    close_after: float = 0.5 * HOUR
    warning: float = 4.1
    """Severity of an open alert by its highest score so far; below this it is info. The product takes all three from
    the setting ``detector_open``, see :meth:`told_from`."""
    critical: float = 4.7
    level_half_life: float = 2 * DAY
    profile_half_life: float = 14 * DAY
    share_half_life: float = 4 * DAY
    scatter_half_life: float = 8 * DAY
    half_life_buckets: float = 14.0
    """No half-life is shorter than so many buckets."""
    pseudo_counts: float = 15.0
    volume_scatter: float = 0.15
    """Over-dispersion of counts before any is seen; weighs as much as ``volume_information``."""
    volume_information: float = 30.0
    share_scatter: float = 0.01
    share_information: float = 300.0
    winsor_sd: float = 3.0
    """Volume learns nothing of what a bucket holds beyond so many standard deviations above expectation."""
    weight_cap: float = 3.0
    """A bucket weighs in the share at most so many times the texts expected: a neutral burst must not depress it."""
    window_fee: float = 0.5
    """A window pays so many times log10 of how often it fits into half a day: short ones are tested more often."""
    width_credit: float = 0.5
    """Wide buckets gain so many times log10 of how much wider they are, since fewer of them are judged in a month;
    those narrower than ``narrow_to`` lose it, since more are."""
    narrow_to: float = 600.0
    hot: float = 2.5
    """From this score on (the credit apart), learning is damped."""
    damped_weight: float = 0.05
    damped_for: float = 36 * HOUR
    damped_recovery: float = 0.5
    """A calm bucket makes up for so many hot ones."""
    min_negative: float = 3.0
    told_negative: float = 4.0
    """A window with fewer negatives opens an alarm and does no more: it is seen on the screens, and nobody is told."""
    min_lift: float = 1.25
    """The share seen must be so many times the expected one."""
    min_excess: float = 1.4
    """The share arm needs so many times the expected negatives, and a volume that is rare by itself."""
    min_volume: float = 0.8
    burst_prior: float = 0.002
    """Odds of a burst of mostly neutral texts, which the count of negatives alone cannot tell from a surge."""
    recent_negatives: float = 2.0
    """A window's excess must go on in its last part, that part which would hold so many negatives at an even pace."""
    recent_share: float = 0.6
    """... and must hold there so much of an even share of the excess."""
    outage_expected: float = 8.0
    """So many texts missed in silence are an outage."""
    backlog_for: float = 3 * HOUR
    cold_for: float = DAY
    wary_for: float = 7 * DAY
    wary_extra: float = 0.4
    alerts_a_week: float = 2.5
    """A series that opens more alerts than this is more erratic than its scatter says: its scores are lowered, by
    ``offset_step`` an alert, until it doesn't."""
    offset_step: float = 0.15
    offset_most: float = 1.5
    wide_from: float = 0.5 * HOUR
    """Buckets wider than this have windows and times of their own, in buckets."""
    wide_cold: int = 7
    wide_damped: int = 3

    @classmethod
    def told_from(cls, score: float) -> DetectorParams:
        """The thresholds of an installation that tells people from ``score`` on (the setting ``detector_open``)."""
        return cls(open=score - SHOWN_BEFORE, warning=score, critical=score + PAGED_ABOVE)


@dataclass(slots=True)
class Judgement:
    """What the detector says of a bucket."""

    score: float
    """max -log10 p over arms and windows, less the fee; 0 while silent."""
    alert: bool
    severity: str | None
    """info, warning or critical while in alert: the worst since it began."""
    expected_total: float
    expected_negative: float
    expected_share: float
    band_low: float
    band_high: float
    """About 95 % of buckets have their negatives within."""
    window_buckets: int
    """Of the window that gave the score; the last bucket where none did."""
    window_expected_negative: float
    window_seen_negative: float
    window_seen_total: float
    arm: str | None
    """volume, share; None without a score."""
    outage: bool
    cold: bool


class Detector:
    """Judges one series of buckets.

    Args:
        bucket_seconds: width of a bucket, 10 to 86400.
        mode: ``counts`` (totals and negatives) or ``univariate`` (a plain count series: total == negative).
        params: constants of the method.
        utc_offset_seconds: of the clock that people live by, for the day profile.
        is_day_off: says of a local date whether it is a day off; None: Saturdays and Sundays.
        prior: what is borrowed while little is known.

    Raises:
        ValueError: bucket width or mode out of range.
    """

    VERSION: ClassVar[str] = "surge-4"

    def __init__(
        self,
        bucket_seconds: int,
        mode: str = "counts",
        params: DetectorParams | None = None,
        utc_offset_seconds: int = 28_800,
        is_day_off: Callable[[date], bool] | None = None,
        prior: GroupPrior | None = None,
    ) -> None:
        if not 10 <= bucket_seconds <= DAY:
            raise ValueError(f"bucket_seconds is {bucket_seconds}; use 10 to 86400")
        if mode not in ("counts", "univariate"):
            raise ValueError(f"mode is {mode!r}; use counts or univariate")
        self.bucket = float(bucket_seconds)
        self.mode = mode
        self.params = p = params or DetectorParams()
        self._counts = mode == "counts"
        self._wide = bucket_seconds > p.wide_from
        least = p.half_life_buckets * self.bucket
        lives = [max(x, least) for x in (p.level_half_life, p.profile_half_life, p.share_half_life)]
        self._scatter_half_life = max(p.scatter_half_life, least)
        self._baseline = Baseline(
            self.bucket,
            (lives[0], lives[1], lives[2]),
            p.pseudo_counts,
            prior or GroupPrior(),
            utc_offset_seconds,
            is_day_off,
        )
        self._windows = Windows(self.bucket, self._wide)
        lengths, block = self._windows.lengths, block_buckets(self.bucket)
        self._volume = [Scatter(p.volume_scatter, p.volume_information) for _ in lengths]
        self._share = [Scatter(p.share_scatter, p.share_information) for _ in lengths]
        width = max(1.0, self.bucket / p.wide_from) * min(1.0, self.bucket / p.narrow_to)
        self._credit = p.width_credit * math.log10(width)
        self._burst = min(0.5, p.burst_prior * 10**self._credit)  # a wide bucket sees as many more of them
        self._fees = [
            p.window_fee * math.log10(12 * HOUR / (self.bucket * (n * block if n else 1))) - self._credit
            for n in lengths
        ]
        self._first: float | None = None
        self._last: float | None = None
        self._damped = 0.0
        self._missed = 0.0
        self._backlog = 0
        self._alert = False
        self._low = 0.0
        self._worst = 0.0
        self._offset = 0.0

    @property
    def utc_offset_seconds(self) -> int:
        """May be set between updates, where clocks change."""
        return self._baseline.utc_offset_seconds

    @utc_offset_seconds.setter
    def utc_offset_seconds(self, value: int) -> None:
        self._baseline.utc_offset_seconds = value

    def update(self, end_ts: float, total: float, negative: float) -> Judgement:
        """Judge the bucket that ended at ``end_ts`` (epoch seconds), then learn from it.

        A stretch in which the feed is known to have stopped is left out: time passes, nothing is judged.

        Raises:
            ValueError: not 0 <= negative <= total; nothing is learnt then.
        """
        if not 0 <= negative <= total < math.inf:
            raise ValueError(
                f"bucket that ended at {end_ts}: {negative} negative of {total}; use 0 <= negative <= total"
            )
        p, baseline = self.params, self._baseline
        first = self._first = end_ts if self._first is None else self._first
        elapsed = self.bucket if self._last is None else max(self.bucket, end_ts - self._last)
        self._last = end_ts
        season = baseline.season(end_ts)
        expected = max(baseline.level * season.factor, 1e-4)
        share = baseline.share if self._counts else 1.0
        left_out = round(elapsed / self.bucket) - 1
        if left_out > 0:
            self._missed += expected * left_out
            if left_out * self.bucket >= 12 * HOUR and not self._wide:
                self._windows.clear()
        outage = self._watch_silence(total, expected)
        self._windows.push(total, negative, expected, expected * share)
        sums = self._windows.sums()
        age = end_ts - first
        cold = age < (p.wide_cold * self.bucket if self._wide else p.cold_for)
        score, index, arm = (0.0, 0, None) if cold or outage else self._weigh(sums, share)
        if not self._wide and age < p.wary_for:
            score = max(0.0, score - p.wary_extra)
        score = max(0.0, score - self._offset)
        if not outage:
            self._learn(sums, total, negative, expected, share, season, elapsed, self._weight(score + self._offset))
        if self._backlog:
            self._backlog -= 1
        self._hold(score, elapsed)
        e = expected * share
        spread = 2 * math.sqrt(e + self._volume[0].value * e * e)
        w = sums[index]
        return Judgement(
            score,
            self._alert,
            self._severity(),
            expected,
            e,
            share,
            max(0.0, e - spread),
            e + spread,
            round(w.buckets),
            w.expected_negative,
            w.negative,
            w.total,
            arm,
            outage,
            cold,
        )

    def _weigh(self, sums: list[Sums], share: float) -> tuple[float, int, str | None]:
        """(score, index of its window, arm)."""
        p = self.params
        best: tuple[float, int, str | None] = (0.0, 0, None)
        effective = self._baseline.share_weight
        for i, (_, total, negative, _, expected) in enumerate(sums):
            if negative < p.min_negative or negative <= expected or not self._goes_on(i, negative, expected):
                continue
            score = volume = count_surprise(negative, expected, self._volume[i].value)
            arm = "volume"
            if self._counts:
                if total <= 0 or negative < p.min_lift * share * total:
                    continue
                inflation = 1 + max(0.0, total - 1) * self._share[i].value + total / effective
                shift = share_surprise(negative, total, share, inflation)
                # Either chance made the count, or a burst did and chance its share.
                sure = min(volume, shift - math.log10(self._burst))
                score = sure - math.log10(10 ** (sure - volume) + self._burst * 10 ** (sure - shift))
                by_share = negative >= p.min_excess * expected and volume >= p.min_volume
                if by_share and (self._backlog or shift > score):
                    score, arm = shift, "share"
                elif self._backlog:
                    continue
            score -= self._fees[i]
            if negative < p.told_negative:
                score = min(score, p.open + 0.1)
            if score > best[0]:
                best = (score, i, arm)
        return best

    def _goes_on(self, i: int, negative: float, expected: float) -> bool:
        """Whether the excess reaches into the window's last part; what has ended is not told again."""
        p, length = self.params, self._windows.lengths[i]
        tail = min(length, max(1, math.ceil(p.recent_negatives * length / negative)))
        if tail == length:
            return True
        return self._windows.tail_excess(tail) >= p.recent_share * (negative - expected) * tail / length

    def _weight(self, score: float) -> float:
        """How much this bucket teaches: little while something is up, but not for ever, for levels do change."""
        p = self.params
        most = p.wide_damped if self._wide else p.damped_for / self.bucket
        hot = score >= p.hot + self._credit
        weight = p.damped_weight if hot and self._damped < most else 1.0
        self._damped = self._damped + 1 if hot else max(0.0, self._damped - p.damped_recovery)
        return weight

    def _learn(
        self,
        sums: list[Sums],
        total: float,
        negative: float,
        expected: float,
        share: float,
        season: Season,
        elapsed: float,
        weight: float,
    ) -> None:
        p = self.params
        keep = 0.5 ** (elapsed / self._scatter_half_life)
        for i, (buckets, n, x, _, e) in enumerate(sums):
            w = weight / buckets  # overlapping windows say the same so many times
            self._volume[i].learn(x - e, e, e * e, w, keep)
            if self._counts and n >= 2:
                v = n * share * (1 - share)
                self._share[i].learn(x - n * share, v, v * (n - 1), w, keep)
        # Winsorised, and in doubt as expected.
        texts = min(total, expected + p.winsor_sd * math.sqrt(expected + 0.3 * expected * expected) + 1)
        self._baseline.learn_volume(texts * weight + expected * (1 - weight), season, elapsed)
        if self._counts:
            cap = weight * min(1.0, max(p.weight_cap * expected, 1.0) / total) if total > 0 else 0.0
            self._baseline.learn_share(cap * negative, cap * (total - negative), elapsed)

    def _watch_silence(self, total: float, expected: float) -> bool:
        """Many expected and none received is an outage; for some time after, volume says nothing (a backlog)."""
        p = self.params
        if total == 0:
            self._missed += expected
            return self._missed > p.outage_expected
        if self._missed > p.outage_expected:
            self._backlog = 1 if self._wide else max(1, round(p.backlog_for / self.bucket))
        self._missed = 0.0
        return False

    def _hold(self, score: float, elapsed: float) -> None:
        """Open, hold, end the alert."""
        p = self.params
        self._offset = max(0.0, self._offset - p.offset_step * p.alerts_a_week * elapsed / (7 * DAY))
        if not self._alert:
            if score >= p.open:
                self._alert, self._low, self._worst = True, 0.0, score
                self._offset = min(p.offset_most, self._offset + p.offset_step)
            return
        self._worst = max(self._worst, score)
        self._low = self._low + elapsed if score < p.close else 0.0
        if self._low >= (self.bucket if self._wide else p.close_after):
            self._alert, self._low, self._worst = False, 0.0, 0.0
            self._windows.clear()  # what raised this alert must not raise the next

    def _severity(self) -> str | None:
        p = self.params
        if not self._alert:
            return None
        return "critical" if self._worst >= p.critical else "warning" if self._worst >= p.warning else "info"

    def rebase(self, ratio: float) -> None:
        """The model changed: it calls ``ratio`` times as many texts negative (odds ratio). What is expected follows.

        Raises:
            ValueError: the ratio is not positive.
        """
        if not (ratio > 0 and math.isfinite(ratio)):
            raise ValueError(f"ratio is {ratio}; it must be positive")
        self._windows.rescale(self._baseline.rebase(ratio))

    def share_ratio(self, ratio: float) -> float:
        """By how much the expected share grew when its odds grew by ``ratio`` to what it is."""
        share = self._baseline.share
        before = share / (1 - share) / ratio
        return share * (1 + before) / before

    def state(self) -> dict[str, Any]:
        """All that a restart needs, JSON-serialisable; a few kB."""
        return {
            "version": self.VERSION,
            "bucket_seconds": self.bucket,
            "mode": self.mode,
            "baseline": self._baseline.state(),
            "windows": self._windows.state(),
            "volume": [s.state() for s in self._volume],
            "share": [s.state() for s in self._share],
            "times": [self._first, self._last],
            "learning": [self._damped, self._missed, self._backlog],
            "alert": [self._alert, self._low, self._worst, self._offset],
        }

    @classmethod
    def restore(cls, state: dict[str, Any], bucket_seconds: int, mode: str = "counts", **options: Any) -> Detector:
        """A detector that goes on exactly where ``state`` was taken; ``options`` as when it was made.

        Raises:
            ValueError: the state is of another version, bucket width or mode.
        """
        if state.get("version") != cls.VERSION:
            raise ValueError(f"detector state of version {state.get('version')!r}; this one is {cls.VERSION!r}")
        if state["bucket_seconds"] != bucket_seconds or state["mode"] != mode:
            raise ValueError(
                f"detector state of {state['bucket_seconds']} s buckets, {state['mode']}; "
                f"asked for {bucket_seconds} s, {mode}"
            )
        made = cls(bucket_seconds, mode, **options)
        made._baseline.load(state["baseline"])
        made._windows.load(state["windows"])
        for scatters, kept in ((made._volume, state["volume"]), (made._share, state["share"])):
            for scatter, values in zip(scatters, kept, strict=True):
                scatter.load(values)
        made._first, made._last = state["times"]
        made._damped, made._missed, made._backlog = state["learning"]
        made._alert, made._low, made._worst, made._offset = state["alert"]
        return made
