"""Near-copy groups, so that a dev split holds no text that training has seen in other words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

from barometer.records import normalise

_DIGITS = re.compile(r"\d+")
_BANDS, _ROWS, _SHINGLE = 10, 4, 4
_PRIME = np.uint64(4_294_967_311)
"""The first above 2³²: products wrap around it, so that every row orders the shingles anew."""


def copy_groups(texts: Sequence[str]) -> list[int]:
    """A group number for each text; texts that share most of their 4-character shingles get the same one.

    MinHash with banding (Broder 1997; Leskovec et al., Mining of Massive Datasets, ch. 3): 10 bands of 4 rows join a
    pair with Jaccard similarity 0.8 with probability 0.995, one with 0.4 with 0.23. Numbers don't distinguish texts.
    """
    rng = np.random.default_rng(7)
    n = _BANDS * _ROWS
    a = rng.integers(1, 1 << 31, n, dtype=np.uint64)[:, None]
    b = rng.integers(0, 1 << 31, n, dtype=np.uint64)[:, None]
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    seen: dict[tuple[int, bytes], int] = {}
    for i, text in enumerate(texts):
        clean = _DIGITS.sub("0", normalise(text))
        shingles = {clean[k : k + _SHINGLE] for k in range(max(1, len(clean) - _SHINGLE + 1))}
        hashes = np.fromiter((zlib.crc32(s.encode("utf-8", "replace")) for s in shingles), np.uint64, len(shingles))
        low = ((a * hashes + b) % _PRIME).min(axis=1)
        for band in range(_BANDS):
            key = (band, low[band * _ROWS : (band + 1) * _ROWS].tobytes())
            other = seen.setdefault(key, i)
            if other != i:
                parent[root(i)] = root(other)
    return [root(i) for i in range(len(texts))]
