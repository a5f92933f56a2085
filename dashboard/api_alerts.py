"""The JSON API's part for alerts: the work list, one alert, and every act on it. Fields are those of
``dashboard/acts.py``, where they are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Blueprint, jsonify, request

from barometer.errors import BarometerError
from barometer.store.queries_alerts import alert_page
from barometer.store.queries_worklist import SORTS, Wanted, work_list
from barometer.store.silences import silenced_alerts
from dashboard.acts import ACTS, Forbidden, Malformed, NoSuchAlert, Refused, act
from dashboard.context import context

blueprint = Blueprint("api_alerts", __name__, url_prefix="/api/v1/alerts")
MAX_PAGE = 200
_FILTERS = ("state", "severity", "level", "owner", "series")


@blueprint.errorhandler(BarometerError)
def _refused(error: BarometerError) -> Any:
    code = 403 if isinstance(error, Forbidden) else 404 if isinstance(error, NoSuchAlert) else 409
    code = 400 if isinstance(error, Malformed) else code
    body = {"error": str(error)}
    if isinstance(error, Refused):
        body |= {"code": error.key, "error_zh": error.text("zh")}
    return jsonify(body), code


@blueprint.get("")
def get_alerts() -> Any:
    """The work list: ``?state=open|firing|acknowledged|resolved|all``, ``&severity=``, ``&level=``, ``&owner=NAME``
    (``none``: nobody's), ``&series=``, ``&sort=``; ``&limit=``, and ``&before=ID`` for those below a number."""
    given = {name: request.args[name] for name in _FILTERS if request.args.get(name)}
    wanted, sort = Wanted(**given), request.args.get("sort") or ""
    wrong = wanted.problem() or (("sort", sort, SORTS) if sort and sort.removeprefix("-") not in SORTS else None)
    if wrong is not None:
        raise Malformed("one_of", field=wrong[0], value=wrong[1], options=", ".join(wrong[2]))
    try:
        before = int(request.args["before"]) if request.args.get("before") else None
        limit = min(MAX_PAGE, max(1, int(request.args.get("limit") or 50)))
    except ValueError:
        raise Malformed("not_number", field="before, limit") from None
    sort = sort or ("-id" if wanted.state in ("resolved", "all") else "")
    with context().store.read() as c:
        found = work_list(c, wanted, sort, limit=limit, before_id=before)
        silenced = silenced_alerts(c, context().settings, context().store.now_ms(c))
    rows = []
    for a in found:
        values = dict(plain(a))
        values["silenced_until"] = silenced[a.id].until if a.id in silenced else None
        rows.append(values)
    return jsonify(alerts=rows)


@blueprint.get("/<int:alert_id>")
def get_alert(alert_id: int) -> Any:
    """One alert with evidence, events, steps, notifications, and the others of its incident."""
    with context().store.read() as c:
        page = alert_page(c, alert_id)
    if page is None:
        raise NoSuchAlert("no_alert", id=alert_id)
    return jsonify(
        {**plain(page.alert), "series": page.series, "model": page.model, "events": _rows(page.events),
         "steps": _rows(page.steps), "incident": _rows(page.together),
         "notifications": [{k: x for k, x in n.items() if k != "payload"} for n in _rows(page.notifications)]}
    )  # fmt: skip


def _route(what: str) -> Callable[[int], Any]:
    """An act, for analysts and administrators; answers the alert as it is then."""

    def do(alert_id: int) -> Any:
        data = request.get_json(silent=True)
        data = {} if data is None and not request.data else data
        if not isinstance(data, dict):
            raise Malformed("not_object")
        if what == "resolve":
            data = {"resolution": "other", **data}
        act(what, alert_id, data)
        return get_alert(alert_id)

    return do


for _what in ACTS:
    blueprint.add_url_rule(f"/<int:alert_id>/{_what}", _what.replace("-", "_"), _route(_what), methods=["POST"])


def plain(row: Any) -> Mapping[str, Any]:
    return dict(row._mapping)


def _rows(rows: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [plain(r) for r in rows]
