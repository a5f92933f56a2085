"""Alerts from rules: one text suffices. What a rule found becomes a part of its series' alert, beside what the detector
says of it, with the same life cycle: :func:`open_from_rule` when a rule is hit, :func:`end_rules` as time goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from barometer.matters import Matter
from barometer.store.alerts.life_cycle import AlertChange, Finding, apply_finding
from barometer.store.tables import Alert
from barometer.vocabulary import Kind, Severity

MOST_HITS = 20


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """A text that a rule asks people about. Times are epoch milliseconds."""

    rule: str
    """Its name, as people call it: no colon."""
    series: str
    """``watch:NAME``, ``symbol:600519``, ``topic:...``: what the alert is about."""
    series_id: int | None
    kind: int | None
    at: int
    """When the text was observed."""
    text: Mapping[str, Any]
    """The text as evidence: row_id, kind, text, title, url, source, observed_at, copies, as far as known."""
    severity: Severity = "critical"
    level: str | None = None
    """ordinary, major or grave, where the rule says so."""
    words: tuple[str, ...] = ()
    """What in the text hit the rule."""
    summary: str | None = None
    """One sentence for people."""
    quiet: bool = False
    about: tuple[str, ...] = ()
    """Whom the text names: people are told of each once. A watched company has alerts of its own: there it is the rule
    that tells one matter from another."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """More for the alert's explanation (the tier of the source, the company)."""


def open_from_rule(c: Connection, hit: RuleFinding, now_ms: int) -> AlertChange | None:
    """Open an alert of a rule's, or add the text to the one that runs; in the caller's transaction.

    Hand the change to the monitor's ``on_change``, which has people told.

    Raises:
        AlertError: unknown severity or level.
    """
    told = {"rule": hit.rule, "words": list(hit.words), "at": hit.at, "row_id": hit.text.get("row_id"), **hit.figures}
    before = c.execute(
        select(Alert.explanation)
        .where(Alert.fingerprint == hit.series, Alert.ended_at.is_(None))
        .order_by(Alert.id.desc())
        .limit(1)
    ).scalar()
    hits = [h for h in (before or {}).get("hits", []) if h.get("row_id") != told["row_id"] or told["row_id"] is None]
    return apply_finding(
        c,
        Finding(
            type="rule",
            fingerprint=hit.series,
            series_id=hit.series_id,
            kind=hit.kind,
            firing=True,
            rule=hit.rule,
            severity=hit.severity,
            bucket_start=hit.at,
            bucket_end=hit.at,
            level=hit.level,
            summary=hit.summary,
            explanation={"hits": [*hits, told][-MOST_HITS:]},
            evidence=[{**hit.text, "rule": hit.rule}],
            quiet=hit.quiet,
            detector_version="rules",
            matter=_matter(hit),
        ),
        now_ms,
    )


def _matter(hit: RuleFinding) -> Matter:
    names = hit.about if hit.series == f"rule:{hit.rule}" else (f"rule:{hit.rule}",)
    said = "。".join(str(hit.text[k]) for k in ("title", "text") if hit.text.get(k))
    return Matter(names, (said,) if said else (), told_apart=hit.kind != Kind.COMMENT)


def end_rules(c: Connection, until: int, hold_ms: int, now_ms: int) -> list[AlertChange]:
    """Let go of what no text has hit for ``hold_ms`` before ``until`` (both of the stream's time)."""
    changes = []
    for row in c.execute(select(Alert.__table__).where(Alert.ended_at.is_(None), Alert.type != "system")).all():
        for name, part in row.explanation["kinds"].items():
            head, _, rule = name.partition(":")[2].partition(":")
            if not name.startswith("rule:") or not part["firing"] or part.get("last", 0) + hold_ms > until:
                continue
            gone = Finding(
                type="rule",
                fingerprint=row.fingerprint,
                series_id=row.series_id,
                firing=False,
                severity="info",
                kind=None if head == "-" else int(head),
                rule=rule or None,
                bucket_start=row.started_at,
                bucket_end=max(until, row.started_at),
            )
            change = apply_finding(c, gone, now_ms)
            if change is not None:
                changes.append(change)
    return changes
