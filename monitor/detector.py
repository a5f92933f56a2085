"""The detector of negative surges: one small object a series and kind, fed once a closed bucket.

    >>> d = Detector(bucket_seconds=600)
    >>> for i in range(1, 1001):
    ...     j = d.update(600 * i, total=20, negative=4)
    >>> j.alert, j.expected_negative > 3
    (False, True)
    >>> for i in range(1001, 1005):
    ...     j = d.update(600 * i, total=40, negative=28)
    >>> j.alert, j.severity
    (True, 'critical')

Method (the project's design, section 4): an expected level of totals (discounted Gamma times a day profile) and of the
negative share (discounted Beta); over several windows the signed root deviance of a negative binomial for the count of
negatives (volume arm) and of a binomial with over-dispersion for their share (share arm); the score is the largest
-log10 of their upper normal tails. Over-dispersions are discounted moments. A window counts only if its excess is
recent. Cost is O(windows) an update; the state is small and is all that a restart needs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime
from typing import Any, ClassVar

DAY = 86_400.0

Sums = tuple[float, float, float, float]
"""Of one window: texts, negatives, expected texts, expected negatives."""


@dataclass(frozen=True, slots=True)
class DetectorParams:
    """Constants of the method; half-lives and times in seconds."""

    open: float = 3.6
    close: float = 2.0
    close_after: float = 1_800.0
    info: float = 3.4
    warning: float = 4.1
    critical: float = 4.7
    level_half_life: float = 2 * DAY
    profile_half_life: float = 14 * DAY
    share_half_life: float = 4 * DAY
    pseudo_counts: float = 15.0
    hot: float = 2.5
    """From this score on, learning is damped."""
    damped_weight: float = 0.05
    damped_for: float = 36 * 3600.0
    min_negative: int = 4
    min_lift: float = 1.25
    """The share seen must be so many times the expected one."""
    min_excess: float = 1.4
    """The share arm needs so many times the expected negatives."""
    recent_share: float = 0.4
    outage_expected: float = 8.0
    """So many texts missed in silence are an outage."""
    backlog_for: float = 3 * 3600.0
    cold_for: float = DAY
    wary_for: float = 7 * DAY
    wary_extra: float = 0.4
    wide_from: float = 1_800.0
    """Buckets wider than this are judged with the windows and times for days."""


@dataclass(slots=True)
class Judgement:
    """What the detector says of a bucket."""

    score: float
    """max -log10 p over arms and windows; 0 while silent."""
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
    window_expected_negative: float
    window_seen_negative: float
    window_seen_total: float
    arm: str | None
    outage: bool
    cold: bool


@dataclass(slots=True)
class GroupPrior:
    """What a new series borrows from its group until it has its own."""

    share: float = 0.2
    weight: float = 5.0


@dataclass(slots=True)
class _State:
    first: float | None = None
    last: float | None = None
    level: list[float] = field(default_factory=lambda: [0.0, 0.0])  # Gamma: texts, exposure
    seen: list[list[float]] = field(default_factory=lambda: [[0.0] * 24, [0.0] * 24])
    exposed: list[list[float]] = field(default_factory=lambda: [[0.0] * 24, [0.0] * 24])
    profile: list[list[float]] = field(default_factory=lambda: [[1.0] * 24, [1.0] * 24])
    share: list[float] = field(default_factory=lambda: [0.0, 0.0])  # Beta: negative, other
    volume_moments: list[list[float]] = field(default_factory=list)
    share_moments: list[list[float]] = field(default_factory=list)
    recent: list[list[float]] = field(default_factory=list)
    damped: int = 0
    missed: float = 0.0
    backlog: int = 0
    alert: bool = False
    low: int = 0
    worst: float = 0.0


def upper_tail(z: float) -> float:
    """-log10 of the upper normal tail at ``z``; asymptotic where it underflows (Abramowitz and Stegun 26.2.12)."""
    if z < 30:
        return -math.log10(max(0.5 * math.erfc(z / math.sqrt(2)), 1e-300))
    return z * z / 2 / math.log(10) + math.log10(z * math.sqrt(2 * math.pi))


def volume_z(seen: float, expected: float, dispersion: float) -> float:
    """Signed root deviance of a negative binomial of mean m = ``expected`` and variance m + dispersion m^2; 0 below."""
    if seen <= expected:
        return 0.0
    d = seen * math.log(seen / expected) - (seen + 1 / dispersion) * math.log(
        (1 + dispersion * seen) / (1 + dispersion * expected)
    )
    return math.sqrt(2 * max(d, 0.0))


def share_z(negative: float, total: float, share: float, correlation: float, effective: float) -> float:
    """Signed root deviance of a binomial, shrunk by the texts' correlation and by how little ``share`` is known."""
    if total <= 0 or negative <= total * share:
        return 0.0
    p = negative / total
    d = negative * math.log(p / share)
    if p < 1:
        d += (total - negative) * math.log((1 - p) / (1 - share))
    return math.sqrt(2 * max(d, 0.0) / (1 + (total - 1) * correlation + total / effective))


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

    VERSION: ClassVar[str] = "surge-1"

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
        self.params = params or DetectorParams()
        self.prior = prior or GroupPrior()
        self.utc_offset_seconds = utc_offset_seconds
        """May be set between updates, where clocks change."""
        self._is_day_off = is_day_off
        self._wide = bucket_seconds > self.params.wide_from
        self.windows = windows(bucket_seconds, self._wide)
        self._s = _State(
            volume_moments=[[0.3, 1.0] for _ in self.windows], share_moments=[[0.02, 1.0] for _ in self.windows]
        )
        self._recent: deque[list[float]] = deque(maxlen=self.windows[-1])
        self._day: tuple[int, int] = (-1, 0)

    def update(self, end_ts: float, total: float, negative: float) -> Judgement:
        """Judge the bucket that ended at ``end_ts`` (epoch seconds), then learn from it.

        A stretch in which the feed is known to have stopped is left out: time passes, nothing is judged.
        """
        s, p = self._s, self.params
        if s.first is None:
            s.first = end_ts
        elapsed = self.bucket if s.last is None else max(self.bucket, end_ts - s.last)
        s.last = end_ts
        season, off, hour = self._season(end_ts)
        expected = max((s.level[0] + 0.02) / (s.level[1] + 1.0) * season, 1e-4)
        share = self._share()
        outage = self._watch_silence(total, expected)
        self._recent.append([total, negative, expected, expected * share])
        sums = self._sums()
        cold = end_ts - s.first < (7 * self.bucket if self._wide else p.cold_for)
        score, index, arm = (0.0, 0, None) if cold or outage else self._score(sums, share)
        if not self._wide and end_ts - s.first < p.wary_for:
            score = max(0.0, score - p.wary_extra)
        self._learn(sums, total, negative, expected, share, season, off, hour, elapsed, score, outage)
        if s.backlog:
            s.backlog -= 1
        self._alert(score)
        return self._judgement(score, index, arm, sums, expected, share, outage, cold)

    def _score(self, sums: list[Sums], share: float) -> tuple[float, int, str | None]:
        p, s = self.params, self._s
        best: tuple[float, int, str | None] = (0.0, 0, None)
        effective = s.share[0] + s.share[1] + self.prior.weight
        for i, (total, negative, _, expected) in enumerate(sums):
            if (
                negative < p.min_negative
                or negative <= expected
                or not self._is_recent(self.windows[i], negative, expected)
            ):
                continue
            z_volume = volume_z(negative, expected, self._dispersion(i))
            if self.mode == "univariate":
                best = max(best, (upper_tail(z_volume), i, "volume"), key=lambda x: x[0])
                continue
            if total <= 0 or negative / total < p.min_lift * share:
                continue
            z_share = share_z(negative, total, share, self._correlation(i), effective)
            if not s.backlog:
                # A burst of neutral texts happens by itself now and then: the volume arm is no surer than that.
                tail = 10 ** -upper_tail(z_volume) + 0.002 * 10 ** -upper_tail(z_share)
                best = max(best, (-math.log10(max(tail, 1e-300)), i, "volume"), key=lambda x: x[0])
            if negative >= p.min_excess * expected and z_volume >= 1:
                best = max(best, (upper_tail(z_share), i, "share"), key=lambda x: x[0])
        return best

    def _is_recent(self, window: int, negative: float, expected: float) -> bool:
        """Whether the window's last ~4 w / X buckets hold enough of its excess."""
        tail = min(window, max(1, math.ceil(4 * window / negative)))
        excess = sum(self._recent[-1 - k][1] - self._recent[-1 - k][3] for k in range(tail))
        return excess >= self.params.recent_share * (negative - expected)

    def _sums(self) -> list[Sums]:
        """(total, negative, expected total, expected negative) of each window that is filled."""
        out, n, j = [], len(self._recent), 0
        a = b = c = d = 0.0
        for w in self.windows:
            if w > n:
                break
            while j < w:
                row = self._recent[n - 1 - j]
                a, b, c, d = a + row[0], b + row[1], c + row[2], d + row[3]
                j += 1
            out.append((a, b, c, d))
        return out

    def _learn(
        self, sums: list[Sums], total: float, negative: float, expected: float, share: float,
        season: float, off: int, hour: int, elapsed: float, score: float, outage: bool,
    ) -> None:  # fmt: skip
        s, p = self._s, self.params
        hot = score >= p.hot
        most = 3 if self._wide else p.damped_for / self.bucket
        weight = p.damped_weight if hot and s.damped < most else 1.0
        s.damped = s.damped + 1 if hot else max(0, s.damped - 2)
        if outage:
            return
        keep = 0.5 ** (elapsed / p.share_half_life)
        for i, (n, x, _, e) in enumerate(sums):
            w = self.windows[i]
            square = min((x - e) ** 2, 16 * (e + self._dispersion(i) * e * e))
            moments = s.volume_moments[i]
            moments[0] = max(0.0, moments[0] * keep + weight * (square - e) / w)
            moments[1] = moments[1] * keep + weight * e * e / w
            if n >= 2 and self.mode == "counts":
                v = n * share * (1 - share)
                square = min((x - n * share) ** 2, 16 * v * (1 + (n - 1) * self._correlation(i)))
                moments = s.share_moments[i]
                moments[0] = max(0.0, moments[0] * keep + weight * (square - v) / w)
                moments[1] = moments[1] * keep + weight * v * (n - 1) / w
        # Winsorised, and in doubt as expected.
        x = min(total, expected + 3 * math.sqrt(expected + 0.3 * expected * expected) + 1)
        x = x * weight + expected * (1 - weight)
        keep_level = 0.5 ** (elapsed / p.level_half_life)
        s.level = [s.level[0] * keep_level + x, s.level[1] * keep_level + season]
        self._learn_profile(x, off, hour, 0.5 ** (self.bucket / p.profile_half_life))
        # A neutral burst must not depress the share: a bucket weighs at most 1.5 times what was expected.
        cap = weight * min(1.0, max(1.5 * expected, 1.0) / total) if total > 0 else 0.0
        s.share = [s.share[0] * keep + cap * negative, s.share[1] * keep + cap * (total - negative)]

    def _learn_profile(self, x: float, off: int, hour: int, keep: float) -> None:
        s, k = self._s, self.params.pseudo_counts
        s.seen[off][hour] = s.seen[off][hour] * keep + x
        s.exposed[off][hour] = s.exposed[off][hour] * keep + (s.level[0] + 0.02) / (s.level[1] + 1.0)
        both = (s.seen[0][hour] + s.seen[1][hour] + k) / (s.exposed[0][hour] + s.exposed[1][hour] + k)
        s.profile[off][hour] = min(max((s.seen[off][hour] + k * both) / (s.exposed[off][hour] + k), 0.03), 30.0)

    def _season(self, end_ts: float) -> tuple[float, int, int]:
        """(factor, day off?, hour) at the middle of the bucket, interpolated between hours."""
        local = end_ts - self.bucket / 2 + self.utc_offset_seconds
        day = int(local // DAY)
        if day != self._day[0]:
            self._day = (day, self._off(day))
        off = self._day[1]
        profile = self._s.profile[off]
        if self.bucket >= DAY:
            return profile[0], off, 0
        x = local % DAY / 3600
        k = math.floor(x - 0.5)
        u = x - 0.5 - k
        return (1 - u) * profile[k % 24] + u * profile[(k + 1) % 24], off, int(x)

    def _off(self, day: int) -> int:
        if self._is_day_off is not None:
            return int(self._is_day_off(datetime.fromtimestamp(day * DAY, UTC).date()))
        return int((day + 3) % 7 >= 5)  # epoch day 0 was a Thursday

    def _share(self) -> float:
        if self.mode == "univariate":
            return 1.0
        s, prior = self._s, self.prior
        p = (s.share[0] + prior.share * prior.weight) / (s.share[0] + s.share[1] + prior.weight)
        return min(max(p, 0.005), 0.95)

    def _dispersion(self, i: int) -> float:
        a, b = self._s.volume_moments[i]
        return min(max(a / b, 0.003), 3.0) if b > 0 else 0.3

    def _correlation(self, i: int) -> float:
        a, b = self._s.share_moments[i]
        return min(max(a / b, 0.0005), 0.3) if b > 0 else 0.02

    def _watch_silence(self, total: float, expected: float) -> bool:
        """Many expected and none received is an outage; for some time after, volume says nothing (a backlog)."""
        s, p = self._s, self.params
        if total == 0:
            s.missed += expected
            return s.missed > p.outage_expected
        if s.missed > p.outage_expected:
            s.backlog = 1 if self._wide else max(1, round(p.backlog_for / self.bucket))
        s.missed = 0.0
        return False

    def _alert(self, score: float) -> None:
        s, p = self._s, self.params
        if not s.alert:
            if score >= p.open:
                s.alert, s.low, s.worst = True, 0, score
            return
        s.worst = max(s.worst, score)
        s.low = s.low + 1 if score < p.close else 0
        if s.low * self.bucket >= (self.bucket if self._wide else p.close_after):
            s.alert, s.low, s.worst = False, 0, 0.0
            self._recent.clear()  # what raised this alarm must not raise the next

    def _severity(self) -> str | None:
        p = self.params
        if not self._s.alert:
            return None
        return "critical" if self._s.worst >= p.critical else "warning" if self._s.worst >= p.warning else "info"

    def _judgement(
        self, score: float, index: int, arm: str | None, sums: list[Sums],
        expected: float, share: float, outage: bool, cold: bool,
    ) -> Judgement:  # fmt: skip
        e = expected * share
        spread = 2 * math.sqrt(e + self._dispersion(0) * e * e)
        window = sums[index] if index < len(sums) else (0.0, 0.0, 0.0, 0.0)
        return Judgement(
            score, self._s.alert, self._severity(), expected, e, share, max(0.0, e - spread), e + spread,
            self.windows[index], window[3], window[1], window[0], arm, outage, cold,
        )  # fmt: skip

    def rebase(self, ratio: float) -> None:
        """The model changed: it calls ``ratio`` times as many texts negative (odds ratio). What is expected follows.

        Raises:
            ValueError: the ratio is not positive.
        """
        if ratio <= 0:
            raise ValueError(f"ratio is {ratio}; it must be positive")
        s = self._s
        before = self._share()
        total = s.share[0] + s.share[1]
        odds = ratio * before / (1 - before)
        after = odds / (1 + odds)
        k = self.prior.weight
        self.prior = GroupPrior(after, k)
        s.share = [total * after, total * (1 - after)]
        for row in self._recent:
            row[1] = min(row[0], row[1] * after / before)
            row[3] *= after / before

    def state(self) -> dict[str, Any]:
        """All that a restart needs, JSON-serialisable."""
        values = asdict(self._s)
        values["recent"] = [list(r) for r in self._recent]
        return {"version": self.VERSION, "prior": asdict(self.prior), **values}

    @classmethod
    def restore(cls, state: dict[str, Any], bucket_seconds: int, mode: str = "counts", **options: Any) -> Detector:
        """A detector that goes on exactly where ``state`` was taken.

        Raises:
            ValueError: the state is of another version, or of other windows.
        """
        if state.get("version") != cls.VERSION:
            raise ValueError(f"detector state of version {state.get('version')!r}; this one is {cls.VERSION!r}")
        made = cls(bucket_seconds, mode, **{**options, "prior": GroupPrior(**state["prior"])})
        known = {f.name for f in fields(_State)}
        made._s = _State(**{k: v for k, v in state.items() if k in known})
        if len(made._s.volume_moments) != len(made.windows):
            raise ValueError("detector state of another bucket width")
        made._recent.extend(list(r) for r in made._s.recent)
        made._s.recent = []
        return made


def windows(bucket_seconds: float, wide: bool) -> tuple[int, ...]:
    """Window lengths in buckets: 1 bucket, 0.5, 1, 2, 6 and 12 h; 1, 2, 3, 7 buckets where these are wide."""
    if wide:
        return (1, 2, 3, 7)
    return tuple(sorted({1, *(max(1, round(h * 3600 / bucket_seconds)) for h in (0.5, 1, 2, 6, 12))}))
