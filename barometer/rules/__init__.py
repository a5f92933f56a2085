"""Red-line rules: words × company × source tier. One text suffices; they stand beside the detector, which needs many.

A rule matches a text when one of its words stands there, not denied, not told of a year long past, not in a sentence
with an ``unless`` word, and with one of the ``and`` words, a watched company and a source of the right tier where the
rule asks for them. What a text matches depends on the text, its source, symbols and time alone, never on a clock.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from barometer.errors import SettingsError
from barometer.matters import named
from barometer.readable import readable
from barometer.symbols import canonical_set, symbols_in
from barometer.vocabulary import STATED_KINDS, Level, Severity, StatedKind

SHIPPED = Path(__file__).with_name("redlines.yaml")
OTHERS = 3
"""The tier of a source that the file does not name, and of none."""

_SENTENCE = re.compile(r"[^。！？!?;；\n]+(?:[。！？!?;；\n]|$)")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d{2})(?:年|\b)")
# What turns a word into its denial, shortly before it.
_DENIED = re.compile(
    r"(?:否认|并未|从未|没有|尚未|不存在|未发生|未出现|不会|不是|并非|避免|防止|防范|杜绝|澄清|排除)[^，,。]{0,8}$"
    r"|\b(?:no|not|never|without|denie[sd]|deny|denying|avoid(?:s|ed|ing)?|prevent(?:s|ed|ing)?)\b(?:\W+\w+){0,4}\W*$"
)
_WORDY = re.compile(r"^[\w' .-]+$", re.ASCII)

Word = Annotated[str, Field(min_length=1, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Strict):
    """A rule's name for people."""

    zh: Word
    en: Word


class Company(_Strict):
    """A company that is watched."""

    name: Word
    words: tuple[Word, ...] = ()
    symbols: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> set[str]:
        """Its symbols, each in the one spelling (:mod:`barometer.symbols`)."""
        return canonical_set(self.symbols)


class Rule(_Strict):
    """One red line; see ``docs/rules.md``."""

    name: Annotated[str, Field(pattern=r"^[^:\s]{1,40}$")]
    title: Title
    any: Annotated[tuple[Word, ...], Field(min_length=1)]
    and_: tuple[Word, ...] = Field((), alias="and")
    unless: tuple[Word, ...] = ()
    companies: Literal["any", "watched"] = "any"
    tiers: tuple[Literal[1, 2, 3], ...] = (1, 2, 3)
    kinds: tuple[StatedKind, ...] = STATED_KINDS
    severity: Severity = "critical"
    level: Level | None = None
    quiet: bool = False


class Match(NamedTuple):
    """A rule that a text matched."""

    rule: Rule
    words: tuple[str, ...]
    company: str | None
    tier: int
    about: tuple[str, ...]
    """Whom the text names where it matched: the watched company, else codes and institutions; empty: nobody."""

    @property
    def series(self) -> str:
        """What the alert is about: the watched company, or the rule itself."""
        return f"watch:{self.company}" if self.company else f"rule:{self.rule.name}"


