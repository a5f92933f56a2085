"""The star of a series: a person's choice of what to watch."""

from __future__ import annotations

from typing import Any

import dash
from dash import MATCH, Input, Output, State, html

from barometer.store.series.totals import find_series
from dashboard.components.parts import aria
from dashboard.context import View, context, view
from dashboard.i18n.texts import series_name
from dashboard.services.last_seen import watch, watched


def star(v: View, name: str, on: bool, place: str) -> Any:
    """The button.

    Args:
        name: the series.
        place: where on the page, since a series may be there twice.
    """
    id_ = {"type": "star", "name": name, "place": place}
    return html.Button("★" if on else "☆", id=id_, **_look(v, name, on), type="button")


def _look(v: View, name: str, on: bool) -> Any:
    label = v.t("star.unwatch" if on else "star.watch", name=series_name(v.lang, name))
    return {"className": "star on" if on else "star", "title": label, **aria(label=label, pressed=str(on).lower())}


def register(app: dash.Dash) -> None:
    here = {"type": "star", "name": MATCH, "place": MATCH}

    @app.callback(
        Output(here, "children"),
        Output(here, "className"),
        Output(here, "title"),
        Output(here, "aria-label"),
        Output(here, "aria-pressed"),
        Input(here, "n_clicks"),
        State(here, "id"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def press(clicks: int | None, id_: dict[str, str], ui: dict[str, Any]) -> Any:
        name = id_["name"]
        on = name in watched()
        if clicks:
            with context().store.read() as c:
                known = find_series(c, name) is not None
            on = known and not on
            watch(name, on)
        how = _look(view(ui), name, on)
        return "★" if on else "☆", how["className"], how["title"], how["aria-label"], how["aria-pressed"]
