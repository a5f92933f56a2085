"""What the browser sends to a callback, held against what the callback says that it reads: which callback, its inputs
and states one by one, the shape of each value. Whatever does not fit was not sent by our own pages and is refused with
one line; the callbacks themselves need not doubt what they are given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import structlog
from dash import Dash
from flask import Flask, g, request
from flask_login import current_user
from pydantic import ValidationError

from dashboard.security.inputs import Unfit, check_text, unfit
from dashboard.security.payload_shapes import shape_of

log = structlog.get_logger(__name__)
PATH = "/_dash-update-component"
_WILD = ("MATCH", "ALL", "ALLSMALLER")
MOST_ALIKE = 2_000
"""Components of one pattern."""


def register(server: Flask, app: Dash) -> None:
    """Look at each callback's request before Dash does."""

    @server.before_request
    def _check() -> Any:
        if request.endpoint is None or not request.path.endswith(PATH) or request.method != "POST":
            return None
        try:
            check(app.callback_map, g.get("json_body"))
        except Unfit as e:
            log.warning("callback refused", user=getattr(current_user, "name", None), why=str(e)[:200])
            return unfit(e)
        return None


def check(callbacks: Mapping[str, Any], body: Any) -> None:
    """Raises:
    Unfit: the body is none that our pages send to one of the callbacks.
    """
    if not isinstance(body, dict):
        raise Unfit("body", "expected a JSON object")
    output = body.get("output")
    known = callbacks.get(output) if isinstance(output, str) else None
    if known is None or "callback" not in known:
        raise Unfit("output", "there is no such callback")
    given = set[str]()
    for part, declared in (("inputs", known["inputs"]), ("state", known["state"])):
        sent = body.get(part, [])
        if not isinstance(sent, list) or len(sent) != len(declared):
            raise Unfit(part, f"expected a list of {len(declared)}")
        for what, one in zip(declared, sent, strict=True):
            given |= _property(part, what, one)
    changed = body.get("changedPropIds", [])
    if not isinstance(changed, list) or not all(isinstance(x, str) for x in changed):
        raise Unfit("changedPropIds", "expected a list of texts")
    if not given.issuperset(changed):
        raise Unfit("changedPropIds", "expected inputs of the callback")
    _outputs(str(output), body.get("outputs"), known)


def _property(part: str, declared: Mapping[str, str], sent: Any) -> set[str]:
    """Check one input or state; returns what it is called in ``changedPropIds``."""
    id_, property_ = declared["id"], declared["property"]
    pattern = json.loads(id_) if id_.startswith("{") else None
    many = pattern is not None and any(v == [w] for v in pattern.values() for w in ("ALL", "ALLSMALLER"))
    if many and not isinstance(sent, list):
        raise Unfit(part, f"expected a list for {id_}.{property_}")
    if many and len(sent) > MOST_ALIKE:
        raise Unfit(part, f"too many for {id_}.{property_}")
    return {_one(part, id_, pattern, property_, x) for x in (sent if many else [sent])}


def _one(part: str, id_: str, pattern: dict[str, Any] | None, property_: str, sent: Any) -> str:
    name = f"{id_}.{property_}"
    if not isinstance(sent, dict) or sent.get("property") != property_:
        raise Unfit(part, f"expected {name}")
    if pattern is None:
        if sent.get("id") != id_:
            raise Unfit(part, f"expected {name}")
        called = id_
    else:
        _fits(part, name, pattern, sent.get("id"))
        called = json.dumps(sent["id"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    value = sent.get("value")
    if property_ == "id":
        if value != sent["id"]:
            raise Unfit(part, f"{name} differs from the component's own")
        return f"{called}.{property_}"
    shape = shape_of(str(pattern["type"]) if pattern else id_, property_)
    if shape is None:
        raise Unfit(part, f"nothing is known about {name}")
    _shaped(part, name, shape, value)
    if property_ in ("search", "pathname", "href"):
        check_text(name, unquote(value or ""))
    return f"{called}.{property_}"


def _fits(part: str, name: str, pattern: dict[str, Any], id_: Any) -> None:
    """Whether an id is one of a pattern's."""
    if not isinstance(id_, dict) or id_.keys() != pattern.keys():
        raise Unfit(part, f"expected an id like {name}")
    for key, wanted in pattern.items():
        if not (isinstance(wanted, list) and wanted[0] in _WILD) and id_[key] != wanted:
            raise Unfit(part, f"expected an id like {name}")
    shape = shape_of(str(pattern["type"]), "id")
    if shape is not None:
        _shaped(part, name, shape, id_)


def _shaped(part: str, name: str, shape: Any, value: Any) -> None:
    try:
        shape.validate_python(value, strict=True)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        raise Unfit(part, f"{name}: {first['msg']}") from None


def _outputs(output: str, sent: Any, known: Mapping[str, Any]) -> None:
    """Dash answers by what the request says of the outputs: they are those of the callback."""
    if known.get("no_output"):
        return
    wanted = output[2:-2].split("...") if output.startswith("..") else [output]
    got = list(_flat(sent))
    if len(got) != len(wanted):
        raise Unfit("outputs", f"expected {len(wanted)}")
    for name, one in zip(wanted, got, strict=True):
        id_, property_ = one.get("id"), one.get("property")
        if not isinstance(property_, str):
            raise Unfit("outputs", f"expected {name}")
        declared, _, rest = name.rpartition(".")
        if rest.partition("@")[0] != property_.partition("@")[0]:
            raise Unfit("outputs", f"expected {name}")
        if declared.startswith("{"):
            _fits("outputs", name, json.loads(declared), id_)
        elif id_ != declared:
            raise Unfit("outputs", f"expected {name}")


def _flat(sent: Any) -> Iterator[dict[str, Any]]:
    for one in sent if isinstance(sent, list) else [sent]:
        if isinstance(one, list):
            yield from _flat(one)
        elif isinstance(one, dict):
            yield one
        else:
            raise Unfit("outputs", "expected components with their properties")
