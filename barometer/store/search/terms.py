"""Words of a text as the search index keeps them, and a question in the two databases' languages.

Chinese has no spaces and most of its words have two characters, which indexes of trigrams miss: a run of Chinese,
Japanese or Korean characters is indexed as its overlapping pairs (恒大地产 → 恒大 大地 地产), and its last character
alone, so that one character finds every text it stands in as the beginning of a pair. Other words are kept whole, in
lower case. A phrase is its pairs or words one after the other.

    恒大 违约          both           "bond default"     the phrase
    -澄清              not            default*           words that begin so

Beside its words a text has marks, terms that no text can hold (``@k1``: its kind): what lists are filtered by is then
looked up together with the words, however common one of the two is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from barometer.errors import BarometerError

CJK = (
    "\u2e80-\u2fdf\u3040-\u30ff\u3105-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_RUN = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+")
IS_CJK = re.compile(rf"[{CJK}]")
_ASKED = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
MOST_TERMS = 12_000
"""Terms kept of one text: PostgreSQL counts positions to 16,383."""
MOST_ASKED = 20
LONGEST_TERM = 64


class SearchError(BarometerError):
    """A question that cannot be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Terms that stand one after the other; the last may be the beginning of a term."""

    terms: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """All of ``wanted`` and none of ``unwanted``."""

    wanted: list[Phrase] = field(default_factory=list)
    unwanted: list[Phrase] = field(default_factory=list)

    def matches(self, text: str) -> bool:
        """What the index would say of this text: for those that are not indexed yet."""
        plain = _plain(text)
        if not all(term in plain for p in self.wanted for term in p.terms):
            return False
        have = terms(text)
        return all(_stands(p, have) for p in self.wanted) and not any(_stands(p, have) for p in self.unwanted)

    def for_sqlite(self, marks: Sequence[str] = ()) -> str:
        """As an FTS5 expression; every term is quoted, so nothing that was typed is syntax."""
        asked = " AND ".join([*(f'"{m}"' for m in marks), *(_fts5(p) for p in self.wanted)])
        refused = " OR ".join(_fts5(p) for p in self.unwanted)
        return f"({asked}) NOT ({refused})" if refused else asked

    def for_postgres(self, marks: Sequence[str] = ()) -> str:
        """As a tsquery literal; terms are letters and digits only, so nothing that was typed is syntax."""
        parts = [f"'{m}'" for m in marks]
        parts += [f"({_tsquery(p)})" for p in self.wanted] + [f"!({_tsquery(p)})" for p in self.unwanted]
        return " & ".join(parts)


def terms(text: str) -> list[str]:
    """The terms of a text in order; a run of CJK characters gives its pairs and its last character."""
    found: list[str] = []
    for run in _runs(text):
        if IS_CJK.match(run):
            found += [run[i : i + 2] for i in range(len(run))]
        else:
            found.append(run[:LONGEST_TERM])
        if len(found) >= MOST_TERMS:
            return found[:MOST_TERMS]
    return found


def tsvector(text: str, marks: Sequence[str] = ()) -> str:
    """The terms with their positions as a tsvector literal: independent of the server's locale and parser."""
    places: dict[str, list[str]] = {}
    for i, term in enumerate(terms(text), 1):
        kept = places.setdefault(term, [])
        if len(kept) < 255:
            kept.append(str(i))
    return " ".join([*(f"'{m}'" for m in marks), *(f"'{t}':{','.join(p)}" for t, p in places.items())])


def question(typed: str) -> Question:
    """What somebody typed, as phrases.

    Raises:
        SearchError: it has no word to look for, only refuses words, or is too long.
    """
    asked = Question()
    for minus, quoted, word in _ASKED.findall(typed):
        phrase = _phrase(quoted or word, bool(quoted))
        if phrase:
            (asked.unwanted if minus else asked.wanted).append(phrase)
    if len(asked.wanted) + len(asked.unwanted) > MOST_ASKED:
        raise SearchError(f"search: at most {MOST_ASKED} words at a time")
    if not asked.wanted:
        raise SearchError("search: name a word to look for (a minus only leaves words out)")
    return asked


def _phrase(typed: str, quoted: bool) -> Phrase | None:
    """What stands between two spaces or two quotation marks, as it is indexed: its runs one after the other."""
    *before, last = [*_runs(typed)] or [""]
    if not last:
        return None
    ahead = [t for run in before for t in terms(run)]
    if IS_CJK.match(last):
        # A single character is the beginning of a pair, or stands alone at the end of a run.
        return Phrase((*ahead, *(last[i : i + 2] for i in range(max(1, len(last) - 1)))), len(last) == 1)
    return Phrase((*ahead, last[:LONGEST_TERM]), not quoted and typed.endswith("*"))


def _runs(text: str) -> Iterator[str]:
    for match in _RUN.finditer(_plain(text)):
        yield match.group()


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def _stands(phrase: Phrase, have: list[str]) -> bool:
    *first, last = phrase.terms
    n = len(first)
    return any(
        have[i : i + n] == first and (have[i + n].startswith(last) if phrase.prefix else have[i + n] == last)
        for i in range(len(have) - n)
    )


def _fts5(phrase: Phrase) -> str:
    return '"' + " ".join(phrase.terms) + '"' + ("*" if phrase.prefix else "")


def _tsquery(phrase: Phrase) -> str:
    *first, last = phrase.terms
    return " <-> ".join([*(f"'{t}'" for t in first), f"'{last}'" + (":*" if phrase.prefix else "")])
