"""The API's own description, for programs (OpenAPI) and for people (a page that loads nothing from elsewhere)."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request
from werkzeug.exceptions import NotFound

from dashboard.api.contract import PREFIX, Contract
from dashboard.context import view


def contract(prefix: str) -> Contract:
    """An empty contract on a blueprint of its own, for each server anew."""
    return Contract(Blueprint("api", __name__, url_prefix=PREFIX), prefix)


def register(contract: Contract) -> None:
    @contract.blueprint.get("/openapi.json")
    def openapi() -> Any:
        return jsonify(contract.document)

    @contract.blueprint.get("/docs")
    def docs() -> Any:
        how, made = view(), contract.document
        body = render_template(
            "api.html",
            made=made,
            schemas=made["components"]["schemas"],
            lang=how.lang,
            theme=how.theme,
            shape=_shape,
            pretty=_pretty,
        )
        return Response(body, mimetype="text/html")

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]

    @contract.blueprint.route("/<path:rest>", methods=methods)
    def nowhere(rest: str) -> Any:  # noqa: ARG001
        # Without it Dash would answer with a page.
        raise NotFound(f"no call {request.method} {request.path[:200]}: see {PREFIX}/openapi.json")


def _shape(schema: dict[str, Any]) -> str:
    """A schema in a few words: ``string``, ``integer or null``, ``list of Bucket``, ``one of a, b``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if "enum" in schema:
        return "one of " + ", ".join(str(x) for x in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(_shape(s) for s in schema["anyOf"])
    if schema.get("type") == "array":
        return "list of " + _shape(schema.get("items", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        return "object of " + _shape(schema["additionalProperties"])
    return str(schema.get("type", "anything"))


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
