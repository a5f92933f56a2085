"""What is going on: running alerts on top, then every topic against what is usual for it."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import dash
from dash import Input, State, dcc, html

from barometer.store.queries import SeriesRow, Totals, list_series, totals
from barometer.store.queries_alerts import open_alerts
from barometer.store.status import read_status
from dashboard.components.alert_parts import alert_strip
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, chips, data, empty, kpi, series_href
from dashboard.components.spark import sparkline
from dashboard.components.truth import freshness
from dashboard.context import KINDS, Period, View, choose, context, period, ranges, view
from dashboard.format import clock, number, percent
from dashboard.i18n import series_name, t

STEPS = 48
_SHOWN = 6


def layout(ui: dict[str, Any] | None = None, **query: str) -> Any:
    v = view(ui)
    return html.Div(
        [
            dcc.Store(id="overview-query", data={"range": query.get("range"), "kind": query.get("kind")}),
            live("overview-body", body(v, query.get("range"), query.get("kind"))),
        ]
    )


def register(app: dash.Dash) -> None:
    dash.register_page("overview", path="/", layout=layout, title=t("zh", "product"))
    register_live(app, "overview-body")

    @app.callback(
        target("overview-body"),
        Input("tick", "n_intervals"),
        State("overview-query", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, query: dict[str, str], ui: dict[str, Any]) -> Any:
        return fresh("overview-body", body(view(ui), query.get("range"), query.get("kind")))


def body(v: View, range_: str | None, kind_: str | None) -> list[Any]:
    """Everything below the frame."""
    ctx = context()
    kind = choose(kind_, KINDS, "all")
    with ctx.store.read() as c:
        span = period(c, range_)
        series = list_series(c)
        counts = totals(c, span.from_ms, span.to_ms, STEPS, KINDS[kind])
        alerts = open_alerts(c)
        state = freshness(read_status(c, ctx.store, ctx.settings), ctx.settings.lag_alarm_seconds * 1000)
    names = {s.id: s.name for s in series}
    offered, first = ranges(ctx.settings.bucket_ms)
    query = {"range": None if span.name == first else span.name, "kind": None if kind == "all" else kind}
    head = html.Div(
        [
            html.H1(v.t("overview.title")),
            html.Div(
                [
                    chips(v.t("kind.label"), [(k, v.t(f"kind.{k}")) for k in KINDS], kind, "/", query, "kind"),
                    chips(
                        v.t("range.label"), [(r, v.t(f"range.{r}")) for r in offered], span.name, "/", query, "range"
                    ),
                ],
                className="filters",
            ),
        ],
        className="page-head",
    )
    if not series:
        return [head, empty(v.t("overview.empty"), v.t("overview.empty_hint"), "empty")]
    note = (
        html.P(v.t("overview.until", time=clock(span.to_ms, ctx.zone, span.now)), className="note")
        if span.anchored
        else None
    )
    running = [a for a in alerts if a.state == "firing" or a.ended_at is None]
    return [
        head,
        note,
        _alerts(v, running, names, span.now, calm=state == "live"),
        _figures(v, series, counts, alerts),
        _table(v, series, counts, {a.series_id for a in running}, query),
    ]


def _alerts(v: View, alerts: Sequence[Any], names: dict[int, str], now: int, *, calm: bool) -> Any:
    if not alerts:
        return html.Div(
            v.t("overview.calm" if calm else "overview.not_calm"), className="calm" if calm else "calm unsure"
        )
    strips = [alert_strip(v, a, names.get(a.series_id), now) for a in alerts[:_SHOWN]]
    if len(alerts) > _SHOWN:
        strips.append(dcc.Link(f"{v.t('nav.alerts')} ({len(alerts)}) →", href="/alerts", className="more"))
    return html.Section(strips, className="strips", **aria(label=v.t("overview.running")))


def _figures(v: View, series: list[SeriesRow], counts: dict[int, Totals], alerts: Sequence[Any]) -> Any:
    whole = next((counts.get(s.id) for s in series if s.name == "all"), None) or Totals()
    judged = [s for s in series if s.judged]
    above = sum(pressure(counts.get(s.id)) >= 2 for s in judged)
    waiting = sum(a.state == "firing" for a in alerts)
    return html.Div(
        [
            kpi(v.t("overview.kpi_texts"), number(v.lang, whole.total),
                v.t("overview.negatives_of", n=number(v.lang, whole.negative))),
            kpi(v.t("overview.kpi_share"), percent(whole.share), html.Div(html.I(style={"width": percent(whole.share)}),
                className="meter") if whole.share is not None else None, "tone-negative"),
            kpi(v.t("overview.kpi_above"), str(above), v.t("overview.of", n=len(judged))),
            kpi(v.t("overview.kpi_open"), str(waiting), None, "tone-alert" if waiting else ""),
        ],
        className="kpis",
    )  # fmt: skip


def pressure(item: Totals | None) -> float:
    """How far the negatives of a period are above expectation, in rough standard deviations; for sorting, not for
    judging: that is the detector's, bucket by bucket."""
    if item is None or item.expected_negative is None:
        return 0.0
    return (item.judged_negative - item.expected_negative) / sqrt(item.expected_negative + 1)


