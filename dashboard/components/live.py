"""Parts of a screen that refresh by themselves without being made anew.

Where a callback replaces ``children``, Dash unmounts what was there: focus, hover, a selection and the reader's eye are
lost every few seconds. Here a callback sends the new tree into a store instead, and the browser (``morph`` in
``assets/barometer.js``) sets only the properties that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html


def live(id_: str, children: Any, class_name: str | None = None, **attributes: Any) -> Any:
    """A container that :func:`target` refreshes."""
    named: dict[str, Any] = {"className": class_name} if class_name else {}
    box = html.Div(children, id=id_, **named, **attributes)
    return html.Div([box, dcc.Store(id=_next(id_))], className="live")


def target(id_: str) -> Output:
    """The output of the callback that refreshes a container; it returns :func:`fresh`."""
    return Output(_next(id_), "data")


def fresh(id_: str, children: Any) -> dict[str, Any]:
    """New children for a container."""
    return {"id": id_, "children": children}


def register_live(app: Dash, *ids: str, by: ClientsideFunction | None = None, beside: Sequence[State] = ()) -> None:
    """Tell the browser about containers.

    Args:
        by: a function that looks at what comes before it hands it to ``morph``; it gets the values of ``beside``, too.
    """
    for id_ in ids:
        app.clientside_callback(by or ClientsideFunction("barometer", "morph"), Input(_next(id_), "data"), *beside)


def _next(id_: str) -> str:
    return f"{id_}-next"
