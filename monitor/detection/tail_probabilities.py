"""How surprising a count is: -log10 of upper tail probabilities, in constant time.

Saddlepoint tails of Lugannani and Rice (1980) with Daniels' (1987) form for lattices, as mid-p values: half of the
probability of the value seen itself counts, so that a rare topic's few possible values are not judged more harshly than
a busy topic's many. A plain signed root of the deviance overstates small counts: six negatives of six texts at a usual
share of a quarter have p = 10^-3.9 (mid-p), and the root says 10^-4.6.
"""

from __future__ import annotations

import math

LN10 = math.log(10)


def _log10_tail(r: float, u: float) -> float:
    """-log10 of Phi(-r) + phi(r) (1/u - 1/r), by Mills' ratio so that nothing underflows."""
    if r < 0.05:
        return 0.3
    if r < 25:
        mills = math.sqrt(math.pi / 2) * math.erfc(r / math.sqrt(2)) * math.exp(r * r / 2)
    else:
        mills = (1 - 1 / (r * r)) / r
    factor = mills + 1 / u - 1 / r
    if factor <= 0:
        factor = mills
    return max(0.0, (r * r / 2 + math.log(2 * math.pi) / 2 - math.log(factor)) / LN10)


def count_surprise(seen: float, expected: float, dispersion: float) -> float:
    """-log10 P(X >= seen) of a negative binomial, mean m = ``expected``, variance m + dispersion m^2; 0 below m."""
    if seen <= expected:
        return 0.0
    k = 1 / dispersion
    theta = math.log(seen * (expected + k) / (expected * (seen + k)))
    deviance = seen * theta - k * math.log((seen + k) / (expected + k))
    if deviance <= 0 or theta <= 0:
        return 0.0
    spread = math.sqrt(seen + dispersion * seen * seen)
    return _log10_tail(math.sqrt(2 * deviance), 2 * math.tanh(theta / 2) * spread)


def share_surprise(negative: float, total: float, share: float, inflation: float) -> float:
    """-log10 P(X >= negative) of a binomial whose variance is ``inflation`` times as large (as if so many texts were
    one); 0 below total x share."""
    n, x = total / inflation, negative / inflation
    if total <= 0 or negative <= total * share:
        return 0.0
    if n - x < 1e-9 * n:
        return max(0.0, -n * math.log10(share) + math.log10(2.0))
    p = x / n
    theta = math.log(p / (1 - p) * (1 - share) / share)
    deviance = x * math.log(p / share) + (n - x) * math.log((1 - p) / (1 - share))
    if deviance <= 0 or theta <= 0:
        return 0.0
    return _log10_tail(math.sqrt(2 * deviance), 2 * math.tanh(theta / 2) * math.sqrt(n * p * (1 - p)))
