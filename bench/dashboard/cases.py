"""Alerts of a stream's storms: most of them long resolved, some at work, some that nobody has seen; with the history,
notifications, steps and evidence that each collects."""

from __future__ import annotations

from random import Random
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from barometer.store import tables as t
from barometer.store.engine import Store
from bench.dashboard.stream import DAY, HOUR, MINUTE, Storm, Stream

_RESOLUTIONS = ("real", "known", "other", "false_alarm")
_STEPS = ("assess", "respond", "report", "review")


def write_alerts(store: Store, stream: Stream, since: int, until: int) -> int:
    """All alerts of [since, until); returns how many."""
    rng, n = Random(5), 0
    storms = [s for d in range(since // DAY, until // DAY + 1) for s in stream.storms(d) if since < s.start < until]
    for storm in sorted(storms):
        with store.write() as c:
            n += 1
            _alert(c, rng, stream, storm, n, until)
    with store.write() as c:
        values = {"windows": None, "starts_at": until - DAY, "created_by": "user-1", "created_at": until - DAY}
        for i in range(8):
            name = stream.names[30 + i]
            c.execute(insert(t.Silence).values(series=name, comment="known", ends_at=until + 3 * DAY, **values))
    return n


def reopen(store: Store, open_: int = 40) -> None:
    """Alerts that runs before this one have closed are at work again: so many at least, the latest."""
    a = t.Alert
    with store.write() as c:
        missing = open_ - c.execute(select(func.count()).where(a.state != "resolved")).scalar_one()
        if missing > 0:
            last = c.execute(select(a.id).where(a.state == "resolved").order_by(a.id.desc()).limit(missing)).scalars()
            values = {"resolved_at": None, "resolved_by": None, "resolution": None}
            for i, alert_id in enumerate(last):
                state = "firing" if i % 2 else "acknowledged"
                c.execute(update(a).where(a.id == alert_id).values(state=state, **values))


def _alert(c: Connection, rng: Random, stream: Stream, storm: Storm, n: int, until: int) -> None:
    name = stream.names[storm.series - 1]
    age = until - storm.start
    detected = storm.start + 2 * stream.bucket_ms
    over = storm.end if storm.end < until else None
    state = "resolved"
    if age < 6 * HOUR or (age < 2 * DAY and rng.random() < 0.2):
        state = "firing"
    elif age < 4 * DAY and rng.random() < 0.5:
        state = "acknowledged"
    severity = rng.choices(("info", "warning", "critical"), (4, 4, 2))[0]
    who = f"user-{rng.randrange(50)}"
    level = rng.choices((None, "ordinary", "major", "grave"), (6, 2, 1, 0.3))[0]
    incident = None
    if n % 5 == 0:
        values = {"opened_at": detected, "sketches": [], "updated_at": detected}
        incident = int(c.execute(insert(t.Incident).values(**values).returning(t.Incident.id)).scalar_one())
    elif n % 5 == 1:
        incident = c.execute(select(t.Incident.id).order_by(t.Incident.id.desc()).limit(1)).scalar()
    rule = rng.random() < 0.1
    hit = {"rule": "违约兑付", "words": ["违约"], "at": storm.start, "row_id": "1"}
    alert_id = int(
        c.execute(
            insert(t.Alert)
            .values(
                type="rule" if rule else "surge",
                fingerprint=name,
                series_id=storm.series,
                kinds=[1, 2],
                state=state,
                severity=severity,
                level=level,
                level_at=detected if level else None,
                level_by="rule:默认" if level else None,
                assignee=who if rng.random() < 0.4 else None,
                incident_id=incident,
                snoozed_until=until + HOUR if state == "firing" and rng.random() < 0.1 else None,
                started_at=storm.start,
                detected_at=detected,
                peak_at=(storm.start + storm.end) // 2,
                ended_at=over,
                last_bucket_end=over or until,
                acknowledged_at=None if state == "firing" else detected + 9 * MINUTE,
                acknowledged_by=None if state == "firing" else who,
                resolved_at=storm.end + HOUR if state == "resolved" else None,
                resolved_by=who if state == "resolved" else None,
                resolution=rng.choice(_RESOLUTIONS) if state == "resolved" else None,
                score=round(rng.uniform(3.6, 9), 2),
                expected_negative=round(rng.uniform(1, 12), 1),
                seen_negative=rng.randint(14, 160),
                seen_total=rng.randint(160, 300),
                window_seconds=3600,
                arm="volume",
                detector_version="1",
                model_id=2,
                parameters={"open": 3.6},
                explanation=(
                    {"hits": [hit], "summary": "一篇文本命中规则“违约兑付”"}
                    if rule
                    else {
                        "expected_share": 0.24,
                        "copies": 14,
                        "sources": [{"source": s, "negative": 9} for s in stream.sources[:3]],
                    }
                ),
                evidence=_evidence(stream, storm),
                updated_at=detected,
            )
            .returning(t.Alert.id)
        ).scalar_one()
    )
    told: list[tuple[int, str, str, str | None, dict[str, Any]]] = [
        (detected, "detector", "opened", None, {"severity": severity})
    ]
    if rng.random() < 0.4:
        told.append((detected + 20 * MINUTE, "detector", "worse", None, {"severity": severity}))
    if state != "firing":
        told.append((detected + 9 * MINUTE, who, "acknowledged", "在核实，先盯着。", {}))
        told += [
            (detected + (12 + 5 * i) * MINUTE, who, "comment", f"已联系分支机构核实（{i}）", {})
            for i in range(rng.randrange(4))
        ]
    if state == "resolved":
        told.append((storm.end + HOUR, who, "resolved", "处置完毕", {"resolution": "real"}))
    c.execute(
        insert(t.AlertEvent),
        [
            {"alert_id": alert_id, "at": at, "actor": actor, "action": action, "comment": comment, "data": data}
            for at, actor, action, comment, data in told
        ],
    )
    c.execute(
        insert(t.Notification),
        [
            {
                "alert_id": alert_id,
                "receiver": receiver,
                "channel": 0,
                "sequence": i + 1,
                "reason": ("first", "worse", "repeated", "resolved")[i % 4],
                "state": "sent" if rng.random() < 0.98 else "cancelled",
                "message_id": f"m{alert_id}-{receiver}-{i}",
                "payload": {"text": "x" * 600},
                "created_at": detected + i * HOUR,
                "not_before": detected,
                "attempts": 1,
                "sent_at": detected + 800,
                "last_error": None,
            }
            for receiver in ("oncall", "mail")
            for i in range(rng.randint(1, 3))
        ],
    )
    if level:
        c.execute(
            insert(t.AlertStep),
            [
                {
                    "alert_id": alert_id,
                    "step": step,
                    "state": "done" if state == "resolved" else "open",
                    "due_at": detected + (i + 1) * 4 * HOUR,
                    "done_at": storm.end if state == "resolved" else None,
                    "done_by": who if state == "resolved" else None,
                    "note": None,
                }
                for i, step in enumerate(_STEPS)
            ],
        )


def _evidence(stream: Stream, storm: Storm) -> list[dict[str, Any]]:
    found = [s for s in stream.bucket(storm.start) if storm.series in s.series and s.sentiment == 0][:10]
    return [
        {
            "row_id": str(s.row),
            "observed_at": s.at,
            "kind": s.kind,
            "source": stream.sources[(s.source or 1) - 1],
            "title": s.title,
            "text": s.text,
            "p_negative": s.p,
            "copies": 1 + i,
            "url": None,
        }
        for i, s in enumerate(found)
    ]
