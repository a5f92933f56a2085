"""The JSON API: what the screens show, for programs. Behind the same log-in, or with a token.

Each module has the calls of one subject; :mod:`dashboard.api.contract` checks what comes in and writes the
documentation.
"""

from __future__ import annotations

from flask import Flask

from dashboard.api import alerts, documents, labels, reference, score, series, silences, state
from dashboard.api.contract import Contract

__all__ = ["register"]


def register(server: Flask) -> Contract:
    """Put all calls into a server."""
    contract = reference.contract()
    for module in (state, series, alerts, silences, documents, labels, score):
        module.register(contract)
    reference.register(contract)
    server.register_blueprint(contract.blueprint)
    return contract
