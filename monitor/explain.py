"""Why an alert: which texts, terms, sources and companies the negatives of its window are made of, how many are copies,
and whether they are mostly price moves or one text. Frozen on the alert at each new peak, since sources delete.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection

from barometer.matters import MOST_NAMES, Matter, named, same_name
from barometer.price_moves import is_price_move
from barometer.risen import risen_terms
from barometer.rules import RuleSet
from barometer.store import evidence
from barometer.store.queries_behind import Said, said
from monitor.detector import Judgement

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


def explain(
    c: Connection, series_id: int, kind: int, window: tuple[int, int], j: Judgement, different: int, rules: RuleSet
) -> dict[str, Any]:
    """Plain JSON values for the alert's ``explanation``.

    Args:
        window: [start, end) of the window that gave the score, epoch milliseconds.
        different: different negative texts in it.
        rules: names the companies that are watched.
    """
    start, end = window
    baseline = min(7 * DAY_MS, max(DAY_MS, 6 * (end - start)))
    texts = said(c, series_id, start, end, [kind], READ)
    before = said(c, series_id, start - baseline, start, [kind], READ_BEFORE)
    seen = round(j.window_seen_negative)
    terms = risen_terms(_different(texts), _different(before))
    return {
        "kind": kind,
        "window": list(window),
        "independent_negative": different,
        "copies": max(0, seen - different),
        "one_text": evidence.most_copied(c, series_id, kind, start, end),
        "price_moves": _price_moves(texts),
        "sources": evidence.top_sources(c, series_id, kind, start, end),
        "companies": _companies(texts, rules),
        "terms": [{"term": r.name, "texts": r.now, "before": r.before} for r in terms],
        "by_kind": evidence.counts_by_kind(c, series_id, start, end),
        "expected_share": round(j.expected_share, 4),
    }


def matter_of(c: Connection, series_id: int, kind: int, start: int, end: int, rules: RuleSet) -> Matter | None:
    """What the negatives of a bucket [start, end) are mostly about, or those of the hour before its end where the
    bucket alone does not say; None if neither does."""
    texts = said(c, series_id, min(start, end - MATTER_MS), end, [kind], READ_BEFORE)
    return _mostly([t for t in texts if t.at >= start], rules) or _mostly(texts, rules)


def _mostly(texts: list[Said], rules: RuleSet) -> Matter | None:
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


def _named(text: Said, rules: RuleSet) -> set[str]:
    listed = rules.companies_of(text.text, text.symbols)
    return listed | {n for n in named(text.text) if not any(same_name(n, x) for x in listed)}


def _different(texts: list[Said]) -> list[str]:
    """Copies folded into one."""
    return list({t.fingerprint: t.text for t in reversed(texts)}.values())[-COMPARED:]


def _price_moves(texts: list[Said]) -> float:
    """Share of texts, copies included, that tell of falling prices and of nothing else."""
    known: dict[int, bool] = {}
    n = 0
    for t in texts:
        if t.fingerprint not in known:
            known[t.fingerprint] = is_price_move(t.text)
        n += known[t.fingerprint]
    return round(n / len(texts), 4) if texts else 0.0


def _companies(texts: list[Said], rules: RuleSet) -> list[dict[str, Any]]:
    """Companies by how many of the texts name them: by name where they are watched, by symbol where not."""
    counts = Counter(name for t in texts for name in rules.companies_of(t.text, t.symbols))
    most = sorted(counts.items(), key=lambda x: (-x[1], x[0]))[:MOST_COMPANIES]
    return [{"company": name, "negative": n} for name, n in most]
