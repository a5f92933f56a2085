"""What each mechanism of the detector is worth: it is switched off, everything else stays, and spikebench is run.

    python bench/detector_ablations.py --spikebench ../shared/spikebench            # some 20 min on 2 cores
    python bench/detector_ablations.py --quick                                      # 2 topics a class: 5 min

Prints, for each of both splits, recall at 1, 0.25 and 0.1 false alarms a topic-month, the detector's own alert (recall,
false alarms a topic-week), false alarms a week in days 2 to 14, the median delay of those found and the share of all
found within 3 buckets (at 1 a month), and how many surges are lost and gained at 1 a month
against the whole detector: a mechanism earns its lines by surges, by false alarms, or by what no simulator shows.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np

import monitor.detection.detector as the_detector
from monitor.bench import Adapter
from monitor.detection.detector import Detector, DetectorParams
from monitor.detection.tail_probabilities import count_surprise, share_surprise
from monitor.detection.windows import Scatter, Sums, Windows

DAY = 86_400.0
BUDGETS = (1.0, 0.25, 0.1)
SOON = 3
"""Buckets."""
Topics = list[Any]


class WithoutReset(Detector):
    """Windows go on when an alert ends."""

    def _hold(self, score: float, elapsed: float) -> None:
        windows, self._windows = self._windows, Windows(self.bucket, self._wide)
        super()._hold(score, elapsed)
        self._windows = windows


class OneWindow(Detector):
    """The last bucket alone."""

    def _weigh(self, sums: list[Sums], share: float) -> tuple[float, int, str | None]:
        return super()._weigh(sums[:1], share)


class NoLongWindows(Detector):
    """None beyond two hours."""

    def _weigh(self, sums: list[Sums], share: float) -> tuple[float, int, str | None]:
        return super()._weigh(sums[:4], share)


class SureShare(Detector):
    """The expected share is taken for known, however few texts it rests on."""

    def _weigh(self, sums: list[Sums], share: float) -> tuple[float, int, str | None]:
        baseline = self._baseline
        self._baseline = _Sure(baseline.share_weight)  # type: ignore[assignment]
        out = super()._weigh(sums, share)
        self._baseline = baseline
        return out


class _Sure:
    def __init__(self, weight: float) -> None:
        self.share_weight = max(weight, 1e12)


class VolumeOnly(Detector):
    """No share arm; and the volume arm knows nothing of the share."""

    def _weigh(self, sums: list[Sums], share: float) -> tuple[float, int, str | None]:
        self._counts = False
        out = super()._weigh(sums, share)
        self._counts = True
        return out


class ShareOnly(Detector):
    """No volume arm, as in a backlog that never ends."""

    def _weigh(self, sums: list[Sums], share: float) -> tuple[float, int, str | None]:
        kept, self._backlog = self._backlog, 1
        out = super()._weigh(sums, share)
        self._backlog = kept
        return out


class RawScatter(Scatter):
    """A surge counts as scatter."""

    __slots__ = ()

    def learn(self, error: float, variance: float, scale: float, weight: float, keep: float) -> None:
        now = variance + self.value * scale
        w = weight * scale / (variance + 2 * now * now)
        self._sum = self._sum * keep + w * (error * error - variance)
        self._weight = self._weight * keep + w * scale
        value = (self._prior * self._information + self._sum) / (self._information + self._weight)
        self.value = min(max(value, 0.0005), 5.0)


def signed_root_count(seen: float, expected: float, dispersion: float) -> float:
    """-log10 of the normal tail of the signed root of the negative binomial's deviance, as textbooks have it."""
    if seen <= expected:
        return 0.0
    k = 1 / dispersion
    deviance = seen * math.log(seen / expected) - (seen + k) * math.log((seen + k) / (expected + k))
    return _normal_tail(math.sqrt(max(0.0, 2 * deviance)))


