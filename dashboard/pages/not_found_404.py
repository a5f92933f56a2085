"""What an address without a screen shows."""

from __future__ import annotations

from typing import Any

import dash
from dash import dcc, html

from dashboard.components.parts import empty
from dashboard.context import view
from dashboard.navigation import Screen, add

SCREEN = add(Screen("not_found_404", "/404"))


def layout(ui: dict[str, Any] | None = None, **_query: str) -> Any:
    v = view(ui)
    return html.Div(
        [
            html.H1(v.t("not_found")),
            empty(v.t("not_found.hint"), None, "lost"),
            dcc.Link(v.t("not_found.home"), href="/"),
        ],
        className="lost",
    )


def register(_app: dash.Dash) -> None:
    """It has no callbacks. Dash looks for a page of this name where an address is nobody's."""
