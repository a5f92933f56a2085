"""Where a person comes in: what waits for somebody, what changed since they last looked, and what they watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash
from dash import Input, Output, State, dcc, html, no_update
from flask_login import current_user

from barometer.standing import Standing
from barometer.store.alerts.views import changed_since
from barometer.store.series.totals import SeriesRow
from dashboard.components import star as stars
from dashboard.components.alert_parts import alert_href, folded_name, kinds_of, strips, subject
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import data, empty, section, series_href, severity_pill
from dashboard.components.peers import peer_line
from dashboard.components.series_cells import change_cell, change_of, expected_figure, trend_cell
from dashboard.components.trust_parts import trust_line
from dashboard.context import View, context, ranges, view
from dashboard.format import ago, clock, duration, number, percent
from dashboard.i18n.texts import series_name
from dashboard.navigation import Screen, add
from dashboard.services.figures import Figures, figures, totals_since
from dashboard.services.last_seen import LONGEST_MS, Visit, all_seen, arrive, by_default, watched
from dashboard.services.measure import group_of, peers, ranked_share, shown_share, standing

SCREEN = add(Screen("home", "/", order=10, key="h"))

_STRIPS = 5
_CHANGES, _READ = 6, 60
_BY_DEFAULT = 6


def layout(ui: dict[str, Any] | None = None, **_query: str) -> Any:
    v = view(ui)
    if not current_user.is_authenticated:
        return html.Div()
    ctx = context()
    with ctx.store.read() as c:
        now = ctx.store.now_ms(c)
    visit = arrive(now)
    kept = {"since": visit.since, "at": visit.at}
    return html.Div(
        [
            dcc.Store(id="home-visit", data=kept),
            html.Div(
                [html.H1(v.t("home.title")), html.Div(_seen(v, visit, now), id="home-seen")], className="page-head"
            ),
            live("home-waiting", _waiting(v)),
            html.Div(
                [live("home-watching", _watching(v)), live("home-changed", _changed(v, visit))],
                className="columns home-columns",
            ),
            html.Div(trust_line(v), id="home-trust"),
        ]
    )


def register(app: dash.Dash) -> None:
    register_live(app, "home-waiting", "home-watching", "home-changed")
    stars.register(app)

    @app.callback(
        target("home-waiting"),
        target("home-watching"),
        target("home-changed"),
        Input("tick", "n_intervals"),
        Input("home-visit", "data"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, kept: dict[str, int], ui: dict[str, Any]) -> Any:
        v = view(ui)
        return (
            fresh("home-waiting", _waiting(v)),
            fresh("home-watching", _watching(v)),
            fresh("home-changed", _changed(v, Visit(kept["since"], kept["at"]))),
        )

    @app.callback(
        Output("home-visit", "data"),
        Output("home-seen", "children"),
        Input("home-mark", "n_clicks"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def mark(clicks: int | None, ui: dict[str, Any]) -> Any:
        if not clicks:
            return no_update, no_update
        ctx, v = context(), view(ui)
        with ctx.store.read() as c:
            now = ctx.store.now_ms(c)
        visit = all_seen(now)
        return {"since": visit.since, "at": visit.at}, html.Span(v.t("home.seen_done"), className="note", role="status")


def _seen(v: View, visit: Visit, now: int) -> list[Any]:
    """When they last looked, and the way to say that they have seen it all."""
    zone = context().zone
    words = (
        v.t("home.first")
        if visit.since is None
        else v.t("home.since", time=clock(visit.since, zone, now), ago=ago(v.lang, visit.since, now))
    )
    return [
        html.Span(words, className="note num"),
        html.Button(v.t("home.seen"), id="home-mark", className="button small-button", type="button"),
    ]


def _day() -> Figures:
    """The last day, or the usual range where buckets are wider or narrower than minutes."""
    ctx = context()
    offered, first = ranges(ctx.settings.bucket_ms)
    return figures(ctx, "24h" if "24h" in offered else first, "all")


def _waiting(v: View) -> list[Any]:
    """Running alerts, those that nobody has taken first, each with who has it; where none runs, one line that says how
    calm it is and why that may be believed."""
    found = _day()
    names = {s.id: s.name for s in found.series}
    running = sorted(found.running, key=lambda a: a.state != "firing")
    waiting = sum(a.state == "firing" for a in running)
    others = len(found.alerts) - len(running)
    if not running:
        return [_calm(v, others)]
    shown, left = strips(v, running, names, found.span.now, _STRIPS)
    more = []
    if left:
        more.append(dcc.Link(v.t("home.waiting_more", n=left), href="/alerts"))
    if others:
        more.append(dcc.Link(v.t("home.handled", n=others), href="/alerts?state=acknowledged", className="muted"))
    title = html.H2(
        [v.t("home.waiting" if waiting else "home.in_hand"), html.Span(str(waiting or len(running)), className="count")]
    )
    return [
        html.Section(
            [
                html.Div([title, html.Div(more, className="aside more-links")], className="section-head"),
                html.Div(shown, className="strips"),
            ]
        )
    ]


def _calm(v: View, others: int) -> Any:
    report = context().status()
    zone = context().zone
    state = report["stream"]
    if state == "empty":  # the line of truth says so, and below stands what to do
        return None
    sure = state == "live"
    silent = report["sources_silent"]
    share = report["unscored"]["share"]
    progress = report["progress"]
    proof = v.t("home.no_data")
    if progress is not None:
        proof = v.t(
            "home.calm_proof",
            time=clock(progress, zone, report["now"]),
            lag=duration(v.lang, report["now"] - progress),
            silent=v.t("home.silent", n=silent) if silent else v.t("home.no_silent"),
            unscored=v.t("home.unscored_unknown") if share is None else v.t("home.unscored", share=percent(share)),
        )
    parts: list[Any] = [html.Strong(v.t("home.calm" if sure else "home.unsure")), html.Span(proof, className="num")]
    if others:
        parts.append(dcc.Link(v.t("home.handled", n=others), href="/alerts?state=acknowledged"))
    return html.Div(parts, className="calm" if sure and not silent else "calm unsure", role="status")


def _watching(v: View) -> list[Any]:
    found = _day()
    if not found.series:
        return [html.Section(empty(v.t("overview.empty"), v.t("overview.empty_hint"), "empty"), className="card")]
    by_name = {s.name: s for s in found.series}
    chosen = [by_name[name] for name in watched() if name in by_name]
    note = None
    if not chosen:
        busiest = sorted((s for s in found.series if s.name != "all"), key=lambda s: -found.of(s).total)
        worst = list(dict.fromkeys(a.series_id for a in found.running))
        names = {s.id: s.name for s in found.series}
        alerting = [names[i] for i in worst if i in names]
        chosen = [by_name[n] for n in by_default(alerting, [s.name for s in busiest], _BY_DEFAULT)]
        note = html.P(v.t("home.watching_default"), className="note list-note")
    mine = set(watched())
    rows = [_row(v, found, s, s.name in mine) for s in chosen]
    heads = (
        "",
        "overview.rows",
        "overview.volume",
        "overview.share",
        "overview.change",
        "overview.trend",
        "home.peers",
    )
    head = html.Div([html.Span(v.t(h) if h else None) for h in heads], className="watch-row watch-head")
    span = v.t("home.watching_span")
    if found.span.anchored:  # the last day that there is, not the last 24 hours
        span = v.t("overview.until", time=clock(found.span.to_ms, context().zone, found.span.now))
    title = [v.t("home.watching"), html.Small(span, className="muted head-note")]
    links = dcc.Link(v.t("home.all"), href="/overview")
    return [section(title, html.Div([note, html.Div([head, *rows], className="watch-list")]), links, "flush")]


def _row(v: View, found: Figures, s: SeriesRow, mine: bool) -> Any:
    item = found.of(s)
    share, ranked = shown_share(item), ranked_share(item.share, item.scored)
    name = series_name(v.lang, s.name)
    alert = found.alerting.get(s.id)
    label: list[Any] = [dcc.Link(name, href=series_href(s.name), className="series-name cover")]
    if alert is not None:
        label.append(severity_pill(v, alert.severity))
    return html.Div(
        [
            stars.star(v, s.name, mine, "home"),
            html.Span(label, className="cell-name"),
            html.Span(number(v.lang, item.total), className="num cell", **data(label=v.t("overview.volume"))),
            html.Span(
                [
                    html.Span(percent(share), className="num"),
                    html.Span(html.I(style={"width": percent(share or 0)}), className="meter"),
                ],
                className="cell cell-share",
                **data(label=v.t("overview.share")),
            ),
            html.Span(change_cell(v, item), className="cell cell-change"),
            trend_cell(v, item, name, found.steps),
            peer_line(v, ranked, peers(ranked, found.peers_of(s)), group_of(s.name)),
        ],
        className="watch-row alerting" if alert is not None else "watch-row",
        key=s.name,
        **data(series=s.name),
    )


def _changed(v: View, visit: Visit) -> list[Any]:
    """New alerts, what is over, and shares that left their expectation since the last look."""
    ctx = context()
    found = _day()
    now = found.span.now
    begin = visit.begin(now)
    with ctx.store.read() as c:
        alerts, over = changed_since(c, begin, _READ)
    counts = totals_since(ctx, begin, found.span.to_ms)
    names = {s.id: s.name for s in found.series}
    judged = ((s, standing(counts.get(s.id))) for s in found.series if s.judged)
    moved = sorted(((s, now) for s, now in judged if now.way in ("above", "below")), key=lambda pair: -abs(pair[1].far))
    parts: list[Any] = []
    for key, rows in (("home.changed_alerts", alerts), ("home.changed_over", over)):
        if rows:
            # What the market did comes before what is wrong with the product.
            kinds = kinds_of(sorted(rows, key=lambda a: a.type == "system"))
            items = [_alerts(v, same, names.get(same[0].series_id or 0), now) for same in kinds[:_CHANGES]]
            # Of more than are read, at least so many are left.
            more = f"{len(kinds) - len(items)}{'+' if len(rows) == _READ else ''}" if len(kinds) > len(items) else ""
            parts += _part(v, key, items, more, "/alerts?state=all")
    if moved:
        items = [_moved(v, s, now) for s, now in moved[:_CHANGES]]
        parts += _part(v, "home.changed_series", items, str(len(moved) - len(items) or ""), "/overview")
    if not parts:
        parts = [empty(v.t("home.changed_none"))]
    long = visit.since is not None and now - visit.since > LONGEST_MS
    return [section(v.t("home.changed") + (v.t("home.changed_week") if long else ""), html.Div(parts))]


def _moved(v: View, s: SeriesRow, found: Standing) -> Any:
    said = change_of(v, found)
    words = v.t("home.seen_expected", seen=number(v.lang, found.seen), expected=expected_figure(v, found.expected))
    return dcc.Link(
        [
            html.Span(
                [html.Span(said.text, className=f"num {said.tone}", title=said.hint), " ", series_name(v.lang, s.name)]
            ),
            html.Small(words, className="num muted"),
        ],
        href=series_href(s.name),
        className="change-item",
    )


def _alerts(v: View, alerts: Sequence[Any], series: str | None, now: int) -> Any:
    """One alert, or several of one kind about the product."""
    alert, one = alerts[0], len(alerts) == 1
    running = alert.state != "resolved" and alert.ended_at is None
    at = alert.detected_at if running else alert.resolved_at or alert.ended_at
    return dcc.Link(
        [
            html.Span(
                [severity_pill(v, alert.severity), " ", subject(v, alert, series) if one else folded_name(v, alerts)],
                className="marks",
            ),
            html.Small(clock(at, context().zone, now), className="num muted"),
        ],
        href=alert_href(alert) if one else "/alerts?state=all",
        className="change-item",
    )


def _part(v: View, key: str, items: list[Any], more: str, href: str) -> list[Any]:
    said = v.t("home.more", n=more) + " →"
    tail = [dcc.Link(said, href=href, className="change-more")] if more else []
    return [html.H3(v.t(key), className="change-title"), html.Div([*items, *tail], className="change-items")]
