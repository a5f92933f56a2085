"""Percentiles, and a slope with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np


def percentile(values: Sequence[float], q: float) -> float:
    """The smallest value that at least ``q`` percent of the values do not exceed (nearest rank)."""
    return float(np.percentile(values, q, method="inverted_cdf"))


def line(name: str, seconds: Sequence[float], limit_ms: float, note: str = "") -> str:
    """One row of a table, in milliseconds; marked where the 95th percentile is above the limit."""
    ms = [1_000 * s for s in seconds]
    p50, p95, p99 = (percentile(ms, q) for q in (50, 95, 99))
    late = f"  OVER {limit_ms:.0f}" if p95 > limit_ms else ""
    return f"{name[:64]:64} {len(ms):5} {p50:8.1f} {p95:8.1f} {p99:8.1f} {max(ms):8.1f}{late}{note}"


HEAD = f"{'':64} {'n':>5} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8}"


def slope(times: Sequence[float], values: Sequence[float], blocks: int = 12) -> tuple[float, float]:
    """Least-squares slope and half of its 95 % interval, from the means of equal blocks: neighbouring samples of memory
    are far from independent, means of minutes are less so. Student's t for few blocks."""
    t = np.array([np.mean(x) for x in np.array_split(np.asarray(times, float), blocks)])
    v = np.array([np.mean(x) for x in np.array_split(np.asarray(values, float), blocks)])
    centred = t - t.mean()
    rise = float((centred * v).sum() / (centred**2).sum())
    rest = v - v.mean() - rise * centred
    error = sqrt(float((rest**2).sum()) / (blocks - 2) / float((centred**2).sum()))
    return rise, 2.228 * error if blocks == 12 else 2.5 * error
