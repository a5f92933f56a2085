"""One form for everything that is refused; what pydantic says of a field becomes a text of the screens."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from barometer.errors import BarometerError, StoreError
from barometer.store.alerts.silences import SilenceError
from barometer.store.engine import is_away
from barometer.store.search.terms import SearchError
from dashboard.api.shapes import Asked
from dashboard.services.acts import Forbidden, Malformed, NoSuchAlert, NoSuchSilence, Refused
from dashboard.services.document_query import NotSought
from dashboard.services.labelling import NoSuchText

_HTTP = {404: "not_found", 405: "method", 413: "too_large", 415: "not_json"}
_WORDS = {
    "string_type": "not_text",
    "bool_type": "not_flag",
    "bool_parsing": "not_flag",
    "int_type": "not_number",
    "int_parsing": "not_number",
    "int_from_float": "not_number",
    "extra_forbidden": "unknown",
    "missing": "missing",
    "json_invalid": "not_object",
    "model_type": "not_object",
    "model_attributes_type": "not_object",
}


class NotThere(Refused):
    """What the path names is not there."""


class Unavailable(Refused):
    """It cannot be done just now, whoever asks."""


def told(code: str, message: str, status: int, **more: Any) -> tuple[Response, int]:
    """An error as the API answers it."""
    return jsonify({"error": message, "code": code, **more}), status


def malformed(e: ValidationError, model: type[Asked]) -> Malformed:
    """The first thing that is wrong with a request."""
    first = e.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "body"
    kind, given, about = first["type"], first.get("input"), first.get("ctx") or {}
    if field in model.says and kind not in ("literal_error", "string_too_long"):
        return Malformed(model.says[field], field=field)
    if kind == "literal_error":
        options = str(about.get("expected", "")).replace("'", "").replace(" or ", ", ")
        if isinstance(given, str):
            return Malformed("one_of", field=field, value=given[:80], options=options)
        return Malformed("not_text", field=field)
    if kind == "string_too_long":
        return Malformed("too_long", field=field, most=about["max_length"])
    if kind in _WORDS:
        return Malformed(_WORDS[kind], field=field)
    place = ".".join(str(part) for part in first["loc"])
    return Malformed("unfit", field=place or "body", why=first["msg"])


def handle(blueprint: Blueprint) -> None:
    """Give a blueprint's errors their form."""

    @blueprint.errorhandler(BarometerError)
    def refused(error: BarometerError) -> Any:
        if isinstance(error, Refused):
            status = 409
            for kind, code in (
                (Forbidden, 403),
                (NoSuchAlert, 404),
                (NoSuchSilence, 404),
                (NotThere, 404),
                (NoSuchText, 404),
                (Malformed, 400),
                (Unavailable, 503),
            ):
                status = code if isinstance(error, kind) else status
            more = {"field": str(error.values["field"])} if "field" in error.values else {}
            answer, status = told(error.key, str(error), status, error_zh=error.text("zh"), **more)
            if status == 503:
                answer.headers["Retry-After"] = "5"
            return answer, status
        if isinstance(error, NotSought):
            return told("unfit", str(error), 400, field=error.field)
        if isinstance(error, SearchError):
            return told("search", str(error), 400, field="q")
        return told("refused", str(error), 400 if isinstance(error, SilenceError | StoreError) else 409)

    @blueprint.errorhandler(HTTPException)
    def http(error: HTTPException) -> Any:
        status = error.code or 500
        return told(_HTTP.get(status, f"http_{status}"), error.description or error.name, status)

    @blueprint.errorhandler(DBAPIError)
    def away(error: DBAPIError) -> Any:
        if not is_away(error):
            raise error
        answer, status = told("store_away", "the database cannot be had just now: try again", 503)
        answer.headers["Retry-After"] = "5"
        return answer, status
