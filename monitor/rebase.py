"""How much more negative one model version is than another, as it was measured before a promotion.

A model version that was compared with its predecessor on the same texts keeps in ``model_versions.metrics``, under
``rebase``, the odds ratio of calling a text negative (its odds over the predecessor's): one number, or numbers by
series name with ``*`` for all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def ratio_between(ratios: Mapping[int, Any], series: str, before: int, now: int) -> float | None:
    """The odds ratio from model ``before`` to model ``now``; None if it was not measured.

    Going back to an older model takes back what the newer one's promotion had set.

    Args:
        ratios: model id -> its ``metrics['rebase']``.

    >>> ratio_between({2: {"topic:market": 2.0, "*": 1.5}}, "topic:market", 1, 2)
    2.0
    >>> ratio_between({2: 4.0}, "topic:macro", before=2, now=1)
    0.25
    """
    newer = max(before, now)
    measured = ratios.get(newer)
    value = measured.get(series, measured.get("*")) if isinstance(measured, Mapping) else measured
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        return None
    return float(value) if now == newer else 1 / float(value)
