"""Calls of the API, each with the models that check its request and make its answer, and the OpenAPI 3.1 document that
is generated from the same: what is documented is what is done."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import Blueprint, Response, request
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from werkzeug.exceptions import NotFound

from barometer import __version__
from dashboard.api.errors import handle, malformed
from dashboard.api.shapes import Answer, Asked, Error
from dashboard.services.acts import Malformed, must_act, must_be_analyst

PREFIX = "/api/v1"
MAX_ID = (1 << 63) - 1
"""What the databases' integers hold."""
_CONVERTER = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
_REF = "#/components/schemas/{model}"
_PLAIN: dict[str, dict[str, Any]] = {
    "int": {"type": "integer", "minimum": 0, "maximum": MAX_ID},
    "string": {"type": "string"},
}
REFUSALS: Mapping[int, str] = {
    400: "a parameter or field is unknown, malformed or out of range",
    401: "no session and no valid token",
    403: "the user's role, or the token's scope, does not allow this",
    404: "there is no such thing",
    409: "it cannot be done as things are: somebody was first",
    413: "the body is too large",
    429: "too many calls: the header Retry-After says how many seconds to wait",
    503: "it cannot be had just now: the database is away, or others are at it; Retry-After as above",
}


@dataclass(frozen=True)
class Call:
    """One method of one path."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    details: str
    query: type[Asked] | None
    body: type[Asked] | None
    answer: type[Answer] | None
    made: int
    acts: bool
    analysts: bool
    forms: Mapping[str, str]
    """Content types of answers that are files, by the value of the path's parameter."""
    parts: tuple[tuple[str, dict[str, Any]], ...]
    """Parameters of the path with their schemas."""


class Contract:
    """A blueprint, and what it promises; ``prefix``: the path under which all of it is found."""

    def __init__(self, blueprint: Blueprint, prefix: str = "") -> None:
        self.blueprint, self._prefix = blueprint, prefix
        self.calls: list[Call] = []
        handle(blueprint)

    def call(
        self,
        method: str,
        rule: str,
        tag: str,
        *,
        query: type[Asked] | None = None,
        body: type[Asked] | None = None,
        answer: type[Answer] | None = None,
        made: int = 200,
        acts: bool = False,
        analysts: bool = False,
        forms: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a view; its docstring is the documentation.

        Args:
            query, body: models of the request; the view gets them as arguments ``query`` and ``body``.
            answer: what the view returns is read into this and written from it.
            acts: for analysts and administrators, and tokens of scope ``act``.
            analysts: for analysts and administrators, and any of their tokens: it only reads.
            forms: the view returns a file instead; content types by the path's parameter.
        """

        def register(view: Callable[..., Any]) -> Callable[..., Any]:
            text = inspect.cleandoc(view.__doc__ or "")
            summary, _, details = text.partition("\n\n")
            endpoint = name or view.__name__
            found = tuple((part[2], _schema(rule, part)) for part in _CONVERTER.finditer(rule))
            self.calls.append(
                Call(
                    method,
                    _CONVERTER.sub(r"{\2}", rule),
                    endpoint,
                    tag,
                    " ".join(summary.split()),
                    details,
                    query,
                    body,
                    answer,
                    made,
                    acts,
                    analysts,
                    forms or {},
                    found,
                )
            )

            def run(**path: Any) -> Any:
                if acts:
                    must_act()
                if analysts:
                    must_be_analyst()
                if any(isinstance(x, int) and x > MAX_ID for x in path.values()):
                    raise NotFound("no such number")
                if query is not None:
                    path["query"] = _from_query(query)
                if body is not None:
                    path["body"] = _from_body(body)
                found = view(**path)
                if answer is None or isinstance(found, Response):
                    return found
                made_of = found if isinstance(found, BaseModel) else answer.model_validate(found)
                return Response(made_of.model_dump_json(by_alias=True), made, mimetype="application/json")

            self.blueprint.add_url_rule(rule, endpoint, run, methods=[method])
            return view

        return register

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document; made when it is asked for, once all calls are registered."""
        models: list[tuple[type[BaseModel], Any]] = [(Error, "serialization")]
        models += [(c.body, "validation") for c in self.calls if c.body]
        models += [(c.answer, "serialization") for c in self.calls if c.answer]
        names, definitions = models_json_schema(models, ref_template=_REF)
        paths: dict[str, dict[str, Any]] = {}
        for call in self.calls:
            paths.setdefault(PREFIX + call.path, {})[call.method.lower()] = _operation(call, names)
        tags = list(dict.fromkeys(c.tag for c in self.calls))
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Barometer 舆情晴雨表",
                "version": __version__,
                "description": "Times are UTC epoch milliseconds; row ids are strings. Every refusal has the form of "
                "the schema Error, with a stable code.",
            },
            "servers": [{"url": self._prefix or "/"}],
            "tags": [{"name": t} for t in tags],
            "security": [{"token": []}, {"session": []}],
            "paths": paths,
            "components": {
                "schemas": definitions.get("$defs", {}),
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "description": "barometer users token add"},
                    "session": {"type": "apiKey", "in": "cookie", "name": "barometer_session"},
                },
            },
        }


