"""One series: its negatives against the expected range, their share, what the texts were like, what changed, and the
texts behind a point. What is chosen, zooming included, stands in the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import dash
from dash import ClientsideFunction, Input, Output, Patch, State, dcc, html, no_update
from flask_login import current_user

from dashboard.components import star as stars
from dashboard.components.board import version
from dashboard.components.charts import graph
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, chips, empty, kpi, section, series_href, state_pill
from dashboard.components.series_cells import change_of
from dashboard.components.series_parts import alerts_part, changes_part, texts_part, texts_title
from dashboard.components.series_view import FIELDS, VOICES, WAYS, Shown, figure, look, number_of, rank, sums
from dashboard.components.trust_parts import trust_section
from dashboard.context import View, context, ranges, view
from dashboard.format import clock, duration, from_wall, number, percent, period
from dashboard.i18n.texts import series_name
from dashboard.navigation import Screen, add
from dashboard.services.last_seen import watched
from dashboard.services.measure import FEW

SCREEN = add(Screen("series", "/series/<name>", under="overview"))

HEIGHT = 520


def layout(name: str = "", ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    if not current_user.is_authenticated:
        return html.Div()
    name = unquote(name)
    chosen: dict[str, Any] = {"name": name, **{f: query.get(f) or None for f in FIELDS}}
    shown = look(v, chosen)
    if shown is None:
        return html.Div(
            [
                html.H1(v.t("series.unknown")),
                empty(name, v.t("series.unknown_hint"), "lost"),
                dcc.Link(v.t("nav.overview"), href="/overview"),
            ],
            className="lost",
        )
    point = number_of(chosen, "at")
    drawn = figure(v, shown, point)
    zoom = {"from": chosen["from"], "to": chosen["to"]} if shown.zoomed else None
    return html.Div(
        [
            dcc.Store(id="series-query", data=chosen),
            dcc.Store(id="series-point", data=point),
            dcc.Store(id="series-zoom", data=zoom),
            dcc.Store(id="series-version", data=version(drawn["data"], point)),
            dcc.Store(id="series-drawn"),
            _head(v, shown),
            live("series-figures", _kpis(v, shown), "kpis"),
            html.Section(
                [
                    html.Div(
                        graph("series-chart", drawn, HEIGHT),
                        id="series-chart-box",
                        tabIndex=0,
                        role="group",
                        **aria(label=v.t("series.chart_label")),
                    ),
                    html.Div(
                        [
                            html.P(_hint(v, shown), className="note", id="series-note"),
                            html.Button(
                                v.t("series.unzoom"),
                                id="series-unzoom",
                                type="button",
                                hidden=not shown.zoomed,
                                className="button small-button",
                            ),
                        ],
                        className="chart-foot",
                    ),
                ],
                className="card chart-card",
            ),
            html.Div(
                [
                    # Texts and changes follow when the chart is drawn: a browser takes longer to put them up than
                    # all the rest of the page.
                    html.Div(
                        section(texts_title(v, shown, point), html.Div(v.t("series.wait"), className="empty")),
                        id="series-texts",
                        className="wide",
                    ),
                    html.Div(
                        [
                            html.Div(
                                section(v.t("changes.title"), html.Div(v.t("changes.wait"), className="empty")),
                                id="series-changes",
                            ),
                            live("series-alerts", [alerts_part(v, shown)]),
                            trust_section(v, shown.row.name),
                        ]
                    ),
                ],
                className="columns",
            ),
        ]
    )


def register(app: dash.Dash) -> None:
    register_live(app, "series-figures", "series-alerts")

    @app.callback(
        Output("series-chart", "figure"),
        Output("series-version", "data"),
        Output("series-note", "children"),
        Output("series-unzoom", "hidden"),
        target("series-figures"),
        target("series-alerts"),
        Input("tick", "n_intervals"),
        Input("series-zoom", "data"),
        Input("series-point", "data"),
        State("series-query", "data"),
        State("series-version", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, zoom: Any, point: int | None, query: dict[str, str], before: str, ui: dict[str, Any]) -> Any:
        v = view(ui)
        shown = look(v, _with(query, zoom))
        if shown is None:
            return (no_update,) * 6
        drawn = figure(v, shown, point)
        now = version(drawn["data"], point)
        new: Any = drawn
        if dash.ctx.triggered_id != "series-zoom":
            # The frame stays as it is: only lines and marks are put in.
            new = Patch()
            new["data"] = drawn["data"]
            new["layout"]["shapes"] = drawn["layout"]["shapes"]
            for part in ("annotations", "yaxis", "yaxis3"):
                new["layout"][part] = drawn["layout"][part]
        return (
            no_update if now == before else new,
            now,
            _hint(v, shown),
            not shown.zoomed,
            fresh("series-figures", _kpis(v, shown)),
            fresh("series-alerts", [alerts_part(v, shown)]),
        )

    @app.callback(
        Output("series-zoom", "data"),
        Input("series-chart", "relayoutData"),
        State("series-zoom", "data"),
        prevent_initial_call=True,
    )
    def zoom(moved: dict[str, Any] | None, now: Any) -> Any:
        if (moved or {}).get("xaxis.autorange"):
            return no_update if now is None else None
        return zoomed(moved) or no_update

    # Apart from the above: a chart that fits itself to its frame would overtake the button.
    app.clientside_callback(
        ClientsideFunction("barometer_series", "unzoom"),
        Output("series-zoom", "data", allow_duplicate=True),
        Input("series-unzoom", "n_clicks"),
        prevent_initial_call=True,
    )

    app.clientside_callback(
        ClientsideFunction("barometer_series", "address"),
        Input("series-zoom", "data"),
        Input("series-point", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("barometer_series", "click"),
        Output("series-point", "data"),
        Input("series-chart", "clickData"),
        prevent_initial_call=True,
    )

    app.clientside_callback(
        ClientsideFunction("barometer_series", "drawn"),
        Output("series-drawn", "data"),
        Input("series-chart", "id"),
    )

    @app.callback(
        Output("series-texts", "children"),
        Input("series-drawn", "data"),
        Input("series-point", "data"),
        Input("series-zoom", "data"),
        State("series-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def texts(_drawn: Any, point: int | None, zoom: Any, query: dict[str, str], ui: dict[str, Any]) -> Any:
        v = view(ui)
        shown = look(v, _with(query, zoom))
        return no_update if shown is None else texts_part(v, shown, point)

    app.clientside_callback(
        ClientsideFunction("barometer_series", "bring"),
        Input("series-texts", "children"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("series-changes", "children"),
        Input("series-drawn", "data"),
        Input("series-point", "data"),
        Input("series-zoom", "data"),
        State("series-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def what_changed(_drawn: Any, point: int | None, zoom: Any, query: dict[str, str], ui: dict[str, Any]) -> Any:
        v = view(ui)
        shown = look(v, _with(query, zoom))
        return no_update if shown is None else changes_part(v, shown, point)


def zoomed(moved: dict[str, Any] | None) -> dict[str, str] | None:
    """What somebody zoomed into, from plotly's ``relayoutData``: its times are wall-clock times of the zone."""
    try:
        pair = [(moved or {})[f"xaxis.range[{i}]"] for i in (0, 1)]
    except KeyError:
        return None
    times = [from_wall(str(x), context().zone) for x in pair]
    if None in times:
        return None
    return {"from": str(times[0]), "to": str(times[1])}


