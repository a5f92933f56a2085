"""Does the detector keep its promises in buckets of 10 seconds to a day?

    python bench/bucket_widths.py                # some 5 min on 2 cores
    python bench/bucket_widths.py --quick

Simulated series, seeded: a day's shape, intensity and share that wander (AR(1) on the log and logit scale, so that
counts are over-dispersed and neighbouring buckets alike), Poisson texts. Half of the series are left alone, in the
others surges are planted: three times the usual negatives on top, for two hours, or one bucket where these are longer.
Prints for each width and volume: false alarms a series-week on series without surges, the share of surges found before
two hours (or a bucket) after their end, and the median delay in buckets.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from multiprocessing import Pool
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detection.detector import Detector

HOUR, DAY = 3_600, 86_400
START = 1_709_510_400  # Monday, 00:00 UTC
WIDTHS = (10, 60, 600, 3_600, 86_400)
STEP = 600
"""Intensity and share stand still for so many seconds, or for a bucket where these are wider."""
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Series:
    """One simulated series: counts by bucket, and where surges were planted: [first, last) bucket."""

    width: int
    total: Counts
    negative: Counts
    surges: tuple[tuple[int, int], ...]


def wander(rng: np.random.Generator, n: int, steps: float, sd: float) -> NDArray[np.float64]:
    """AR(1) of standard deviation ``sd`` that forgets in so many steps."""
    keep = math.exp(-1 / steps)
    noise = rng.normal(0, sd * math.sqrt(1 - keep * keep), n)
    out = np.empty(n)
    value = rng.normal(0, sd)
    for i in range(n):
        value = keep * value + noise[i]
        out[i] = value
    return out


def simulate(
    width: int, per_hour: float, days: int, seed: int, every: tuple[float, float] | None = None, warm_days: int = 10
) -> Series:
    """A series of ``days`` days; surges come ``every`` so many days (at random between the two), after ``warm_days``;
    None: no surges."""
    rng = np.random.default_rng([width, int(per_hour * 10), seed])
    step = max(STEP, width)
    steps, each = days * DAY // step, step // width
    hour = (np.arange(steps) + 0.5) * step % DAY / HOUR
    shape = 1 + 0.5 * np.cos(2 * np.pi * (hour - 14) / 24) if width < DAY else np.ones(steps)
    intensity = per_hour / HOUR * width * shape * np.exp(wander(rng, steps, 2.5 * HOUR / step, 0.2))
    share = 1 / (1 + np.exp(-(math.log(0.2 / 0.8) + wander(rng, steps, 6 * HOUR / step, 0.15))))
    intensity, share = np.repeat(intensity, each), np.repeat(share, each)
    extra = np.zeros(len(intensity))
    planted: list[tuple[int, int]] = []
    if every:
        long = max(1, 2 * HOUR // width)
        at = warm_days * DAY // width
        gap = [int(e * DAY) // width for e in every]
        while (at := at + int(rng.integers(gap[0], gap[1], endpoint=True))) + long < len(intensity):
            extra[at : at + long] = 3 * 0.2 * per_hour / HOUR * width
            planted.append((at, at + long))
    other = rng.poisson(intensity * (1 - share))
    negative = rng.poisson(intensity * share + extra)
    return Series(width, other + negative, negative, tuple(planted))


@dataclass(slots=True)
class Outcome:
    """Of one series or several."""

    weeks: float = 0.0
    opened: int = 0
    planted: int = 0
    delays: tuple[int, ...] = ()

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.weeks + other.weeks,
            self.opened + other.opened,
            self.planted + other.planted,
            self.delays + other.delays,
        )


def judge(series: Series, warm_days: int = 10) -> Outcome:
    """Alerts opened outside of surges, and delays of those found, from the end of the warm-up on."""
    detector = Detector(series.width, utc_offset_seconds=0)
    grace = max(1, 2 * HOUR // series.width)
    begin = warm_days * DAY // series.width
    opened: list[int] = []
    on: list[int] = []
    was = False
    for i, (total, negative) in enumerate(zip(series.total.tolist(), series.negative.tolist(), strict=True)):
        alert = detector.update(START + (i + 1) * series.width, total, negative).alert
        if alert and i >= begin:
            on.append(i)
            if not was:
                opened.append(i)
        was = alert
    spans = [(a, b + grace) for a, b in series.surges]
    delays = [min((i - a for i in on if a <= i < b), default=None) for a, b in spans]
    false = sum(not any(a <= i < b for a, b in spans) for i in opened)
    weeks = (len(series.total) - begin) * series.width / (7 * DAY)
    return Outcome(weeks, false, len(spans), tuple(d for d in delays if d is not None))


def _job(task: tuple[int, float, int, int, bool]) -> Outcome:
    width, per_hour, days, seed, surges = task
    warm = 60 if width == DAY else 10
    every = None if not surges else (6, 10) if width == DAY else (2, 4)
    return judge(simulate(width, per_hour, days, seed, every, warm), warm)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the series")
    parser.add_argument("--series", type=int, default=8, help="of each width, volume and sort")
    parser.add_argument("--procs", type=int, default=2)
    args = parser.parse_args()
    n = max(1, args.series // 4) if args.quick else args.series
    days = {10: 20, 60: 30, 600: 70, 3_600: 180, 86_400: 1_460}
    print("| bucket | texts an hour | series-weeks | false alarms a week | surges | found | median delay, buckets |")
    print("|---|---|---|---|---|---|---|")
    with Pool(args.procs) as pool:
        for width in WIDTHS:
            for per_hour in (5.0, 50.0, 500.0):
                tasks = [(width, per_hour, days[width], seed, s) for seed in range(n) for s in (False, True)]
                said = pool.map(_job, tasks, chunksize=1)
                alone: Outcome = sum((o for o, t in zip(said, tasks, strict=True) if not t[4]), Outcome())
                surged: Outcome = sum((o for o, t in zip(said, tasks, strict=True) if t[4]), Outcome())
                print(_row(width, per_hour, alone, surged), flush=True)


def _row(width: int, per_hour: float, alone: Outcome, surged: Outcome) -> str:
    delay: Any = int(np.median(surged.delays)) if surged.delays else "-"
    return (
        f"| {width:,} s | {per_hour:g} | {alone.weeks:.0f} | {alone.opened / alone.weeks:.3f} | {surged.planted} "
        f"| {len(surged.delays) / max(1, surged.planted):.2f} | {delay} |"
    )


if __name__ == "__main__":
    main()