class RuleSet(_Strict):
    """A file of rules."""

    sources: dict[Literal[1, 2, 3], tuple[Word, ...]] = {}
    companies: tuple[Company, ...] = ()
    unless: tuple[Word, ...] = ()
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _names(self) -> RuleSet:
        names = [r.name for r in self.rules]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"two rules are named {', '.join(sorted(twice))}")
        return self

    @cached_property
    def _first(self) -> tuple[str, ...]:
        """All words of all rules: nearly all texts hold none and end here (looking for each takes a tenth of the time
        of one pattern of them all)."""
        return tuple(sorted({_folded(w) for r in self.rules for w in r.any}))

    @cached_property
    def _compiled(self) -> list[tuple[Rule, re.Pattern[str], re.Pattern[str] | None, re.Pattern[str] | None]]:
        return [
            (
                r,
                _pattern(r.any),
                _pattern(r.and_) if r.and_ else None,
                _pattern([*self.unless, *r.unless]) if self.unless or r.unless else None,
            )
            for r in self.rules
        ]

    @cached_property
    def _watched(self) -> list[tuple[Company, re.Pattern[str]]]:
        return [(c, _pattern([c.name, *c.words])) for c in self.companies]

    def tier(self, source: str | None) -> int:
        """How much a source is to be believed: 1, 2 or 3."""
        name = (source or "").lower()
        for tier in (1, 2):
            if name and any(fnmatchcase(name, p.lower()) for p in self.sources.get(tier, ())):
                return tier
        return OTHERS

    def match(
        self,
        text: str,
        *,
        kind: str,
        observed_at: int,
        title: str | None = None,
        source: str | None = None,
        symbols: Sequence[str] = (),
    ) -> list[Match]:
        """The rules that a text matches, in the order of the file; ``observed_at`` is in epoch milliseconds."""
        text, title = readable(text), readable(title) if title else None
        whole = _folded(f"{title}。{text}" if title else text)
        if not any(map(whole.__contains__, self._first)):
            return []
        tier = self.tier(source)
        year = datetime.fromtimestamp(observed_at / 1000, UTC).year
        codes = canonical_set(symbols) | symbols_in(whole)
        watched = self._watched_in(whole, codes)
        found = []
        for rule, any_, and_, unless in self._compiled:
            if kind not in rule.kinds or tier not in rule.tiers or (rule.companies == "watched" and not watched):
                continue
            if and_ is not None and not and_.search(whole):
                continue
            words = _words(whole, any_, unless, year)
            if words:
                company = self._closest(whole, words, watched)
                about = (company,) if company else (*sorted(codes), *named(text, words, title))
                found.append(Match(rule, words, company, tier, about))
        return found

    def companies_of(self, text: str, symbols: Sequence[str]) -> set[str]:
        """Whom a text is about: watched companies by name (named in it, or by their symbol), others by symbol."""
        whole, codes = _folded(readable(text)), canonical_set(symbols)
        about = self._watched_in(whole, codes | symbols_in(whole))
        return {c.name for c in about} | codes.difference(*(c.codes for c in about))

    def _watched_in(self, whole: str, codes: set[str]) -> list[Company]:
        return [c for c, p in self._watched if codes & c.codes or p.search(whole)]

    def _closest(self, whole: str, words: Sequence[str], watched: Sequence[Company]) -> str | None:
        """The watched company that is named where the words stand, else the first of those that the text is about."""
        for sentence in _SENTENCE.findall(whole):
            if any(w in sentence for w in words):
                for c, p in self._watched:
                    if c in watched and p.search(sentence):
                        return c.name
        return watched[0].name if watched else None


def _words(whole: str, any_: re.Pattern[str], unless: re.Pattern[str] | None, year: int) -> tuple[str, ...]:
    words: dict[str, None] = {}
    for sentence in _SENTENCE.findall(whole):
        if unless is not None and unless.search(sentence):
            continue
        years = [int(y) for y in _YEAR.findall(sentence)]
        if years and max(years) < year - 1:
            continue  # told of the past
        for hit in any_.finditer(sentence):
            if not _DENIED.search(sentence[: hit.start()]):
                words[hit.group()] = None
    return tuple(words)


def _folded(text: str) -> str:
    """Case and width of letters make no difference."""
    return unicodedata.normalize("NFKC", text).lower()


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Any of the words, the longest first; words of Latin letters as whole words."""
    parts = []
    for word in sorted({_folded(w) for w in words}, key=lambda w: (-len(w), w)):
        escaped = re.escape(word)
        parts.append(rf"(?<!\w){escaped}(?!\w)" if _WORDY.match(word) else escaped)
    return re.compile("|".join(parts))


def load_rules(path: Path | None = None) -> RuleSet:
    """The rules of a file; None is the shipped one.

    Raises:
        SettingsError: the file cannot be read or has a fault; the message names file and field.
    """
    file = path or SHIPPED
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
        if not isinstance(content, dict) or "rules" not in content:
            raise SettingsError(
                f"rules_file: {file} has no rules: all red lines would be off. Write `rules: []` if that is meant"
            )
        return RuleSet.model_validate(content)
    except RecursionError:
        raise SettingsError(f"rules_file: {file} is nested too deep") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise SettingsError(f"rules_file: cannot read {file}: {' '.join(str(e).split())}") from e
    except ValidationError as e:
        first = e.errors()[0]
        place = ".".join(str(x) for x in first["loc"]) or "rules"
        raise SettingsError(f"rules_file: {file}, {place}: {first['msg']}") from e
