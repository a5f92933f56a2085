"""The JSON API, behind the same log-in: series, buckets, alerts and what to do with them, status.

Times are UTC epoch milliseconds. Row ids are strings: they do not fit the numbers of JSON readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flask import Blueprint, jsonify, request

from barometer.errors import BarometerError
from barometer.store.queries import find_series, list_series, points, totals
from barometer.store.queries_alerts import alert_page, open_alerts, past_alerts
from barometer.store.status import status
from dashboard.acts import Forbidden, act
from dashboard.context import KINDS, context, period

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
MAX_POINTS = 5_000


class _Wrong(BarometerError):
    """A parameter is malformed."""


@blueprint.errorhandler(BarometerError)
def _refused(error: BarometerError) -> Any:
    code = 403 if isinstance(error, Forbidden) else 400 if isinstance(error, _Wrong) else 409
    return jsonify(error=str(error)), code


@blueprint.get("/status")
def get_status() -> Any:
    """The report of ``barometer status --json``."""
    return jsonify(status(context().store, context().settings))


@blueprint.get("/series")
def get_series() -> Any:
    """All series with their totals over ``?range=24h&kind=all|news|comment``."""
    with context().store.read() as c:
        span = period(c, request.args.get("range"))
        counts = totals(c, span.from_ms, span.to_ms, 1, _kinds())
        out = []
        for s in list_series(c):
            n = counts.get(s.id)
            out.append(
                {"name": s.name, "judged": s.judged, "trial": s.trial, "total": n.total if n else 0,
                 "negative": n.negative if n else 0, "unscored": n.unscored if n else 0,
                 "share": n.share if n else None, "judged_negative": n.judged_negative if n else 0,
                 "expected_negative": n.expected_negative if n else None}
            )  # fmt: skip
    return jsonify(from_ms=span.from_ms, to_ms=span.to_ms, series=out)


@blueprint.get("/series/<name>/buckets")
def get_buckets(name: str) -> Any:
    """Points of a series between ``?from=`` and ``?to=`` (epoch ms), or over ``?range=``; ``&kind=``, ``&points=``."""
    ctx = context()
    with ctx.store.read() as c:
        row = find_series(c, name)
        if row is None:
            return jsonify(error=f"no series {name!r}"), 404
        span = period(c, request.args.get("range"))
        begin, end = _int("from", span.from_ms), _int("to", span.to_ms)
        if not 0 <= begin < end < 1 << 53:
            raise _Wrong("from and to: epoch milliseconds, from before to")
        most = _int("points", 400)
        if not 1 <= most <= MAX_POINTS:
            raise _Wrong(f"points: 1 to {MAX_POINTS}")
        width = ctx.settings.bucket_ms
        found, step = points(c, row.id, begin // width * width, end, _kinds(), width, most)
    out = []
    for p in found:
        values = asdict(p) | {"share": p.share, "models": sorted(p.models)}
        out.append({k: x for k, x in values.items() if k not in ("judged", "parts")})
    return jsonify(series=name, width_ms=step, buckets=out)


@blueprint.get("/alerts")
def get_alerts() -> Any:
    """``?state=open|resolved|all``, newest first; ``&before=ID`` for the next page."""
    state = request.args.get("state", "open")
    if state not in ("open", "resolved", "all"):
        raise _Wrong("state: open, resolved or all")
    with context().store.read() as c:
        names = {s.id: s.name for s in list_series(c)}
        if state == "open":
            found = open_alerts(c)
        else:
            states = ("resolved",) if state == "resolved" else ("firing", "acknowledged", "resolved")
            before = request.args.get("before")
            found = past_alerts(c, states=states, before_id=_int("before", 0) if before else None)
    return jsonify(alerts=[{**_plain(a), "series": names.get(a.series_id)} for a in found])


@blueprint.get("/alerts/<int:alert_id>")
def get_alert(alert_id: int) -> Any:
    """One alert with evidence, events and notifications."""
    with context().store.read() as c:
        page = alert_page(c, alert_id)
    if page is None:
        return jsonify(error=f"no alert {alert_id}"), 404
    return jsonify(
        {**_plain(page.alert), "series": page.series, "model": page.model, "events": _rows(page.events),
         "notifications": [{k: x for k, x in n.items() if k != "payload"} for n in _rows(page.notifications)]}
    )  # fmt: skip


@blueprint.post("/alerts/<int:alert_id>/acknowledge")
def acknowledge(alert_id: int) -> Any:
    """``{"comment": "..."}``; for analysts and administrators."""
    return _act("acknowledge", alert_id)


@blueprint.post("/alerts/<int:alert_id>/resolve")
def resolve(alert_id: int) -> Any:
    """``{"resolution": "real|false_alarm|known|other", "comment": "..."}``; for analysts and administrators."""
    return _act("resolve", alert_id)


def _act(what: str, alert_id: int) -> Any:
    data = request.get_json(silent=True)
    data = {} if data is None and not request.data else data
    if not isinstance(data, dict):
        raise _Wrong("the body must be a JSON object")
    comment, resolution = data.get("comment"), data.get("resolution", "other")
    if not (comment is None or isinstance(comment, str)) or not isinstance(resolution, str):
        raise _Wrong("comment and resolution: strings")
    with context().store.read() as c:
        if alert_page(c, alert_id) is None:
            return jsonify(error=f"no alert {alert_id}"), 404
    act(what, alert_id, comment, resolution)
    return get_alert(alert_id)


def _kinds() -> Sequence[int]:
    kind = request.args.get("kind", "all")
    if kind not in KINDS:
        raise _Wrong(f"kind: one of {', '.join(KINDS)}")
    return KINDS[kind]


def _int(name: str, default: int) -> int:
    value = request.args.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError:
        raise _Wrong(f"{name}: a whole number") from None


def _plain(row: Any) -> Mapping[str, Any]:
    return dict(row._mapping)


def _rows(rows: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [_plain(r) for r in rows]
