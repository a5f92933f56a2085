"""What is usual for a series: the expected number of texts in a bucket, and the expected share of negative ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

DAY = 86_400.0


@dataclass(slots=True)
class GroupPrior:
    """What a new series borrows from its group until it has its own."""

    share: float = 0.2
    weight: float = 5.0


class Season(NamedTuple):
    """Where a bucket stands in the week."""

    factor: float
    """Of the level."""
    off: int
    """1 on a day off."""
    hour: int
    """Local, 0 to 23; 0 for buckets of a day."""


class Baseline:
    """Level (discounted Gamma: texts over exposure) x profile of 24 hours, apart for working days and days off; and
    the negative share (discounted Beta).

    Args:
        bucket: width in seconds.
        half_lives: of level, profile and share, in seconds.
        pseudo_counts: the profile of a kind of day is drawn toward that of all days, and this toward flat, by so many
            texts.
        prior: share and weight while little is known.
        off: says of a local date whether it is a day off; None: Saturdays and Sundays.
    """

    def __init__(
        self,
        bucket: float,
        half_lives: tuple[float, float, float],
        pseudo_counts: float,
        prior: GroupPrior,
        utc_offset_seconds: int,
        off: Callable[[date], bool] | None,
    ) -> None:
        self.prior = prior
        self.utc_offset_seconds = utc_offset_seconds
        self._bucket = bucket
        self._pseudo = pseudo_counts
        self._level_half_life, profile_half_life, self._share_half_life = half_lives
        self._keep_profile = 0.5 ** (bucket / profile_half_life)
        self._is_off = off
        self._day: tuple[int, int] = (-1, 0)
        self._texts = 0.0
        self._exposure = 0.0
        self._seen = [[0.0] * 24, [0.0] * 24]
        self._exposed = [[0.0] * 24, [0.0] * 24]
        self._profile = [[1.0] * 24, [1.0] * 24]
        self._negative = 0.0
        self._other = 0.0

    @property
    def level(self) -> float:
        """Texts in a bucket of an average hour."""
        return (self._texts + 0.02) / (self._exposure + 1.0)

    @property
    def share(self) -> float:
        """Expected share of negatives, kept off 0 and 1."""
        prior = self.prior
        p = (self._negative + prior.share * prior.weight) / (self._negative + self._other + prior.weight)
        return min(max(p, 0.005), 0.95)

    @property
    def share_weight(self) -> float:
        """Texts that the share rests on."""
        return self._negative + self._other + self.prior.weight

    def season(self, end_ts: float) -> Season:
        """At the middle of the bucket that ends at ``end_ts``, interpolated between hours."""
        local = end_ts - self._bucket / 2 + self.utc_offset_seconds
        day = int(local // DAY)
        if day != self._day[0]:
            self._day = (day, self._off(day))
        off = self._day[1]
        profile = self._profile[off]
        if self._bucket >= DAY:
            return Season(profile[0], off, 0)
        x = local % DAY / 3600
        k = math.floor(x - 0.5)
        u = x - 0.5 - k
        return Season((1 - u) * profile[k % 24] + u * profile[(k + 1) % 24], off, int(x))

    def learn_volume(self, texts: float, season: Season, elapsed: float) -> None:
        """``texts`` of one bucket, ``elapsed`` seconds after the one before."""
        keep = 0.5 ** (elapsed / self._level_half_life)
        self._texts = self._texts * keep + texts
        self._exposure = self._exposure * keep + season.factor
        _, off, hour = season
        seen, exposed, k, keep = self._seen, self._exposed, self._pseudo, self._keep_profile
        seen[off][hour] = seen[off][hour] * keep + texts
        exposed[off][hour] = exposed[off][hour] * keep + self.level
        both = (seen[0][hour] + seen[1][hour] + k) / (exposed[0][hour] + exposed[1][hour] + k)
        factor = (seen[off][hour] + k * both) / (exposed[off][hour] + k)
        self._profile[off][hour] = min(max(factor, 0.03), 30.0)

    def learn_share(self, negative: float, other: float, elapsed: float) -> None:
        """Weighted counts of one bucket."""
        keep = 0.5 ** (elapsed / self._share_half_life)
        self._negative = self._negative * keep + negative
        self._other = self._other * keep + other

    def rebase(self, ratio: float) -> float:
        """Multiply the odds of the share; returns by how much the share itself grew."""
        before = self.share
        odds = ratio * before / (1 - before)
        after = odds / (1 + odds)
        texts = self._negative + self._other
        self.prior = GroupPrior(after, self.prior.weight)
        self._negative, self._other = texts * after, texts * (1 - after)
        return after / before

    def state(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return {
            "level": [self._texts, self._exposure],
            "share": [self._negative, self._other],
            "seen": [list(x) for x in self._seen],
            "exposed": [list(x) for x in self._exposed],
            "profile": [list(x) for x in self._profile],
            "prior": {"share": self.prior.share, "weight": self.prior.weight},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self._texts, self._exposure = state["level"]
        self._negative, self._other = state["share"]
        self._seen = [list(x) for x in state["seen"]]
        self._exposed = [list(x) for x in state["exposed"]]
        self._profile = [list(x) for x in state["profile"]]
        self.prior = GroupPrior(**state["prior"])

    def _off(self, day: int) -> int:
        if self._is_off is not None:
            return int(self._is_off(datetime.fromtimestamp(day * DAY, UTC).date()))
        return int((day + 3) % 7 >= 5)  # epoch day 0 was a Thursday
