"""同业对比: where a series stands among those of its kind, as a line of ticks."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboard.components.parts import aria
from dashboard.context import View
from dashboard.format import percent
from dashboard.i18n.texts import has
from dashboard.services.measure import Peers

_MOST = 60
"""Ticks that are drawn: of more peers every so many-th one."""


def group_name(v: View, group: str) -> str:
    """Topics, securities ...; a kind that we have no word for is called by its prefix."""
    return v.t(f"group.{group}") if has(f"group.{group}") else group


def peer_line(v: View, own: float | None, found: Peers | None, group: str) -> Any:
    """Rank and median in words, and all shares on one scale with the own one marked."""
    if own is None or found is None:
        return html.Span(v.t("home.peers_none"), className="muted cell-peers")
    top = max(found.shares[-1], 0.01)
    shown = found.shares[:: max(1, len(found.shares) // _MOST)]

    def at(share: float) -> dict[str, str]:
        return {"left": f"{share / top * 100:.1f}%"}

    label = v.t(
        "home.peers_label",
        share=percent(own),
        of=found.of,
        rank=found.rank,
        median=percent(found.median),
        group=group_name(v, group),
    )
    return html.Span(
        [
            html.Span(
                [
                    *(html.I(className="peer", style=at(x)) for x in shown),
                    html.I(className="peer-median", style=at(found.median)),
                    html.I(className="peer-own", style=at(own)),
                ],
                className="peers",
                role="img",
                **aria(label=label),
                title=label,
            ),
            html.Small(
                [
                    v.t("home.peers_rank", of=found.of, rank=found.rank),
                    " · ",
                    v.t("home.peers_median", share=percent(found.median)),
                ]
            ),
        ],
        className="cell-peers",
    )
