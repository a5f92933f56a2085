"""The facts of a notification, frozen when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from barometer.readable import around, readable
from barometer.settings import Settings
from barometer.store.alerts.notifiable import NotifiableAlert
from barometer.telling import company_label, hit_words, rule_hits, rule_title, telling
from monitor.notify.config import Receiver
from monitor.notify.formats import Lang, cut, one_line
from monitor.notify.wording import RED_LINE, alert_name

MAX_TEXTS = 3
MAX_TERMS = 5
MAX_LISTED = 50
MAX_TEXT = 140
"""Code points of each text that a message quotes."""
OWN = ("kinds", "quiet", "summary", "told_score")
"""Keys of an alert's explanation that are about the alert's own state, not figures of the check."""
COPIED = (
    "type", "fingerprint", "kinds", "severity", "level", "state", "started_at", "detected_at", "peak_at", "ended_at",
    "acknowledged_by", "resolved_at", "resolved_by", "resolution", "score", "expected_negative", "seen_negative",
    "seen_total", "window_seconds", "arm",
)  # fmt: skip
"""Columns of the alert that are facts as they are."""


def facts_of(
    alert: NotifiableAlert, *, reason: str, receiver: Receiver, settings: Settings, now_ms: int
) -> dict[str, Any]:
    """The facts of one message, as plain JSON values.

    The outbox adds what is not the alert's own: ``runbook`` (by language) and ``contact`` of the series, the ``steps``
    that its level asks for and which are ``overdue``, and the ``incident`` with the other alerts of one cause.

    Args:
        now_ms: when the notification was made.
    """
    explanation = alert.explanation
    terms = [str(t["term"]) for t in explanation.get("terms") or ()]
    evidence = [
        {
            "text": around(one_line(readable(_titled(e))), [*e.get("words", ()), *terms], MAX_TEXT),
            "source": cut(one_line(str(e.get("source") or "")), 40),
            "kind": e.get("kind"),
            "observed_at": e.get("observed_at"),
            "copies": int(e.get("copies") or 1),
        }
        for e in alert.evidence[:MAX_TEXTS]
    ]
    return {
        **{name: getattr(alert, name) for name in COPIED},
        "alert_id": alert.id,
        "reason": reason,
        "receiver": receiver.name,
        "lang": receiver.lang,
        "series": {
            lang: alert_name(alert.fingerprint, explanation, lang, settings.topics_file) for lang in ("zh", "en")
        },
        "red_line": _red_line(alert),
        "summary": cut(one_line(str(explanation.get("summary") or "")), 300),
        "figures": {k: v[:MAX_LISTED] if isinstance(v, list) else v for k, v in explanation.items() if k not in OWN}
        if alert.type == "system"
        else {},
        "evidence": evidence,
        "different": explanation.get("independent_negative"),
        "copies": explanation.get("copies"),
        "one_text": explanation.get("one_text"),
        "price_moves": explanation.get("price_moves"),
        "sources": _counted(explanation.get("sources") or (), "source"),
        "companies": _counted(
            [{**x, "label": company_label(x)} for x in explanation.get("companies") or () if x.get("company")], "label"
        ),
        "about": [cut(one_line(x), 20) for x in telling(explanation, alert.seen_negative)],
        "by_kind": explanation.get("by_kind") or [],
        "terms": [cut(one_line(str(t["term"])), 20) for t in (explanation.get("terms") or ())[:MAX_TERMS]],
        "expected_share": explanation.get("expected_share"),
        "told_at": now_ms,
        "repeat_minutes": settings.repeat_interval_minutes,
        "zone": settings.timezone,
        "external_url": settings.public_url.rstrip("/"),
        "link": f"{settings.public_url.rstrip('/')}/alerts/{alert.id}",
    }


def _red_line(alert: NotifiableAlert) -> dict[Lang, str] | None:
    """The latest hit of a rule in each language, after the rule's title where the alert does not have that name."""
    hits = rule_hits(alert.explanation)
    if alert.type != "rule" or not hits:
        return None
    langs: tuple[Lang, ...] = ("zh", "en")
    said: dict[Lang, str] = {}
    for lang in langs:
        parts = [hit_words(hits[-1], lang)]
        if not alert.fingerprint.startswith("rule:"):
            parts.insert(0, RED_LINE[lang].format(rule=rule_title(hits[-1], lang)))
        said[lang] = cut(one_line(("：" if lang == "zh" else ": ").join(filter(None, parts))), 300)
    return said


def _counted(found: Sequence[Mapping[str, Any]], name: str) -> list[tuple[str, int]]:
    named = [(cut(one_line(str(s[name])), 20), int(s["negative"])) for s in found if s.get(name)]
    return named[:MAX_TEXTS]


def _titled(e: Mapping[str, Any]) -> str:
    title, text = str(e.get("title") or ""), str(e.get("text") or "")
    return text if not title or text.startswith(title) else f"{title} {text}"
