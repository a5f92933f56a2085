"""A test client that holds every answer of the API against the OpenAPI document that the same server gives."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from werkzeug.routing import Map, Rule


class ContractClient(FlaskClient):
    """Answers under ``/api/v1/`` must have a documented status, content type and form; ``called`` says which
    operations were called, with which status."""

    contract: dict[str, Any] = {}
    called: set[tuple[str, int]] = set()
    _routes: Any = None
    _registry: Any = None

    @classmethod
    def load(cls, contract: dict[str, Any]) -> None:
        cls.contract = contract
        rules = []
        for path, operations in contract["paths"].items():
            rule = path
            for p in next(iter(operations.values())).get("parameters", []):
                if p["in"] == "path":
                    kind = "int:" if p["schema"].get("type") == "integer" else ""
                    rule = rule.replace(f"{{{p['name']}}}", f"<{kind}{p['name']}>")
            rules += [Rule(rule, methods=[m.upper()], endpoint=(path, m)) for m in operations]
        cls._routes = Map(rules).bind("localhost")
        resource: Resource[Any] = Resource.from_contents(contract, default_specification=_draft())
        cls._registry = Registry().with_resource("urn:contract", resource)

    def open(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().open(*args, **kwargs)
        path, method = answer.request.path, answer.request.method
        if method != "HEAD" and path.startswith("/api/v1/") and not path.endswith(("/openapi.json", "/docs")):
            self._check(path, method, answer)
        return answer

    def _check(self, path: str, method: str, answer: Any) -> None:
        where = f"{method} {path}: {answer.status_code}"
        if not self._routes.test(path, method):
            assert answer.status_code in (400, 401, 403, 404, 405), where
            self._valid({"$ref": "urn:contract#/components/schemas/Error"}, answer.get_json(), where)
            return
        (template, verb), _ = self._routes.match(path, method)
        operation = self.contract["paths"][template][verb]
        assert str(answer.status_code) in operation["responses"], where
        self.called.add((operation["operationId"], answer.status_code))
        content = operation["responses"][str(answer.status_code)]["content"]
        assert answer.mimetype in content, (where, answer.mimetype)
        schema = content[answer.mimetype].get("schema")
        if schema is not None:
            reference = schema["$ref"].replace("#", "urn:contract#", 1)
            self._valid({"$ref": reference}, answer.get_json(), where)

    def _valid(self, schema: dict[str, Any], value: Any, where: str) -> None:
        errors = list(Draft202012Validator(schema, registry=self._registry).iter_errors(value))
        assert errors == [], (where, [f"{e.json_path}: {e.message[:200]}" for e in errors[:5]])


def _draft() -> Any:
    from referencing.jsonschema import DRAFT202012

    return DRAFT202012


def watched(server: Flask) -> Flask:
    """Make all clients of a server check what they get. The document is the same for every server, and slow to make."""
    if not ContractClient.contract:
        ContractClient.load(server.extensions["barometer_contract"].document)
    server.test_client_class = ContractClient
    return server
