"""The JSON API: what the screens show, for programs. Behind the same log-in, or with a token.

Each module has the calls of one subject; :mod:`dashboard.api.contract` checks what comes in and writes the
documentation.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from werkzeug.exceptions import HTTPException, NotFound

from dashboard.api import alerts, documents, labels, reference, score, series, silences, state
from dashboard.api.contract import PREFIX, Contract
from dashboard.api.errors import told

__all__ = ["register"]


def register(server: Flask) -> Contract:
    """Put all calls into a server."""
    contract = reference.contract(str(server.jinja_env.globals.get("prefix", "")))
    for module in (state, series, alerts, silences, documents, labels, score):
        module.register(contract)
    reference.register(contract)
    server.register_blueprint(contract.blueprint)
    server.register_error_handler(NotFound, _not_found)
    return contract


def _not_found(error: HTTPException) -> Any:
    """Paths that fit no route at all, such as those with a line feed in them."""
    return told("not_found", error.name, 404) if request.path.startswith(PREFIX) else error
