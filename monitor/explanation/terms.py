"""Terms of texts: words, and pairs of words that stand side by side, with the texts that have them.

Chinese is cut into words by jieba's dictionary and model (``rjieba``). New names are in no dictionary and come out in
pieces (恒远 地产), so neighbours are taken together as well; where the pair stands nearly wherever the word does, the
pair is the term.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import rjieba

LEAST = 3
"""Texts that a term must be in to be shown."""
ALIKE = 0.8
"""Share of their texts that two terms have in common where one of them stands for both."""
TWINS = 2
"""Terms of one set of texts that are shown: a text that was copied a hundred times raises all of its words."""
_WORD = re.compile(r"^(?:[\u3400-\u9fff\uf900-\ufaff]{2,}|[^\W\d_][\w'’-]{2,})$")
_PART = re.compile(r"^[\u3400-\u9fff\uf900-\ufaff\w'’-]+$")
_NUMBER = re.compile(r"^[\d０-９〇一二两三四五六七八九十百千万亿几多]+[个年月日号元点时分秒%％次家名位只条岁倍]?$")
_EMPTY_WORDS = """
没有 已经 一个 我们 你们 他们 它们 因为 所以 但是 可以 这个 那个 什么 怎么 这样 就是 还是 不是 如果 现在 今天 今日 自己
以及 对于 关于 目前 其中 同时 表示 进行 相关 有关 通过 可能 需要
the and for that with this from have has had was were are not but you they his her its our your will would can could
been being their there what when who which into than then them
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())


def terms_of(text: str) -> set[str]:
    """Words and pairs of neighbours of one text.

    >>> sorted(terms_of("恒远地产停工"))
    ['停工', '地产', '地产停工', '恒远', '恒远地产']
    """
    found: set[str] = set()
    before = ""
    for word in rjieba.cut(text.lower(), True):
        if not _PART.match(word) or _NUMBER.match(word) or word in _EMPTY:
            # A space within Latin text parts no neighbours.
            before = before if word == " " else ""
            continue
        if _WORD.match(word):
            found.add(word)
        if before:
            pair = f"{before} {word}" if before.isascii() and word.isascii() else before + word
            if before.isascii() == word.isascii() and len(before) > 1 and len(word) > 1:
                found.add(pair)
        before = word
    return found


def texts_by_term(texts: Iterable[str], least: int = LEAST) -> dict[str, set[int]]:
    """Which texts (by their place) have each term; only terms of ``least`` texts or more."""
    found: dict[str, set[int]] = {}
    for i, text in enumerate(texts):
        for term in terms_of(text):
            found.setdefault(term, set()).add(i)
    return {term: where for term, where in found.items() if len(where) >= least}


def without_twins(ranked: Sequence[str], where: dict[str, set[int]], most: int) -> list[str]:
    """The first ``most`` terms, without those that say the same as one before them.

    A part of a term is left out, or the term where it is in other texts than the part; of terms of one set of texts
    there are ``TWINS``.

    Args:
        ranked: the best first.
        where: the texts of each.
    """
    chosen: list[str] = []
    for term in ranked:
        longest = term
        for other in ranked:
            if len(other) > len(longest) and longest in other and _alike(where[longest], where[other]):
                longest = other
        same = [c for c in chosen if _alike(where[c], where[longest])]
        if len(same) >= TWINS or any(_overlap(longest, c) for c in same):
            continue
        if any(longest in c or c in longest for c in chosen):
            continue
        chosen.append(longest)
        if len(chosen) == most:
            break
    return chosen


def _alike(a: set[int], b: set[int]) -> bool:
    return len(a & b) >= ALIKE * len(a | b)


def _overlap(a: str, b: str) -> bool:
    """One ends as the other begins (供应商联名 联名起诉)."""
    return any(a[-k:] == b[:k] or b[-k:] == a[:k] for k in range(2, min(len(a), len(b))))
