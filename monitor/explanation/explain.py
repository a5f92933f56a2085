"""The explanation of an alert: the texts, terms, sources and companies of the negatives in its window, how many are
copies, and whether they are mostly price moves or one text. Frozen on the alert at each new peak, since sources delete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from barometer.matters import MOST_NAMES, Matter, named, same_name
from barometer.rules import RuleSet
from barometer.store.alerts import evidence
from barometer.store.series.context import NegativeText, negative_texts
from barometer.store.series.sealing import KindCounts
from barometer.symbols import canonical_set
from barometer.vocabulary import KIND_CODES
from monitor.explanation.company_names import name_of
from monitor.explanation.price_moves import is_price_move
from monitor.explanation.term_lift import lifted_terms

DAY_MS = 86_400_000
READ, READ_BEFORE = 600, 300
"""At most so many negatives are read, the latest ones: a storm must not hold up sealing."""
COMPARED = 200
"""Different texts whose terms are compared."""
MOST_COMPANIES = 5
MATTER_MS = 3_600_000
"""What a surge is about is read off the negatives of its latest bucket or hour ..."""
MATTER_TEXTS, MATTER_SHARE = 4, 1 / 3
"""... where so many different ones, and such a share of them, name the same company ..."""
MATTER_COPIES = 10
"""... or, where they name none, one text came so often."""


def negatives(c: Connection, series_id: int, window: tuple[int, int], start: int) -> list[NegativeText]:
    """What :func:`explain` of the window and :func:`matter_of` of its last bucket, which starts at ``start``, need."""
    return negative_texts(c, series_id, min(window[0], _since(start, window[1])), window[1], KIND_CODES, READ)


def explain(
    c: Connection, series_id: int, window: tuple[int, int], counts: Sequence[KindCounts], rules: RuleSet,
    read: Sequence[NegativeText],
) -> dict[str, Any]:  # fmt: skip
    """Plain JSON values for the alert's ``explanation``: of all kinds together, as its headline is.

    Args:
        window: [start, end), epoch milliseconds.
        counts: what was seen and expected there, by kind.
        rules: names the companies that are watched.
        read: of :func:`negatives`.
    """
    start, end = window
    baseline = min(7 * DAY_MS, max(DAY_MS, 6 * (end - start)))
    texts = [t for t in read if t.at >= start]
    before = negative_texts(c, series_id, start - baseline, start, KIND_CODES, READ_BEFORE)
    seen, usual = sum(k.negative for k in counts), sum(k.expected_total for k in counts)
    different = evidence.different_texts(c, series_id, None, start, end)
    terms = lifted_terms(_different(texts), _different(before))
    return {
        "window": list(window),
        "independent_negative": different,
        "copies": max(0, seen - different),
        "one_text": evidence.most_copied(c, series_id, None, start, end),
        "price_moves": _price_moves(texts),
        "sources": evidence.top_sources(c, series_id, None, start, end),
        "companies": _companies(texts, before, rules),
        "terms": [{"term": r.name, "texts": r.now, "before": r.before} for r in terms],
        "by_kind": [
            {"kind": k.kind, "total": k.total, "negative": k.negative, "expected": round(k.expected_negative, 2)}
            for k in counts
        ],
        "expected_share": round(sum(k.expected_negative for k in counts) / usual, 4) if usual > 0 else None,
    }


def matter_of(
    c: Connection, series_id: int, kind: int, start: int, end: int, rules: RuleSet, read: Sequence[NegativeText] | None
) -> Matter | None:
    """What the negatives of a bucket [start, end) are mostly about, or those of the hour before its end where the
    bucket alone does not say; None if neither does.

    Args:
        read: of :func:`negatives`; None: they were not read.
    """
    since = _since(start, end)
    texts = [t for t in read or () if t.kind == kind and t.at >= since][:READ_BEFORE]
    if read is None or (len(read) == READ and len(texts) < READ_BEFORE):  # other kinds left no room for all of them
        texts = negative_texts(c, series_id, since, end, [kind], READ_BEFORE)
    return _mostly([t for t in texts if t.at >= start], rules) or _mostly(texts, rules)


def _since(start: int, end: int) -> int:
    return min(start, end - MATTER_MS)


def _mostly(texts: list[NegativeText], rules: RuleSet) -> Matter | None:
    first = {t.fingerprint: t for t in reversed(texts)}
    enough = max(MATTER_TEXTS, MATTER_SHARE * len(first))
    counts = Counter(name for t in first.values() for name in _named(t, rules))
    names = [name for name, n in sorted(counts.items(), key=lambda x: (-x[1], x[0])) if n >= enough]
    if names:
        return Matter(tuple(names[:MOST_NAMES]))
    copies = Counter(t.fingerprint for t in texts).most_common(1)
    if copies and copies[0][1] >= max(MATTER_COPIES, MATTER_SHARE * len(texts)):
        return Matter((), (first[copies[0][0]].text,))
    return None


def _named(text: NegativeText, rules: RuleSet) -> set[str]:
    listed = rules.companies_of(text.text, text.symbols)
    return listed | {n for n in named(text.text) if not any(same_name(n, x) for x in listed)}


def _different(texts: list[NegativeText]) -> list[str]:
    """Copies folded into one."""
    return list({t.fingerprint: t.text for t in reversed(texts)}.values())[-COMPARED:]


def _price_moves(texts: list[NegativeText]) -> float:
    """Share of texts, copies included, that tell of falling prices and of nothing else."""
    known: dict[int, bool] = {}
    n = 0
    for t in texts:
        if t.fingerprint not in known:
            known[t.fingerprint] = is_price_move(t.text)
        n += known[t.fingerprint]
    return round(n / len(texts), 4) if texts else 0.0


def _companies(texts: list[NegativeText], before: list[NegativeText], rules: RuleSet) -> list[dict[str, Any]]:
    """Companies by how many of the texts name them: by name where they are watched, by symbol where not, with what
    the texts call it."""
    counts = Counter(name for t in texts for name in rules.companies_of(t.text, t.symbols))
    most = sorted(counts.items(), key=lambda x: (-x[1], x[0]))[:MOST_COMPANIES]
    watched = {company.name for company in rules.companies}
    out: list[dict[str, Any]] = []
    for company, n in most:
        called = None if company in watched else _called(company, *_apart([*texts, *before], company))
        out.append({"company": company, "negative": n, **({"name": called} if called else {})})
    return out


def _apart(texts: list[NegativeText], symbol: str) -> tuple[list[str], list[str]]:
    """Different texts that carry a symbol and no other, and those that do not carry it."""
    coded = [(t, canonical_set(t.symbols)) for t in texts]
    own = [t for t, codes in coded if codes == {symbol}]
    return _different(own), _different([t for t, codes in coded if symbol not in codes])


def _called(symbol: str, own: list[str], others: list[str]) -> str | None:
    """What texts call a code; else the institution that most of them name, a third at least, and the others do not."""
    found = name_of(symbol, own, others)
    if found is not None:
        return found
    most = Counter(n for t in own for n in named(t)).most_common(1)
    enough = max(2.0, MATTER_SHARE * len(own))
    return most[0][0] if most and most[0][1] >= enough and not any(most[0][0] in t for t in others) else None
