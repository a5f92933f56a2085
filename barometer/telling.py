"""The headline of an alert: its subjects, which are the companies that most of its texts name, else the terms that set
it apart from the days before; and the display name of the rule that was hit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST = 3
SHARE = 0.3
"""From this share of the negatives on, a company is what it is about."""
READ = 600
"""Of so many negatives at most companies are counted (:mod:`monitor.explanation.explain`)."""
_EXCHANGE = re.compile(r"(?<=\d)\.(?:SH|SZ|BJ|HK)$")


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
    by_rule = [str(x) for h in reversed(rule_hits(explanation)) for x in (h.get("about") or [h.get("company")]) if x]
    named = list(dict.fromkeys([*named, *by_rule]))
    return (named or [str(x["term"]) for x in explanation.get("terms") or () if x.get("term")])[:MOST]


def rule_hits(explanation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The hits of rules that an alert knows of, the latest last."""
    return [h for h in explanation.get("hits") or () if isinstance(h, dict) and h.get("rule")]


def rule_title(hit: Mapping[str, Any], lang: str) -> str:
    """What people call the rule of a hit; its name, where the hit was kept before titles were.

    >>> rule_title({"rule": "挤兑", "title": {"zh": "挤兑与提现困难", "en": "Run on a bank"}}, "en")
    'Run on a bank'
    >>> rule_title({"rule": "挤兑"}, "en")
    '挤兑'
    """
    titles = hit.get("title")
    return str((titles.get(lang) if isinstance(titles, Mapping) else None) or hit["rule"])


def rule_of(fingerprint: str, explanation: Mapping[str, Any], lang: str) -> str | None:
    """The title of the rule that an alert is of, where it is of a rule and of no company (``rule:NAME``); else None."""
    about, _, name = fingerprint.partition(":")
    if about != "rule":
        return None
    of_it = [h for h in rule_hits(explanation) if h["rule"] == name]
    return rule_title(of_it[-1], lang) if of_it else name


def hit_words(hit: Mapping[str, Any], lang: str) -> str:
    """Whom the text of a hit names, and the words that hit the rule.

    >>> hit_words({"rule": "挤兑", "about": ["甲银行"], "words": ["挤兑", "排队"]}, "zh")
    '甲银行：挤兑、排队'
    """
    comma, colon = ("、", "：") if lang == "zh" else (", ", ": ")
    whom = map(str, hit.get("about") or filter(None, [hit.get("company")]))
    return colon.join(filter(None, [comma.join(whom), comma.join(map(str, hit.get("words") or ()))]))


def company_phrase(found: Mapping[str, Any]) -> str:
    """What a search finds a company's texts by: its name, else its code as texts have it, mostly without the exchange.

    >>> company_phrase({"company": "600001.SH"}), company_phrase({"company": "600001.SH", "name": "甲例"})
    ('"600001"', '"甲例"')
    """
    return f'"{found.get("name") or _EXCHANGE.sub("", str(found["company"]))}"'
