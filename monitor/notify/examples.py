"""Made-up alerts for previews and test messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from barometer.store.alerts.notifiable import NotifiableAlert

EXAMPLE_AT = 1_700_000_400_000
EXAMPLES = ("surge", "rule", "system")


def example(type_: str = "surge") -> NotifiableAlert:
    """An alert as the store would have it, with texts of our own.

    Args:
        type_: surge, rule or system.
    """
    surge = NotifiableAlert(
        id=0, type=type_, fingerprint="topic:real_estate", kinds=[1, 2], severity="warning", state="firing",
        started_at=EXAMPLE_AT - 1_200_000, detected_at=EXAMPLE_AT, peak_at=EXAMPLE_AT, score=4.2,
        expected_negative=6.5, seen_negative=31, seen_total=88, window_seconds=1800, arm="volume", explanation=_WHY,
        evidence=_TEXTS,
    )  # fmt: skip
    return replace(surge, **_OTHERS.get(type_, {}))


_TEXTS: list[Mapping[str, Any]] = [
    {"text": "城东那个楼盘又停工了，售楼处锁着门，几十个业主在门口等说法，没人出来。", "source": "示例论坛",
     "kind": 2, "observed_at": EXAMPLE_AT - 900_000, "copies": 12},
    {"text": "示例置业一笔债券利息今天没有按时支付，公司称正在筹措资金。", "source": "示例财经网",
     "kind": 1, "observed_at": EXAMPLE_AT - 600_000, "copies": 3},
    {"text": "Buyers in the east of the city were told that their flats will be a year late.", "source": "Example Wire",
     "kind": 1, "observed_at": EXAMPLE_AT - 300_000, "copies": 1},
]  # fmt: skip

_WHY: dict[str, Any] = {
    "independent_negative": 19, "copies": 12, "expected_share": 0.074, "one_text": 12, "price_moves": 0.03,
    "terms": [{"term": "停工", "texts": 11, "before": 1}, {"term": "示例置业", "texts": 9, "before": 0}],
    "companies": [{"company": "示例置业", "negative": 14}],
    "sources": [{"source": "示例论坛", "negative": 15}, {"source": "示例财经网", "negative": 9}],
}  # fmt: skip

_OTHERS: dict[str, dict[str, Any]] = {
    "rule": {
        "fingerprint": "watch:示例银行", "kinds": [1], "severity": "critical", "seen_negative": 0, "seen_total": 0,
        "expected_negative": 0.0, "explanation": {"summary": "红线词“挤兑”：示例银行，来源 A 级"},
        "evidence": [{"text": "示例银行多个网点门前出现长队，有储户称前来挤兑的人比昨天更多。", "source": "示例财经网",
                      "kind": 1, "observed_at": EXAMPLE_AT, "copies": 5}],
    },
    "system": {
        "fingerprint": "system:lag", "kinds": [], "seen_negative": 0, "seen_total": 0, "expected_negative": 0.0,
        "evidence": [], "explanation": {"summary": "12,000 records wait to be read", "records": 12_000, "seconds": 840},
    },
}  # fmt: skip
