"""The last buckets, summed over windows of several lengths, and how widely such sums usually scatter."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

BLOCK_SECONDS = 300.0
"""Buckets narrower than this are kept in blocks, else half a day of ten-second buckets would be the whole state."""


class Sums(NamedTuple):
    """Of one window."""

    buckets: float
    total: float
    negative: float
    expected_total: float
    expected_negative: float


ZERO = Sums(0.0, 0.0, 0.0, 0.0, 0.0)


def lengths(bucket_seconds: float, wide: bool) -> tuple[int, ...]:
    """Windows in blocks (a bucket, or several narrow ones). The first is the last bucket alone: 1, or 0 where blocks
    have several. Then 0.5, 1, 2, 6 and 12 h; 2, 3 and 7 buckets where these are wide."""
    if wide:
        return (1, 2, 3, 7)
    block = block_buckets(bucket_seconds) * bucket_seconds
    hours = {max(1, round(h * 3600 / block)) for h in (0.5, 1, 2, 6, 12)}
    return tuple(sorted({int(block == bucket_seconds), *hours}))


def block_buckets(bucket_seconds: float) -> int:
    """Buckets in a block."""
    return max(1, math.ceil(BLOCK_SECONDS / bucket_seconds))


def longest_ms(bucket_seconds: float) -> int:
    """No window reaches further back."""
    blocks = max(*lengths(bucket_seconds, True), *lengths(bucket_seconds, False)) + 1
    return int(blocks * block_buckets(bucket_seconds) * bucket_seconds * 1000)


class Windows:
    """Cumulated sums at the ends of blocks; a window is a difference of two, so that an update costs the same for any
    length. Windows are so many whole blocks and the one that is being filled."""

    def __init__(self, bucket_seconds: float, wide: bool) -> None:
        self.lengths = lengths(bucket_seconds, wide)
        self._per_block = block_buckets(bucket_seconds)
        self._ends: deque[Sums] = deque([ZERO], maxlen=self.lengths[-1] + 1)
        self._now = ZERO
        self._last = ZERO

    def push(self, total: float, negative: float, expected_total: float, expected_negative: float) -> None:
        """One bucket more."""
        n = self._now
        self._last = Sums(1.0, total, negative, expected_total, expected_negative)
        self._now = Sums(n[0] + 1.0, n[1] + total, n[2] + negative, n[3] + expected_total, n[4] + expected_negative)
        if self._now.buckets - self._ends[-1].buckets >= self._per_block:
            self._ends.append(self._now)
            if self._now.buckets > 4 * self._per_block * self.lengths[-1]:
                self._rebase()

    def sums(self) -> list[Sums]:
        """Of each window that is filled, in the order of ``lengths``; the last bucket's is always there."""
        ends, now, n = self._ends, self._now, len(self._ends)
        out = [self._last]
        for length in self.lengths[1:]:
            if length >= n:
                break
            out.append(_minus(now, ends[n - 1 - length]))
        return out

    def tail_excess(self, blocks: int) -> float:
        """Negatives beyond expectation in the last ``blocks`` blocks (and in the one that is being filled)."""
        now, start = self._now, self._ends[max(0, len(self._ends) - 1 - blocks)]
        return (now.negative - start.negative) - (now.expected_negative - start.expected_negative)

    def clear(self) -> None:
        """Forget: what raised one alarm must not raise the next."""
        self._ends.clear()
        self._ends.append(ZERO)
        self._now = self._last = ZERO

    def rescale(self, factor: float) -> None:
        """Seen and expected negatives times ``factor``, as another model would have counted them."""

        def scaled(s: Sums) -> Sums:
            return Sums(s[0], s[1], s[2] * factor, s[3], s[4] * factor)

        ends = [scaled(s) for s in self._ends]
        self._ends.clear()
        self._ends.extend(ends)
        self._now, self._last = scaled(self._now), scaled(self._last)

    def state(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return {"ends": [list(s) for s in self._ends], "now": list(self._now), "last": list(self._last)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self._ends.clear()
        self._ends.extend(Sums(*s) for s in state["ends"])
        self._now, self._last = Sums(*state["now"]), Sums(*state["last"])

    def _rebase(self) -> None:
        """Sums that grow without end would lose their decimals."""
        first = self._ends[0]
        ends = [_minus(s, first) for s in self._ends]
        self._ends.clear()
        self._ends.extend(ends)
        self._now = _minus(self._now, first)


def _minus(a: Sums, b: Sums) -> Sums:
    return Sums(a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3], a[4] - b[4])


class Scatter:
    """A relative over-variance by discounted moments, one a window: the a in variance m + a m^2.

    A window tells more of it the more it expects; its weight is the information that it bears (1 / variance of its own
    estimate), so that a busy hour doesn't drown the others. ``prior`` is never forgotten: it weighs ``information``.
    """

    __slots__ = ("_information", "_prior", "_sum", "_weight", "value")

    def __init__(self, prior: float, information: float) -> None:
        self._prior, self._information = prior, information
        self._sum = self._weight = 0.0
        self.value = prior

    def learn(self, error: float, variance: float, scale: float, weight: float, keep: float) -> None:
        """``error``: seen less expected; ``variance``: without over-dispersion; ``scale``: m^2, what a multiplies.

        The square is cut at 16 times the variance (4 sd): a surge is no scatter.
        """
        now = variance + self.value * scale
        square = min(error * error, 16 * now)
        w = weight * scale / (variance + 2 * now * now)
        self._sum = self._sum * keep + w * (square - variance)
        self._weight = self._weight * keep + w * scale
        value = (self._prior * self._information + self._sum) / (self._information + self._weight)
        self.value = min(max(value, 0.0005), 5.0)

    def state(self) -> list[float]:
        """JSON-serialisable."""
        return [self._sum, self._weight, self.value]

    def load(self, state: list[float]) -> None:
        """Go on where ``state`` was taken."""
        self._sum, self._weight, self.value = state
