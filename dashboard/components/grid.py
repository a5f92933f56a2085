"""The grid of the overview. How its cells look is in ``assets/board.js``."""

from __future__ import annotations

from typing import Any

import dash_ag_grid as dag
from dash import html

from dashboard.components.parts import aria
from dashboard.context import View

HEAT = ((0, "0"), (10, "10"), (20, "20"), (35, "35"), (50, "50 %+"))
"""Lower ends of the heat map's classes in percent, and their labels. Five shades can be told apart; a smooth scale
cannot be read back into figures."""
_ALL_AT_ONCE = 40
"""Up to so many rows the page scrolls, beyond them the grid."""


def board_grid(v: View, rows: list[dict[str, Any]], words: dict[str, Any], *, heat: bool) -> Any:
    """Rows of :func:`dashboard.components.board.board_rows`."""
    columns: list[dict[str, Any]] = [
        {
            "field": "star",
            "headerName": "★",
            "headerTooltip": v.t("overview.watch"),
            "cellRenderer": "BoardStar",
            "width": 44,
            "minWidth": 44,
            "maxWidth": 44,
            "sortable": True,
            "sortingOrder": ["desc", None],
            "cellClass": "board-star",
        },
        {
            "field": "name",
            "headerName": v.t("overview.rows"),
            "cellRenderer": "BoardName",
            "minWidth": 150,
            "flex": 2 if not heat else 0,
            "width": 250,
            "cellClass": "board-name",
        },
    ]
    figures: list[dict[str, Any]] = [
        {
            "field": "n",
            "headerName": v.t("overview.volume"),
            "cellRenderer": "BoardFigure",
            "cellRendererParams": {"text": "volume"},
            "width": 92,
            "type": "rightAligned",
            "sortingOrder": ["desc", "asc", None],
        },
        {
            "field": "neg",
            "headerName": v.t("overview.negative"),
            "cellRenderer": "BoardFigure",
            "cellRendererParams": {"text": "negative"},
            "width": 92,
            "type": "rightAligned",
            "cellClass": ["ag-right-aligned-cell", "board-negative"],
            "sortingOrder": ["desc", "asc", None],
        },
    ]
    share = {
        "field": "s",
        "headerName": v.t("overview.share"),
        "cellRenderer": "BoardShare",
        "width": 138,
        "sortingOrder": ["desc", "asc", None],
    }
    against = {
        "field": "p",
        "headerName": v.t("overview.change"),
        "cellRenderer": "BoardChange",
        "width": 160,
        "sortingOrder": ["desc", "asc", None],
    }
    if heat:
        columns += [
            {**share, "width": 116},
            {
                **against,
                "headerName": v.t("overview.change_short"),
                "width": 112,
                "cellRendererParams": {"short": True},
            },
        ]
        columns.append(
            {
                "colId": "heat",
                "headerName": v.t("overview.heat"),
                "cellRenderer": "BoardHeat",
                "headerComponent": "BoardHeatHead",
                "flex": 5,
                "minWidth": 200,
                "sortable": False,
                "cellClass": "board-heat",
            }
        )
    else:
        columns += [*figures, share, against]
        columns.append(
            {
                "colId": "trend",
                "headerName": v.t("overview.trend"),
                "cellRenderer": "BoardTrend",
                "flex": 2,
                "minWidth": 120,
                "sortable": False,
                "cellClass": "board-trend",
            }
        )
    options: dict[str, Any] = {
        "context": words,
        "rowHeight": 40,
        "headerHeight": 34,
        "animateRows": False,
        "suppressColumnMoveAnimation": True,
        "suppressCellFocus": False,
        "suppressMovableColumns": True,
        "enableCellTextSelection": True,
        "tooltipShowDelay": 300,
        "domLayout": "autoHeight" if len(rows) <= _ALL_AT_ONCE else "normal",
    }
    return dag.AgGrid(
        id="board",
        rowData=rows,
        columnDefs=columns,
        defaultColDef={"resizable": False, "sortable": True, "suppressHeaderMenuButton": True},
        getRowId="params.data.id",
        dashGridOptions=options,
        className="board" if len(rows) <= _ALL_AT_ONCE else "board board-tall",
        style={"height": None} if len(rows) <= _ALL_AT_ONCE else {"height": "max(420px, calc(100vh - 330px))"},
        dangerously_allow_code=False,
    )


def heat_legend(v: View, words: dict[str, Any]) -> Any:
    """What the shades mean."""
    shades = [
        html.Span([html.I(className=f"shade shade-{i}"), html.Span(label, className="num")], className="key")
        for i, (_, label) in enumerate(HEAT)
    ]
    return html.Div(
        [
            html.Span(f"{v.t('overview.heat')}（%）" if v.lang == "zh" else f"{v.t('overview.heat')} (%)"),
            *shades,
            html.Span([html.I(className="shade shade-few"), words["few"]], className="key"),
            html.Span(
                [html.I("▲", className="odd-key", **aria(hidden="true")), v.t("overview.heat_odd")], className="key"
            ),
            html.Span(words["each"], className="muted"),
        ],
        className="legend",
    )
