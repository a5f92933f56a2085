"""The screens. Each module has ``register(app)``: its address, its layout and its callbacks."""

from __future__ import annotations

from dash import Dash

from dashboard.pages import (
    account,
    alert,
    alerts,
    annotate,
    documents,
    home,
    models,
    not_found_404,
    overview,
    receivers,
    rules,
    series,
    silences,
    system,
)


def register(app: Dash) -> None:
    """Put all screens into an app."""
    for module in (
        home, overview, series, alerts, alert, silences, rules, receivers, documents, annotate, models, system, account,
        not_found_404,
    ):  # fmt: skip
        module.register(app)
