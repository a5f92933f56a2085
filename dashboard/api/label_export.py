"""Labels as files: ``/export/annotations.csv`` and ``.jsonl``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, Response, jsonify, request
from flask_login import current_user
from pydantic import ValidationError

from barometer.store.accounts.audit_log import note
from barometer.store.engine import Store
from barometer.store.labels.listing import LabelWithText, list_labels
from dashboard.api.labels import Label, LabelsQuery, as_json
from dashboard.context import context, view
from dashboard.exports.document_files import csv_pieces

blueprint = Blueprint("export_labels", __name__, url_prefix="/export")
EXPORTED = "annotations.export"
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
_NAMES = tuple(Label.model_fields)
_TIMES = {_NAMES.index(n) for n in ("observed_at", "created_at")}
_PIECE = 500


@blueprint.get("/annotations.<any(csv, jsonl):form>")
def labels(form: str) -> Any:
    """The newest ``export_rows`` labels; filters as of the API. Audited, for analysts."""
    v, ctx = view(), context()
    if not current_user.may_act:
        return jsonify(error=v.t("export.forbidden")), 403
    try:
        asked = LabelsQuery.model_validate({k: x for k, x in request.args.items() if x != ""})
    except ValidationError as e:
        first = e.errors()[0]
        return jsonify(error=f"{'.'.join(map(str, first['loc']))}: {first['msg']}"), 400
    with ctx.store.read() as c:
        now = ctx.store.now_ms(c)
        rows = list_labels(
            c,
            origin=asked.origin,
            since_ms=asked.since,
            before=asked.before,
            bare=True,
            limit=ctx.settings.export_rows,
            whole_history=asked.history,
        )
        ids = [r.id for r in rows]
    told = {"format": form, "rows": len(ids), "query": request.args.to_dict()}
    with ctx.store.write() as c:
        note(c, now, current_user.name, EXPORTED, "annotations", told)
    stamp = datetime.fromtimestamp(now / 1000, ctx.zone).strftime("%Y%m%d-%H%M%S")
    headers = {
        "Content-Disposition": f'attachment; filename="barometer-annotations-{stamp}.{form}"',
        "X-Barometer-Rows": str(len(ids)),
        "Cache-Control": "no-store",
    }
    found = map(as_json, _pieces(ctx.store, ids))
    body: Iterator[Any] = (orjson.dumps(r) + b"\n" for r in found)
    if form == "csv":
        body = csv_pieces(_NAMES, ([_cell(r[n]) for n in _NAMES] for r in found), _TIMES, ctx.zone)
    return Response(body, content_type=FORMATS[form], headers=headers)


def _pieces(store: Store, ids: list[int]) -> Iterator[LabelWithText]:
    for i in range(0, len(ids), _PIECE):
        with store.read() as c:
            found = list(list_labels(c, ids=ids[i : i + _PIECE]))
        yield from found


def _cell(value: Any) -> Any:
    if isinstance(value, Mapping):
        return "; ".join(value)
    return "; ".join(map(str, value)) if isinstance(value, list) else value
