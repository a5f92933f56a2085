"""One topic: its negatives against the expected range, their share, the volume, and the texts behind a point."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import dash
from dash import Input, Output, State, dcc, html, no_update

from barometer.store.queries import SeriesRow, find_series, points
from barometer.store.queries_alerts import alerts_between
from barometer.store.queries_documents import texts_behind
from dashboard.components.alert_parts import alert_href, sentence
from dashboard.components.charts import graph, trend_figure
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import chips, empty, kpi, section, series_href, severity_pill, state_pill
from dashboard.components.texts import text_card, text_list
from dashboard.context import KINDS, View, choose, context, period, ranges, view
from dashboard.format import clock, duration, number, percent
from dashboard.i18n import series_name, t

TEXTS = 40
_FOUND = tuple[SeriesRow, dict[str, Any], list[Any], list[Any], dict[str, Any]]


def layout(name: str = "", ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    name = unquote(name)
    chosen = {"name": name, "range": query.get("range"), "kind": query.get("kind"), "at": query.get("at")}
    found = look(v, chosen)
    if found is None:
        return html.Div(
            [empty(v.t("series.unknown"), name, "lost"), dcc.Link(v.t("not_found.home"), href="/")], className="lost"
        )
    row, figure, head, alerts, span = found
    return html.Div(
        [
            dcc.Store(id="series-query", data=chosen),
            dcc.Store(id="series-point", data=span["point"]),
            _head(v, row, span),
            live("series-figures", head, "kpis"),
            html.Section(
                [graph("series-chart", figure, 460), html.P(_hint(v, span), className="note", id="series-note")],
                className="card chart-card",
            ),
            html.Div(
                [
                    html.Div(_texts(v, row, chosen, span["point"], span), id="series-texts", className="wide"),
                    live("series-alerts", alerts),
                ],
                className="columns",
            ),
        ]
    )


def register(app: dash.Dash) -> None:
    dash.register_page("series", path_template="/series/<name>", layout=layout, title=t("zh", "product"))
    register_live(app, "series-figures", "series-alerts")

    @app.callback(
        Output("series-chart", "figure"),
        target("series-figures"),
        target("series-alerts"),
        Input("tick", "n_intervals"),
        State("series-query", "data"),
        State("ui", "data"),
        State("series-chart", "figure"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, query: dict[str, str], ui: dict[str, Any], shown: dict[str, Any]) -> Any:
        found = look(view(ui), query)
        if found is None:
            return no_update, no_update, no_update
        _, figure, head, alerts, _ = found
        same = shown and [d.get("y") for d in shown["data"]] == [d.get("y") for d in figure["data"]]
        return no_update if same else figure, fresh("series-figures", head), fresh("series-alerts", alerts)

    @app.callback(
        Output("series-point", "data"),
        Input("series-chart", "clickData"),
        prevent_initial_call=True,
    )
    def click(data: dict[str, Any] | None) -> Any:
        at = next((p["customdata"] for p in (data or {}).get("points", []) if p.get("customdata") is not None), None)
        return at if at is not None else no_update

    @app.callback(
        Output("series-texts", "children"),
        Input("series-point", "data"),
        State("series-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def texts(point: int | None, query: dict[str, str], ui: dict[str, Any]) -> Any:
        v = view(ui)
        found = look(v, query)
        return no_update if found is None else _texts(v, found[0], query, point, found[4])


def look(v: View, query: dict[str, Any]) -> _FOUND | None:
    """Everything that changes with time: (series, figure, key figures, alerts, what period it is)."""
    ctx = context()
    kind = choose(query.get("kind"), KINDS, "all")
    with ctx.store.read() as c:
        row = find_series(c, str(query["name"]))
        if row is None:
            return None
        span = period(c, query.get("range"))
        found, width = points(c, row.id, span.from_ms, span.to_ms, KINDS[kind], ctx.settings.bucket_ms)
        alerts = alerts_between(c, row.id, span.from_ms, span.to_ms)
    shaded = [(max(a.started_at, span.from_ms), min(a.ended_at or span.to_ms, span.to_ms)) for a in alerts]
    figure = trend_figure(v, found, shaded, window=(span.from_ms, span.to_ms))
    total, negative = sum(p.total for p in found), sum(p.negative for p in found)
    scored = total - sum(p.unscored for p in found)
    judged = [p for p in found if p.sealed and p.expected_negative is not None]
    expected = sum(p.expected_negative or 0 for p in judged) if judged else None
    independent = sum(p.independent or 0 for p in found)

    head = [
        kpi(v.t("overview.kpi_texts"), number(v.lang, total), v.t("series.distinct", n=number(v.lang, independent))),
        kpi(v.t("series.negatives"), number(v.lang, negative),
            v.t("overview.expected", n=number(v.lang, round(expected))) if expected is not None
            else v.t("overview.learning"), "tone-negative"),
        kpi(v.t("series.share"), percent(negative / scored if scored else None)),
        kpi(v.t("nav.alerts"), str(len(alerts)), None,
            "tone-alert" if any(a.state == "firing" for a in alerts) else ""),
    ]  # fmt: skip
    at = query.get("at")
    point = int(at) if at and str(at).isdigit() and len(str(at)) < 16 else None
    about = {"from": span.from_ms, "to": span.to_ms, "now": span.now, "width": width, "anchored": span.anchored,
             "range": span.name, "kind": kind, "point": point, "open": any(not p.sealed for p in found)}  # fmt: skip
    return row, figure, head, _alerts(v, alerts, span.now), about


def _head(v: View, row: SeriesRow, span: dict[str, Any]) -> Any:
    offered, first = ranges(context().settings.bucket_ms)
    kept = {"range": None if span["range"] == first else span["range"],
            "kind": None if span["kind"] == "all" else span["kind"]}  # fmt: skip
    path = series_href(row.name)
    return html.Div(
        [
            html.Div(
                [
                    dcc.Link(v.t("nav.overview"), href="/overview", className="crumb"),
                    html.H1(series_name(v.lang, row.name)),
                ]
            ),
            html.Div(
                [
                    chips(v.t("kind.label"), [(k, v.t(f"kind.{k}")) for k in KINDS], span["kind"], path, kept, "kind"),
                    chips(
                        v.t("range.label"),
                        [(r, v.t(f"range.{r}")) for r in offered],
                        span["range"],
                        path,
                        kept,
                        "range",
                    ),
                ],
                className="filters",
            ),
        ],
        className="page-head",
    )


def _hint(v: View, span: dict[str, Any]) -> str:
    parts = [v.t("series.per", time=duration(v.lang, span["width"])), v.t("series.texts_hint")]
    if span["open"]:
        parts.append(v.t("series.open_hint"))
    if span["anchored"]:
        parts.append(v.t("overview.until", time=clock(span["to"], context().zone, span["now"])))
    return " · ".join(parts)


def _texts(v: View, row: SeriesRow, query: dict[str, Any], point: int | None, span: dict[str, Any]) -> Any:
    ctx = context()
    begin, end = (point, point + span["width"]) if point is not None else (span["from"], span["to"])
    title = v.t("series.texts_of", from_=clock(begin, ctx.zone, span["now"]), to=clock(end, ctx.zone, span["now"]))
    if point is None:
        title = v.t("series.texts_all", range=v.t(f"range.{span['range']}"))
    if row.name == "all":
        return section(title, empty(v.t("series.no_texts_all"), None, "texts"))
    kind = choose(query.get("kind"), KINDS, "all")
    with ctx.store.read() as c:
        found = texts_behind(c, row.id, begin, end, KINDS[kind], TEXTS)
    if not found:
        return section(title, empty(v.t("series.no_texts"), None, "texts"))
    more = v.t("series.more", n=TEXTS) if len(found) == TEXTS else None
    return section(title, text_list([text_card(v, x, span["now"], topics=False) for x in found]), more)


def _alerts(v: View, alerts: list[Any] | Any, now: int) -> list[Any]:
    zone = context().zone
    if not alerts:
        return [section(v.t("series.alerts"), empty(v.t("series.no_alerts")))]
    items = [
        dcc.Link(
            [
                html.Div([severity_pill(v, a.severity), state_pill(v, a.state)], className="marks"),
                html.Div(sentence(v, a)),
                html.Small(clock(a.started_at, zone, now), className="muted num"),
            ],
            href=alert_href(a),
            className="alert-item",
        )
        for a in alerts
    ]
    return [section(v.t("series.alerts"), html.Div(items, className="alert-items"))]
