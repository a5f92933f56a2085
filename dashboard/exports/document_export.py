"""``GET /export/documents.csv`` and its like: what the filters of the Documents page match, as a file.

For analysts and administrators; each export is in the audit log. Which documents are in it is decided first; their
texts are then read and sent in pieces, so that neither memory nor a transaction is held while somebody's line is slow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask_login import current_user

from barometer.errors import BarometerError
from barometer.store.accounts.audit_log import note
from barometer.store.documents.keys import Key
from barometer.store.documents.listing import Text, texts_of
from barometer.store.engine import Store
from barometer.store.search.query import matching_keys
from dashboard.context import View, context, view
from dashboard.exports.document_files import NAMES, as_csv, write_parquet, write_xlsx
from dashboard.i18n.texts import code_text, series_name, why_unscored
from dashboard.services.document_query import FIELDS, wanted

blueprint = Blueprint("export", __name__, url_prefix="/export")
EXPORTED = "documents.export"
FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_PIECE = 500
"""Documents read at a time."""
_BYTES = 1 << 16


@blueprint.errorhandler(BarometerError)
def _refused(error: BarometerError) -> Any:
    return jsonify(error=str(error)), 400


@blueprint.get("/documents.<any(csv, parquet, xlsx):form>")
def of_page(form: str) -> Any:
    """What the page's address line matches."""
    if not current_user.may_act:
        return jsonify(error=view().t("export.forbidden")), 403
    return documents(form, {name: request.args[name] for name in FIELDS if request.args.get(name)})


def documents(form: str, query: Mapping[str, str | None]) -> Response:
    """The newest ``export_rows`` documents that match. Headers say how many these are (``X-Barometer-Rows``), and
    ``X-Barometer-Cut: true`` that there would be more; the file's name says so too.

    Args:
        form: one of :data:`FORMATS`.
        query: fields of the address line, see :func:`dashboard.services.document_query.wanted`.

    Raises:
        NotSought: a field has a value that it cannot have.
    """
    v, ctx = view(), context()
    most = ctx.settings.export_rows
    with ctx.store.read() as c:
        now = ctx.store.now_ms(c)
        keys, complete = matching_keys(c, ctx.store, wanted(query, now, ctx.zone), most + 1)
    cut = len(keys) > most
    keys = keys[:most]
    told = {"format": form, "rows": len(keys), "cut": cut, "complete": complete, "query": dict(query)}
    with ctx.store.write() as c:
        note(c, now, current_user.name, EXPORTED, "documents", told)
    stamp = datetime.fromtimestamp(now / 1000, ctx.zone).strftime("%Y%m%d-%H%M%S")
    name = f"barometer-documents-{stamp}{f'-newest-{most}' if cut else ''}.{form}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Barometer-Rows": str(len(keys)),
        "X-Barometer-Cut": str(cut).lower(),
        "X-Barometer-Complete": str(complete).lower(),
        "Cache-Control": "no-store",
    }
    body = as_csv(_texts(ctx.store, keys), ctx.zone) if form == "csv" else _file(form, keys, v, query, cut, complete)
    return Response(body, content_type=FORMATS[form], headers=headers)


def _texts(store: Store, keys: Sequence[Key]) -> Iterator[Text]:
    for i in range(0, len(keys), _PIECE):
        with store.read() as c:
            found = texts_of(c, keys[i : i + _PIECE], whole=True)
        yield from found


def _file(
    form: str, keys: Sequence[Key], v: View, query: Mapping[str, str | None], cut: bool, complete: bool
) -> Iterator[bytes]:
    """Formats whose end must be known before their beginning is sent: written to disk first."""
    folder = TemporaryDirectory(prefix="barometer-export-")
    try:
        file = Path(folder.name) / f"documents.{form}"
        if form == "parquet":
            write_parquet(_texts(context().store, keys), file)
        else:
            heads = [v.t("export.title_column" if name == "title" else f"export.{name}") for name in NAMES]
            about = (v.t("export.about"), _about(v, query, len(keys), cut, complete))
            write_xlsx(
                _texts(context().store, keys),
                file,
                context().zone,
                v.t("documents.title"),
                heads,
                about,
                lambda column, code: _word(v, column, code),
            )
    except BaseException:
        folder.cleanup()
        raise
    return _sent(file, folder)


def _word(v: View, column: str, code: str) -> str:
    if column == "topics":
        return series_name(v.lang, f"topic:{code}")
    if column == "unscored_reason":
        return why_unscored(v.lang, code)
    return code_text(v.lang, {"flags": "flag"}.get(column, column), code)


def _sent(file: Path, folder: TemporaryDirectory[str]) -> Iterator[bytes]:
    with folder, file.open("rb") as f:
        while piece := f.read(_BYTES):
            yield piece


def _about(v: View, query: Mapping[str, str | None], rows: int, cut: bool, complete: bool) -> list[tuple[str, str]]:
    zone = context().zone
    out = [
        (v.t("export.made_at"), datetime.fromtimestamp(time.time(), zone).strftime("%Y-%m-%d %H:%M:%S")),
        (v.t("export.made_by"), current_user.name),
        (v.t("export.zone"), zone.key),
        (v.t("export.rows"), str(rows)),
        *((v.t(f"export.field_{name}"), value or "") for name, value in query.items()),
    ]
    if cut:
        out.append((v.t("export.note"), v.t("export.cut", n=rows)))
    if not complete:
        out.append((v.t("export.note"), v.t("documents.incomplete")))
    return out