def _with(query: Mapping[str, Any], zoom: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**query, "from": (zoom or {}).get("from"), "to": (zoom or {}).get("to")}


def _head(v: View, shown: Shown) -> Any:
    offered, first = ranges(context().settings.bucket_ms)
    row, path = shown.row, series_href(shown.row.name)
    kept = {
        "range": None if shown.span.name == first else shown.span.name,
        "kind": None if shown.way == "all" else shown.way,
        "voices": "independent" if shown.independent else None,
    }
    name = series_name(v.lang, row.name)
    title: list[Any] = [stars.star(v, row.name, row.name in watched(), "series"), html.H1(name)]
    firing = next((a for a in shown.alerts if a.state == "firing"), None)
    if firing is not None:
        title.append(state_pill(v, "firing"))
    boxes = [
        chips(v.t("kind.label"), [(k, v.t(f"kind.{k}")) for k in WAYS], shown.way, path, kept, "kind"),
        chips(
            v.t("series.voices"),
            [(x, v.t(f"voices.{x}")) for x in VOICES],
            "independent" if shown.independent else "all",
            path,
            kept,
            "voices",
        ),
        chips(v.t("range.label"), [(r, v.t(f"range.{r}")) for r in offered], shown.span.name, path, kept, "range"),
    ]
    crumb = dcc.Link(v.t("nav.overview"), href="/overview", className="crumb")
    return html.Div(
        [html.Div([crumb, html.Div(title, className="title-row")]), html.Div(boxes, className="filters")],
        className="page-head",
    )


def _kpis(v: View, shown: Shown) -> list[Any]:
    found = sums(shown)
    place = rank(shown, found)
    against: Any = v.t("overview.learning")
    if shown.independent:
        against = v.t("series.no_expected")
    elif found.standing.way != "unknown":
        said = change_of(v, found.standing)
        against = html.Span([html.Span(said.text, className=f"num {said.tone}", title=said.hint), " · ", said.note])
    standing = None
    if place is not None:
        standing = v.t("home.peers_rank", of=place.of, rank=place.rank)
        standing += " · " + v.t("home.peers_median", share=percent(place.median))
    return [
        kpi(
            v.t("overview.kpi_texts"),
            number(v.lang, found.total),
            v.t("series.distinct", n=number(v.lang, found.independent)),
        ),
        kpi(
            v.t("series.negatives_independent" if shown.independent else "series.negatives"),
            number(v.lang, found.negative),
            against,
            "tone-negative",
        ),
        kpi(v.t("series.share"), percent(found.share if found.scored >= FEW else None), standing),
        kpi(
            v.t("nav.alerts"),
            str(len(shown.alerts)),
            None,
            "tone-alert" if any(a.state == "firing" for a in shown.alerts) else "",
        ),
    ]


def _hint(v: View, shown: Shown) -> str:
    zone, now = context().zone, shown.span.now
    parts = [v.t("series.per", time=duration(v.lang, shown.width))]
    if shown.zoomed:
        parts.append(v.t("series.zoomed", **period(shown.begin, shown.end, zone, now)))
    else:
        parts.append(v.t("series.how_to"))
    if shown.independent:
        parts.append(v.t("series.independent_hint"))
    elif shown.open:
        parts.append(v.t("series.open_hint"))
    if shown.way == "apart":
        parts.append(v.t("series.apart_hint"))
    if shown.span.anchored and not shown.zoomed:
        parts.append(v.t("overview.until", time=clock(shown.span.to_ms, zone, now)))
    return " · ".join(parts)
