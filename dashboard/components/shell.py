"""What surrounds every screen: navigation, switches for language and theme, the line of truth, the clock tick."""

from __future__ import annotations

import json
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, ctx, dcc, html, no_update
from flask_login import current_user

from barometer.store.accounts.users import change_preferences
from barometer.vocabulary import LANGUAGES
from dashboard import navigation
from dashboard.components import why_parts
from dashboard.components.keys import help_body, help_button, help_dialog
from dashboard.components.keys import register as register_keys
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, data, icon
from dashboard.components.truth import truth_line
from dashboard.context import View, context, view
from dashboard.i18n.texts import THEMES

TICK_MS = 4_000
_MANTINE = {
    "fontFamily": '-apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC",'
    " sans-serif",
    "primaryColor": "indigo",
    "defaultRadius": "md",
}


def layout() -> Any:
    """The page as it is first sent; ``page_container`` holds the screen."""
    v = view()
    return dmc.MantineProvider(
        id="mantine",
        forceColorScheme=v.theme,
        theme=_MANTINE,
        children=html.Div(
            [
                dcc.Store(id="ui", data={"lang": v.lang, "theme": v.theme}),
                dcc.Interval(id="tick", interval=TICK_MS),
                html.Div(id="painted", hidden=True),
                # Dash also builds this page for itself, at the first request of anybody.
                html.Header(top(v) if current_user.is_authenticated else [], id="top"),
                html.Div(
                    id="offline",
                    hidden=True,
                    role="alert",
                    **data(text=v.t("offline", time="{time}"), broken=v.t("broken.parts", time="{time}")),
                ),
                live("truth", None, "truth-slot", **aria(live="polite")),
                html.Main(dash.page_container, id="main", tabIndex=-1),
                help_dialog(v) if current_user.is_authenticated else None,
                why_parts.dialog(v) if current_user.is_authenticated else None,
            ],
            className="shell",
        ),
    )


def top(v: View) -> list[Any]:
    """The bar at the top; the browser marks in it where one is."""
    links = []
    for screen in navigation.bar():
        name = screen.name
        badge = html.Span(id="badge", className="badge", hidden=True) if name == "alerts" else None
        links.append(
            dcc.Link(
                [icon(name), html.Span(v.t(f"nav.{name}"), className="nav-text"), badge],
                href=screen.path,
                id=f"nav-{name}",
                className="nav-link",
                title=v.t(f"nav.{name}"),
            )
        )
    return [
        html.A(v.t("nav.skip"), href="#main", className="skip"),
        dcc.Link([html.Span(className="logo"), html.Span(v.t("product"))], href="/", className="brand"),
        html.Nav(
            links,
            id="nav",
            className="nav",
            **aria(label=v.t("nav.menu")),
            **data(keys=json.dumps(navigation.keys()), marks=json.dumps(navigation.marks())),
        ),
        html.Div(
            [
                html.Button(v.t("switch.lang"), id="switch-lang", className="tool", title=v.t("switch.lang_label")),
                html.Button(
                    icon("dark" if v.theme == "light" else "light"),
                    id="switch-theme",
                    className="tool square",
                    title=v.t("switch.theme"),
                    **aria(label=v.t("switch.theme")),
                ),
                help_button(v),
                dcc.Link(
                    [html.Span(current_user.name), html.Small(v.t(f"role.{current_user.role}"))],
                    className="who",
                    href="/account",
                    title=v.t("account.open"),
                ),
                html.Form(
                    html.Button(
                        icon("logout"), className="tool square", title=v.t("logout"), **aria(label=v.t("logout"))
                    ),
                    action="/logout",
                    method="POST",
                ),
            ],
            className="tools",
        ),
    ]


def register(app: dash.Dash) -> None:
    """Callbacks of the frame."""
    register_live(app, "truth")
    register_keys(app)
    why_parts.register(app)

    @app.callback(
        Output("ui", "data"),
        Input("switch-lang", "n_clicks"),
        Input("switch-theme", "n_clicks"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def switch(lang_clicks: int | None, theme_clicks: int | None, ui: dict[str, Any]) -> Any:
        if not (lang_clicks if ctx.triggered_id == "switch-lang" else theme_clicks):
            return no_update
        v = view(ui)
        new: dict[str, Any] = {"lang": v.lang, "theme": v.theme}
        if ctx.triggered_id == "switch-lang":
            new["lang"] = LANGUAGES[1 - LANGUAGES.index(v.lang)]
        else:
            new["theme"] = THEMES[1 - THEMES.index(v.theme)]
        change_preferences(context().store, current_user.user.id, new)
        return new

    app.clientside_callback(
        ClientsideFunction("barometer", "paint"),
        Output("mantine", "forceColorScheme"),
        Input("ui", "data"),
    )

    # The bar is made anew only where the language changes: a button that is replaced as somebody presses it
    # loses the press.
    @app.callback(
        Output("top", "children"),
        Output("offline", "data-text"),
        Output("offline", "data-broken"),
        Output("keys-dialog", "children"),
        Output("keys-dialog", "title"),
        Input("ui", "data"),
        prevent_initial_call=True,
    )
    def frame(ui: dict[str, Any]) -> Any:
        v = view(ui)
        said = v.t("offline", time="{time}"), v.t("broken.parts", time="{time}")
        return top(v), *said, help_body(v), v.t("keys.title")

    app.clientside_callback(
        ClientsideFunction("barometer", "here"),
        [Output(f"nav-{screen.name}", "className") for screen in navigation.bar()],
        Input("_pages_location", "pathname"),
        Input("top", "children"),
        *[State(f"nav-{screen.name}", "href") for screen in navigation.bar()],
    )

    @app.callback(
        target("truth"),
        Output("badge", "children"),
        Output("badge", "hidden"),
        Input("tick", "n_intervals"),
        Input("ui", "data"),
        Input("top", "children"),
    )
    def truth(_n: int | None, ui: dict[str, Any], _top: Any) -> Any:
        report = context().status()
        waiting = report["alerts"].get("firing", 0)
        return fresh("truth", truth_line(view(ui), report)), str(waiting), not waiting
