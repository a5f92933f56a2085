"""The JSON API, behind the same log-in: series, buckets, status; alerts are in ``api_alerts``.

Times are UTC epoch milliseconds. Row ids are strings: they do not fit the numbers of JSON readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flask import Blueprint, jsonify, request

from barometer.errors import BarometerError
from barometer.store.queries import find_series, list_series, totals
from barometer.store.queries_points import points
from barometer.store.status import status
from dashboard.context import KINDS, context, period

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
MAX_POINTS = 5_000


class _Wrong(BarometerError):
    """A parameter is malformed."""


@blueprint.errorhandler(BarometerError)
def _refused(error: BarometerError) -> Any:
    return jsonify(error=str(error)), 400 if isinstance(error, _Wrong) else 409


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