def _schema(rule: str, part: re.Match[str]) -> dict[str, Any]:
    if part[1] == "any":
        words = re.search(rf"<any\(([^)]*)\):{part[2]}>", rule)
        assert words
        return {"type": "string", "enum": [w.strip() for w in words[1].split(",")]}
    return dict(_PLAIN[part[1] or "string"])


def _from_query(model: type[Asked]) -> Asked:
    """Read the address line; a parameter without a value is as if it were not there."""
    for name, values in request.args.lists():
        if len(values) > 1:
            raise Malformed("twice", field=name[:80])
    try:
        return model.model_validate({k: v for k, v in request.args.items() if v != ""})
    except ValidationError as e:
        raise malformed(e, model) from None


def _from_body(model: type[Asked]) -> Asked:
    """Read the body, JSON in UTF-8; none is an object without fields."""
    raw = request.get_data()  # raises 413 where it is too large
    try:
        return model.model_validate_json(raw or b"{}", strict=True)
    except ValidationError as e:
        raise malformed(e, model) from None


def _operation(call: Call, names: Mapping[Any, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": schema} for name, schema in call.parts
    ]
    if call.query is not None:
        made = call.query.model_json_schema(ref_template=_REF)
        assert "$defs" not in made, f"{call.query.__name__}: keep parameters plain"
        for name, schema in made.get("properties", {}).items():
            plain = _not_null({k: v for k, v in schema.items() if k != "title"})
            one: dict[str, Any] = {"name": name, "in": "query", "schema": plain}
            if "description" in plain:
                one["description"] = plain.pop("description")
            if name in made.get("required", ()):
                one["required"] = True
            parameters.append(one)
    good: dict[str, Any] = {"description": "as asked"}
    if call.forms:
        good["content"] = {kind.split(";")[0]: {} for kind in call.forms.values()}
    elif call.answer is not None:
        good["content"] = {"application/json": {"schema": names[(call.answer, "serialization")]}}
    possible = {400, 401, 429, 503}  # NUL in an address is refused everywhere
    possible |= {404} if call.parts else set()
    possible |= {403} if call.acts or call.analysts else set()
    possible |= {409} if call.acts else set()
    possible |= {413} if call.body else set()
    refusal = {"application/json": {"schema": names[(Error, "serialization")]}}
    operation: dict[str, Any] = {
        "operationId": call.name,
        "tags": [call.tag],
        "summary": call.summary,
        "responses": {str(call.made): good}
        | {str(s): {"description": REFUSALS[s], "content": refusal} for s in sorted(possible)},
    }
    notes = [call.details] if call.details else []
    if call.acts:
        notes.append("For analysts and administrators; tokens need the scope act.")
    if call.analysts:
        notes.append("For analysts and administrators, and tokens of either scope.")
    if notes:
        operation["description"] = "\n\n".join(notes)
    if parameters:
        operation["parameters"] = parameters
    if call.body is not None:
        required = bool(call.body.model_json_schema().get("required"))
        operation["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": names[(call.body, "validation")]}},
        }
    return operation


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it is never null."""
    options = [o for o in schema.pop("anyOf", []) if o != {"type": "null"}]
    if schema.get("default", 0) is None:
        del schema["default"]
    return {**schema, **options[0]} if len(options) == 1 else {**schema, **({"anyOf": options} if options else {})}
