"""Words that were searched for, marked where they stand; and the stretch of a long text around the first of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from dash import html

from barometer.store.search.terms import CJK, IS_CJK, Phrase, Question

SHOWN = 600
"""Characters of a text that a card shows."""
_BEFORE = 120
_LETTER = rf"[^\W_{CJK}]"
"""A letter or digit of a script that puts spaces between words."""


def spots(text: str, asked: Question | None) -> list[tuple[int, int]]:
    """Where the wanted words stand, as (begin, end) in order, without overlaps.

    >>> spots("恒大地产未能兑付", Question([Phrase(("恒大",)), Phrase(("兑付",))]))
    [(0, 2), (6, 8)]
    """
    if asked is None or not asked.wanted:
        return []
    plain, places = _plain(text)
    found = sorted(
        (m.start(), m.end()) for p in asked.wanted for m in re.finditer(_pattern(p), plain) if m.end() > m.start()
    )
    out: list[tuple[int, int]] = []
    for begin, end in found:
        a, b = places[begin], places[end - 1] + 1
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], b))
        else:
            out.append((a, b))
    return out


def marked(text: str, where: Sequence[tuple[int, int]]) -> list[Any]:
    """The text with these stretches in ``<mark>``; as children, which React escapes."""
    parts: list[Any] = []
    at = 0
    for begin, end in where:
        parts += [text[at:begin], html.Mark(text[begin:end])]
        at = end
    return [p for p in (*parts, text[at:]) if p]


def excerpt(text: str, where: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Begin and end of what a card shows of a long text: its beginning, or what is around the first mark."""
    if len(text) <= SHOWN or not where or where[0][1] <= SHOWN:
        return 0, min(SHOWN, len(text))
    begin = max(0, min(where[0][0] - _BEFORE, len(text) - SHOWN))
    return begin, min(len(text), begin + SHOWN)


def _plain(text: str) -> tuple[str, list[int]]:
    """As the index reads it, character by character, and of which character each came."""
    out: list[str] = []
    places: list[int] = []
    for i, char in enumerate(text):
        for plain in unicodedata.normalize("NFKC", char).lower():
            out.append(plain)
            places.append(i)
    return "".join(out), places


def _pattern(phrase: Phrase) -> str:
    """The words of a phrase, with anything that is no letter between them."""
    words = _words(phrase.terms)
    edged = [re.escape(w) if IS_CJK.match(w) else rf"(?<!{_LETTER}){re.escape(w)}" for w in words]
    last = words[-1]
    tail = "" if IS_CJK.match(last) else f"{_LETTER}*" if phrase.prefix else f"(?!{_LETTER})"
    return r"[\W_]*".join(edged) + tail


def _words(terms: Sequence[str]) -> list[str]:
    """Overlapping pairs (恒大 大地 地产) become the run that they were cut from (恒大地产)."""
    words: list[str] = []
    run = ""
    for i, term in enumerate(terms):
        if not IS_CJK.match(term):
            words.append(term)
            continue
        follows = i + 1 < len(terms) and len(term) == 2 and terms[i + 1][0] == term[1]
        run += term[0] if follows else term
        if not follows:
            words.append(run)
            run = ""
    return words
