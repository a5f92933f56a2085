"""What two runs of one log must agree in, row for row: everything but clocks, terms and numbers given in passing.

Of a race between partitions for one identity the store keeps the least claimant, whoever wrote first, so documents are
compared one by one. Counts that a displaced claimant gave back are in the row of the partition that displaced it: of
rollups, and of the offsets' counters of documents and repeats, the sum over partitions is a function of the log.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sqlalchemy import Connection, func, select

from barometer.store import tables as t
from barometer.store.engine import Store

Rows = dict[str, list[tuple[Any, ...]]]

CLOCKS = {"stored_at", "updated_at", "created_at", "resolved_at", "sent_at", "not_before", "at", "level_at"}
PASSING = {"id", "term", "incident_id", "alert_id", "message_id", "attempts", "last_error", "progress_term"}
"""Numbers given by the order of arrival, and traces of what was tried how often."""
SPLIT = ("total", "negative", "neutral", "positive", "unscored", "late")


def read_rows(store: Store) -> Rows:
    """Everything that is compared, by table, sorted."""
    with store.read() as c:
        names = _Names(c)
        out: Rows = {
            table.__tablename__: _table(c, table, names)
            for table in (
                t.Document,
                t.Prediction,
                t.SeriesDocument,
                t.Identity,
                t.SealedBucket,
                t.SeriesState,
                t.Fingerprint,
                t.SealingState,
                t.SourceRollup,
            )
        }
        out["dead_letters"] = _dead_letters(c)
        out["rollups"] = _rollups(c, names)
        out["offsets"] = _offsets(c)
        out["alerts"] = _alerts(c, names)
        out["alert_events"] = _events(c)
        out["notifications"] = _notifications(c)
    return {name: sorted(rows, key=repr) for name, rows in out.items()}


class _Names:
    """Ids are given in the order of arrival; names say the same in every run."""

    def __init__(self, c: Connection) -> None:
        self.of: dict[str, dict[Any, str]] = {
            "series_id": {r.id: r.name for r in c.execute(select(t.Series.id, t.Series.name))},
            "source_id": {r.id: r.name for r in c.execute(select(t.Source.id, t.Source.name))},
            "model_id": {r.id: r.name for r in c.execute(select(t.ModelVersion.id, t.ModelVersion.name))},
        }

    def value(self, column: str, value: Any) -> Any:
        if value is None or column not in self.of:
            return plain(value)
        return self.of[column].get(value, value)


def plain(value: Any) -> Any:
    """JSON by its text, with keys in order; bytes by their content."""
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    return bytes(value) if isinstance(value, memoryview) else value


def _table(c: Connection, table: Any, names: _Names, leave_out: frozenset[str] = frozenset()) -> list[tuple[Any, ...]]:
    columns = [k for k in table.__table__.columns if k.name not in CLOCKS | PASSING | leave_out]
    return [
        tuple(names.value(k.name, v) for k, v in zip(columns, row, strict=True)) for row in c.execute(select(*columns))
    ]


def _dead_letters(c: Connection) -> list[tuple[Any, ...]]:
    columns = [k for k in t.DeadLetter.__table__.columns if k.name not in CLOCKS | {"relayed_at"}]
    rows = c.execute(select(*columns, t.DeadLetter.relayed_at.is_not(None)))
    return [tuple(plain(v) for v in row) for row in rows]


def _rollups(c: Connection, names: _Names) -> list[tuple[Any, ...]]:
    r = t.Rollup
    keys = (r.bucket, r.series_id, r.kind, r.log_id, r.model_id)
    sums = [func.sum(getattr(r, n)) for n in SPLIT]
    out = []
    for bucket, series_id, kind, log_id, model_id, *counts in c.execute(select(*keys, *sums).group_by(*keys)):
        values = [int(n) for n in counts]
        if any(values):
            named = names.value("series_id", series_id), names.value("model_id", model_id)
            out.append((bucket, kind, log_id, *named, *values))
    return out


def _offsets(c: Connection) -> list[tuple[Any, ...]]:
    o = t.Offset
    exact = (
        o.log_id,
        o.partition,
        o.next_offset,
        o.records,
        o.dead_letters,
        o.tombstones,
        o.progress_records,
        o.progress_t,
        o.last_observed_at,
    )
    sums = select(func.sum(o.documents), func.sum(o.repeats), func.sum(o.late))
    return [tuple(r) for r in c.execute(select(*exact))] + [tuple(int(n) for n in c.execute(sums).one())]


def _alerts(c: Connection, names: _Names) -> list[tuple[Any, ...]]:
    """Of the log alone: alarms about lag or a missing worker are about clocks, and true in a run with kills."""
    columns = [k for k in t.Alert.__table__.columns if k.name not in CLOCKS | PASSING]
    rows = c.execute(select(*columns).where(t.Alert.type == "surge"))
    return [tuple(names.value(k.name, v) for k, v in zip(columns, row, strict=True)) for row in rows]


def _events(c: Connection) -> list[tuple[Any, ...]]:
    a, e = t.Alert, t.AlertEvent
    rows = c.execute(
        select(a.fingerprint, a.started_at, e.actor, e.action, e.comment, e.data)
        .join(a, a.id == e.alert_id)
        .where(a.type == "surge")
    )
    out = []
    for *head, data in rows:
        told = {k: v for k, v in data.items() if k not in ("attempts", "answer", "incident")}
        out.append((*head, plain(told)))
    return out


def _notifications(c: Connection) -> list[tuple[Any, ...]]:
    a, n = t.Alert, t.Notification
    rows = c.execute(
        select(a.fingerprint, a.started_at, n.receiver, n.channel, n.sequence, n.reason, n.state)
        .join(a, a.id == n.alert_id)
        .where(a.type == "surge")
    )
    return [tuple(r) for r in rows]


def differences(have: Rows, want: Rows, most: int = 3) -> list[str]:
    """What is missing and what is too much, table by table, with a few rows of each; nothing if all agree."""
    out = []
    for name in sorted(want.keys() | have.keys()):
        a, b = Counter(have.get(name, [])), Counter(want.get(name, []))
        if a == b:
            continue
        extra, missing = list((a - b).elements()), list((b - a).elements())
        out.append(f"{name}: {len(missing)} missing, {len(extra)} too much of {len(want.get(name, []))}")
        out += [f"  missing {_short(r)}" for r in missing[:most]]
        out += [f"  too much {_short(r)}" for r in extra[:most]]
    return out


def _short(row: tuple[Any, ...]) -> str:
    text = repr(row)
    return text if len(text) < 600 else text[:600] + "..."
