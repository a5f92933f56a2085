"""Who or what an alert is about, in a few words for its headline: the companies that most of its texts name, else the
terms that tell it from the days before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST = 3
SHARE = 0.3
"""From this share of the negatives on, a company is what it is about."""
READ = 600
"""Of so many negatives at most companies are counted (:mod:`monitor.explanation.explain`)."""


def company_label(found: Mapping[str, Any]) -> str:
    """A company of an explanation: a bare code with the name that the texts give it, where they do.

    >>> company_label({"company": "609866.SH", "name": "恒远", "negative": 9})
    '恒远 609866.SH'
    """
    name, code = str(found.get("name") or ""), str(found["company"])
    return f"{name} {code}" if name and name != code else code


def telling(explanation: Mapping[str, Any], seen_negative: int) -> list[str]:
    """At most three companies or terms; none where nothing stands out.

    >>> telling({"companies": [{"company": "甲银行", "negative": 5}], "terms": [{"term": "挤兑"}]}, 8)
    ['甲银行']
    >>> telling({"companies": [{"company": "甲银行", "negative": 1}], "terms": [{"term": "挤兑"}]}, 8)
    ['挤兑']
    """
    enough = max(2.0, SHARE * min(seen_negative, READ))
    companies = [x for x in explanation.get("companies") or () if x.get("company")]
    named = [str(x.get("name") or x["company"]) for x in companies if int(x.get("negative") or 0) >= enough]
    hits = [h for h in explanation.get("hits") or () if isinstance(h, dict)]
    by_rule = [str(x) for h in reversed(hits) for x in (h.get("about") or [h.get("company")]) if x]
    named = list(dict.fromkeys([*named, *by_rule]))
    return (named or [str(x["term"]) for x in explanation.get("terms") or () if x.get("term")])[:MOST]