def signed_root_share(negative: float, total: float, share: float, inflation: float) -> float:
    """The same of the binomial's."""
    if total <= 0 or negative <= total * share:
        return 0.0
    p = negative / total
    rest = 0.0 if p >= 1 else (total - negative) * math.log((1 - p) / (1 - share))
    return _normal_tail(math.sqrt(max(0.0, 2 * (negative * math.log(p / share) + rest) / inflation)))


def _normal_tail(z: float) -> float:
    tail = math.erfc(z / math.sqrt(2)) / 2
    return -math.log10(tail) if tail > 1e-300 else z * z / 2 / math.log(10)


@dataclass(frozen=True, slots=True)
class Variant:
    """The detector without one of its mechanisms."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    cls: type[Detector] = Detector
    off: Callable[[Any], bool] | None = None
    roots: bool = False
    raw: bool = False

    def make(self, bucket_seconds: int) -> Adapter:
        params = replace(DetectorParams(), **self.params)
        made = self.cls(bucket_seconds, params=params, utc_offset_seconds=0, is_day_off=self.off)
        if self.raw:
            p = made.params
            made._volume = [RawScatter(p.volume_scatter, p.volume_information) for _ in made._volume]
            made._share = [RawScatter(p.share_scatter, p.share_information) for _ in made._share]
        return Adapter(made)


KNOWN = 1e15  # an information that no data outweighs
VARIANTS = (
    Variant("the whole detector"),
    Variant("no winsorising of volume", {"winsor_sd": math.inf}),
    Variant("no cap on a bucket's weight in the share", {"weight_cap": math.inf}),
    Variant("a tighter cap on a bucket's weight (1.5)", {"weight_cap": 1.5}),
    Variant("no damped learning", {"damped_weight": 1.0}),
    Variant("damped without end", {"damped_for": math.inf}),
    Variant("a calm bucket makes up for 2 hot ones", {"damped_recovery": 2.0}),
    Variant("surges count as scatter", raw=True),
    Variant("one window (the last bucket)", cls=OneWindow),
    Variant("no windows beyond 2 h", cls=NoLongWindows),
    Variant("no fee for short windows", {"window_fee": 0.0}),
    Variant("a smaller fee (0.35)", {"window_fee": 0.35}),
    Variant(
        "no over-dispersion (Poisson, binomial)",
        {
            "volume_scatter": 0.0005,
            "volume_information": KNOWN,
            "share_scatter": 0.0005,
            "share_information": KNOWN,
        },
    ),
    Variant("over-dispersion not learnt", {"volume_information": KNOWN, "share_information": KNOWN}),
    Variant("share taken for known", cls=SureShare),
    Variant("signed roots for saddlepoint tails", roots=True),
    Variant("volume arm alone", cls=VolumeOnly),
    Variant("share arm alone", cls=ShareOnly),
    Variant("no prior of neutral bursts", {"burst_prior": 1e-30}),
    Variant("share not asked to rise (1.25)", {"min_lift": 1.0}),
    Variant("share arm without its volume conditions", {"min_excess": 1.0, "min_volume": 0.0}),
    Variant("at least 4 negatives", {"min_negative": 4.0}),
    Variant("no least number of negatives", {"min_negative": 1.0, "told_negative": 0.0}),
    Variant("no recency", {"recent_share": -math.inf}),
    Variant("no reset of the windows", cls=WithoutReset),
    Variant("no outage mode", {"outage_expected": math.inf}),
    Variant("no backlog mode", {"backlog_for": 0.0}),
    Variant("no hysteresis", {"close": 3.6, "close_after": 0.0}),
    Variant("no offset of erratic series", {"offset_step": 0.0}),
    Variant("one day profile for all days", off=lambda _day: False),
    Variant("no day profile", {"pseudo_counts": 1e9}),
    Variant("no cold start rules", {"cold_for": 0.0, "wary_for": 0.0}),
    Variant("not wary in the first week", {"wary_for": 0.0}),
)

_topics: dict[str, Topics] = {}
_run_series: Callable[..., Any]


def _job(task: tuple[str, int, int]) -> tuple[Any, Any, float]:
    split, variant, topic = task
    v, tp = VARIANTS[variant], _topics[split][topic]
    the_detector.count_surprise = signed_root_count if v.roots else count_surprise
    the_detector.share_surprise = signed_root_share if v.roots else share_surprise
    return _run_series(v.make(tp.bucket_s), tp.ts, tp.total, tp.negative, tp.delivered)


def measure(split: str, variant: int, evaluator: Any, pool: Any) -> dict[str, Any]:
    """What spikebench says of a variant on a split."""
    said = pool.map(_job, [(split, variant, i) for i in range(len(_topics[split]))], chunksize=2)
    scores, alerts = [x[0] for x in said], [x[1] for x in said]
    out: dict[str, Any] = {"us": float(np.mean([x[2] for x in said]))}
    for budget in BUDGETS:
        delays, _ = evaluator.at_threshold(scores, evaluator.threshold_for_budget(scores, budget))
        out[f"{budget}"] = np.mean([d is not None for d in delays])
        if budget == 1.0:
            out["found"] = np.array([d is not None for d in delays])
            found = [d for d in delays if d is not None]
            out["delay"] = float(np.median(found)) if found else math.nan
            out["soon"] = np.mean([d is not None and d <= SOON for d in delays])
    delays, false_alarms = evaluator.at(alerts)
    own = evaluator.summary(delays, false_alarms)
    out |= {"own": own["recall"], "own_false": own["fa_per_topic_week"], "cold": evaluator.cold(alerts)}
    return out


def row(name: str, r: dict[str, Any], whole: dict[str, Any]) -> str:
    lost, gained = int((whole["found"] & ~r["found"]).sum()), int((~whole["found"] & r["found"]).sum())
    recalls = " / ".join(f"{r[str(b)]:.3f}" for b in BUDGETS)
    moved = "" if r is whole else f"−{lost} +{gained}"
    delay = f"{r['delay']:.0f} / {r['soon']:.2f}"
    return f"| {name} | {recalls} | {moved} | {delay} | {r['own']:.2f} / {r['own_false']:.2f} | {r['cold']:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spikebench", type=Path, default=Path("../shared/spikebench"))
    parser.add_argument("--splits", default="dev,dev2", help="names, or seeds of your own to choose constants by")
    parser.add_argument("--per-class", type=int, default=8, help="topics for each of 7 volume classes")
    parser.add_argument("--quick", action="store_true", help="2 topics a class")
    parser.add_argument("--only", default="", help="variants whose names hold one of these, by commas")
    parser.add_argument("--procs", type=int, default=2)
    args = parser.parse_args()
    if not (args.spikebench / "simulate.py").is_file():
        raise SystemExit(f"no spikebench in {args.spikebench}: name its folder with --spikebench")
    sys.path.insert(0, str(args.spikebench))
    import metrics
    import run
    import simulate

    global _run_series
    _run_series = run.run_series
    per_class = 2 if args.quick else args.per_class
    wanted = [i for i, v in enumerate(VARIANTS) if i == 0 or any(x in v.name for x in args.only.split(","))]
    for split in args.splits.split(","):
        seed = int(split) if split.isdecimal() else simulate.SEEDS[split]
        _topics[split] = [simulate.make_topic(seed, c, k) for c in simulate.CLASSES for k in range(per_class)]
    with Pool(args.procs) as pool:  # after the topics are made: workers inherit them
        for split, topics in _topics.items():
            ev = metrics.Evaluator(topics)
            print(f"\n{split}: {len(topics)} topics, {ev.months:.0f} topic-months, {len(ev.surges)} surges\n")
            print("| without | recall at 1 / 0.25 / 0.1 | surges lost, gained | delay, within 3 | own alert | cold |")
            print("|---|---|---|---|---|---|", flush=True)
            begin, whole = time.monotonic(), None
            for i in wanted:
                r = measure(split, i, ev, pool)
                whole = whole or r
                print(row(VARIANTS[i].name, r, whole), flush=True)
            print(f"\n{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