def _table(v: View, series: list[SeriesRow], counts: dict[int, Totals], alerting: set[int | None],
           query: dict[str, str | None]) -> Any:  # fmt: skip
    def order(s: SeriesRow) -> tuple[bool, bool, float, int]:
        item = counts.get(s.id)
        return (s.id not in alerting, item is None or not item.total, -pressure(item), -(item.total if item else 0))

    rows = [_row(v, s, counts.get(s.id) or Totals(), s.id in alerting, query) for s in sorted(
        (s for s in series if s.name != "all"), key=order)]  # fmt: skip
    heads = ("overview.series", "overview.volume", "overview.negative", "overview.share", "overview.change",
             "overview.trend")  # fmt: skip
    return html.Section(
        [html.Div([html.Span(v.t(h)) for h in heads], className="series-row series-head"), *rows],
        className="card series-list",
    )


def _row(v: View, s: SeriesRow, item: Totals, alerting: bool, query: dict[str, str | None]) -> Any:
    name = series_name(v.lang, s.name)
    marks = []
    if alerting:
        marks.append(html.Span(v.t("overview.alerting"), className="pill severity-critical"))
    if s.trial:
        marks.append(html.Span(v.t("overview.trial"), className="pill quiet", title=v.t("overview.trial_hint")))
    points = [item.points.get(i, (0.0, 0.0, 0.0)) for i in range(STEPS)]
    known = item.expected_negative is not None
    spark = sparkline([p[0] for p in points], [p[2] if known else None for p in points],
                      f"{name}: {v.t('overview.trend')}")  # fmt: skip
    share = item.share
    return dcc.Link(
        [
            html.Span([html.Span(name, className="series-name"), *marks], className="cell-name"),
            html.Span(number(v.lang, item.total), className="num cell", **data(label=v.t("overview.volume"))),
            html.Span(number(v.lang, item.negative), className="num cell cell-negative",
                      **data(label=v.t("overview.negative"))),
            html.Span([html.Span(percent(share), className="num"),
                       html.Span(html.I(style={"width": percent(share or 0)}), className="meter")],
                      className="cell cell-share", **data(label=v.t("overview.share"))),
            html.Span(_change(v, item), className="cell cell-change"),
            spark if item.total else html.Span("–", className="muted cell-spark"),
        ],
        href=series_href(s.name, **query),
        className="series-row alerting" if alerting else "series-row",
    )  # fmt: skip


def _change(v: View, item: Totals) -> Any:
    if item.expected_negative is None:
        return html.Span(v.t("overview.learning"), className="muted", title=v.t("overview.learning_hint"))
    expected, far = item.expected_negative, pressure(item)
    note = html.Small(
        v.t("overview.expected", n=number(v.lang, round(expected, 1) if expected < 10 else round(expected)))
    )
    if abs(far) < 2:
        return [html.Span(v.t("overview.as_usual"), className="muted"), note]
    ratio = item.judged_negative / expected if expected >= 0.5 else None
    text = f"×{ratio:.1f}" if ratio is not None else f"+{item.judged_negative - expected:.0f}"
    return [html.Span(text, className="num above" if far > 0 else "num below"), note]


__all__ = ["Period", "body", "layout", "pressure", "register"]
