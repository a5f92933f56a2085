"""The way between the pages about telling people: alerts, silences, red lines, receivers."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from dashboard.components.parts import aria
from dashboard.context import View
from dashboard.navigation import neighbours


def alert_nav(v: View, here: str) -> Any:
    """Links to the pages; ``here`` is the address of the present one."""
    links = [
        dcc.Link(v.t(f"nav.{s.name}"), href=s.path, className="chip on" if s.path == here else "chip")
        for s in neighbours("alerts")
    ]
    return html.Nav(links, className="chips subnav", **aria(label=v.t("nav.telling")))
