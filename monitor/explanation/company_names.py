"""Names for stock codes, taken from the texts that carry them: people know names, not codes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import rjieba

COMMON = 0.6
"""A name stands in so large a share of the code's texts ..."""
ELSEWHERE = 0.2
"""... and in no larger share of the others."""
LEAST = 3
"""Texts that must speak, where none has name and code side by side."""
_NAMES = {"nz", "nr", "nrt", "ns", "nt"}
"""How jieba marks proper names; common words are never taken for one."""
_WRITTEN = r"([\u4e00-\u9fff]{2,8}|[A-Z][\w&'-]+(?: [A-Z][\w&'-]+)*)\s?[(（]\s?"


def name_of(code: str, texts: Sequence[str], others: Sequence[str]) -> str | None:
    """The name that stands before the code in brackets, else the proper name that most of its texts share and the
    others have not, the one that comes first in them; None rather than a guess.

    Args:
        texts: different texts that carry this code and no other.
        others: texts that do not.

    >>> name_of("600001.SH", ["晨光电子（600001）停牌"], [])
    '晨光电子'
    >>> name_of("600001.SH", ["恒远停牌", "恒远被查，股民哗然", "今天恒远跌停"], ["今天大盘跌停", "股民哗然"])
    '恒远'
    """
    digits = re.escape(code.partition(".")[0])
    written = [m.group(1) for text in texts if digits and (m := re.search(_WRITTEN + digits + r"\b", text))]
    if written:
        return max(sorted(set(written)), key=written.count)
    places: dict[str, list[int]] = defaultdict(list)
    for text in texts:
        for name in set(_proper(text)):
            places[name].append(text.find(name))
    known = [
        (sum(at) / len(at), -len(name), name)
        for name, at in places.items()
        if len(at) >= max(LEAST, COMMON * len(texts)) and sum(name in x for x in others) <= ELSEWHERE * len(others)
    ]
    return min(known)[2] if known else None


def _proper(text: str) -> Iterator[str]:
    """Proper names, alone and with the noun that follows (恒远, 恒远地产)."""
    for (word, kind), (following, its_kind) in pairwise([*rjieba.tag(text, True), ("", "")]):
        if kind in _NAMES and len(word) > 1:
            yield word
            if its_kind == "n":
                yield word + following
