"""What no request may hold, checked once for all of them: text that a database cannot keep.

NUL and lone surrogates can be written in JSON, in forms and in addresses, and PostgreSQL stores neither; numbers beyond
64 bits and NaN fit no column. Whatever a request says is refused with one line before anything looks at it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, g, jsonify, request

_BAD = re.compile("[\x00\ud800-\udfff]")
MOST = 2**63 - 1
DEEPEST = 64
"""Levels of JSON."""


class Unfit(ValueError):
    """Why a request cannot be taken, in a line; ``field`` is where it says so."""

    def __init__(self, field: str, why: str) -> None:
        self.field, self.why = field, why
        super().__init__(f"{field}: {why}")


def unfit(e: Unfit) -> tuple[Response, int]:
    """The answer to it."""
    field = _BAD.sub("\ufffd", e.field)[:100]
    return jsonify(error=f"{field}: {e.why}", code="unfit", field=field), 400


def check_text(field: str, text: str) -> None:
    """Raises:
    Unfit: it holds NUL or half a character.
    """
    if _BAD.search(text):
        raise Unfit(field, "it holds a NUL or half a character (a lone surrogate)")


def check_json(field: str, value: Any, depth: int = 0) -> None:
    """Look at all texts and numbers of a JSON value.

    Raises:
        Unfit: one of them fits no column, or it is nested too deeply.
    """
    if isinstance(value, str):
        check_text(field, value)
    elif isinstance(value, bool) or value is None or isinstance(value, float):
        return
    elif isinstance(value, int):
        if abs(value) > MOST:
            raise Unfit(field, "the number is too large")
    elif depth >= DEEPEST:
        raise Unfit(field, "nested too deeply")
    elif isinstance(value, list):
        for x in value:
            check_json(field, x, depth + 1)
    else:
        for key, x in value.items():
            check_text(field, key)
            check_json(key if depth == 0 else field, x, depth + 1)


def body() -> Any:
    """The JSON of a request that says it has some, or None where it cannot be read: whoever wants it says so.

    Raises:
        Unfit: it holds what fits nowhere.
    """

    def no_number(name: str) -> Any:
        raise Unfit("body", f"{name} is no JSON")

    try:
        found = json.loads(request.get_data(), parse_constant=no_number)
    except Unfit:
        raise
    except RecursionError:
        raise Unfit("body", "nested too deeply") from None
    except ValueError:
        return None
    check_json("body", found)
    return found


def _texts() -> Iterator[tuple[str, str]]:
    yield "path", request.path
    for name, values in request.args.lists():
        yield "address", name
        yield from ((name, x) for x in values)
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        for name, values in request.form.lists():
            yield "form", name
            yield from ((name, x) for x in values)


def _check() -> Any:
    try:
        for field, text in _texts():
            check_text(field, text)
        g.json_body = body() if request.is_json else None
    except Unfit as e:
        return unfit(e)
    return None


def register(server: Flask) -> None:
    """Before all else that looks at requests."""
    server.before_request(_check)
