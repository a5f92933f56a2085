"""What an address without a screen shows."""

from __future__ import annotations

from typing import Any

import dash
from dash import dcc, html

from dashboard.components.parts import empty
from dashboard.context import view
from dashboard.i18n.texts import t


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
    # The router looks for a module of this name.
    dash.register_page("not_found_404", path="/404", layout=layout, title=t("zh", "product"))
