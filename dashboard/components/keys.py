"""What the keyboard does: a dialog that says it, and the switch for single keys (WCAG 2.1.4)."""

from __future__ import annotations

from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, html

from dashboard.components.parts import aria
from dashboard.context import View
from dashboard.navigation import screens


def help_button(v: View) -> Any:
    return html.Button(
        "?",
        id="keys-open",
        className="tool square",
        title=v.t("keys.open"),
        type="button",
        **aria(label=v.t("keys.open"), haspopup="dialog"),
    )


def help_dialog(v: View) -> Any:
    return dmc.Modal(
        help_body(v),
        id="keys-dialog",
        title=v.t("keys.title"),
        opened=False,
        centered=True,
        size="md",
        classNames={"body": "dialog", "content": "dialog-box", "header": "dialog-head"},
        closeButtonProps=aria(label=v.t("act.close")),
    )


def help_body(v: View) -> list[Any]:
    to_pages = [(screen.key, screen.name) for screen in screens() if screen.key]
    rows = [(["g", key], v.t("keys.go", page=v.t(f"nav.{page}"))) for key, page in to_pages]
    rows += [
        (["j", "k"], v.t("keys.next")),
        (["Enter"], v.t("keys.enter")),
        (["/"], v.t("keys.search")),
        (["←", "→"], v.t("keys.chart")),
        (["Esc"], v.t("keys.close")),
        (["?"], v.t("keys.help")),
    ]
    return [
        html.Dl(
            [
                html.Div([html.Dt([html.Kbd(k) for k in keys]), html.Dd(says)], className="key-row")
                for keys, says in rows
            ],
            className="key-list",
        ),
        dmc.Switch(
            id="keys-on", label=v.t("keys.on"), checked=True, size="sm", persistence=True, persistence_type="local"
        ),
        html.P(v.t("keys.on_hint"), className="note"),
    ]


def register(app: dash.Dash) -> None:
    ours = "barometer_keys"
    app.clientside_callback(
        ClientsideFunction(ours, "open"),
        Output("keys-dialog", "opened"),
        Input("keys-open", "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(ClientsideFunction(ours, "use"), Input("keys-on", "checked"))
