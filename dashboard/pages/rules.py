"""Red lines: which rules are in force, what they found of late, and what they would say of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html, no_update

from barometer.errors import SettingsError
from barometer.rules import Match, Rule, RuleSet, load_rules
from barometer.store.alerts.rule_hits import hits_of_rules
from dashboard.components.alert_nav import alert_nav
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, data, empty, href, section, severity_pill, table
from dashboard.context import DAY, View, context, view
from dashboard.format import ago, exact
from dashboard.i18n.texts import series_name
from dashboard.navigation import Screen, add

SCREEN = add(Screen("rules", "/rules", order=32, under="alerts"))

KEPT_SECONDS = 5.0
WORDS, COMPANIES, OTHER_NAMES = 8, 100, 12
"""So many are shown at first."""
LONGEST = 20_000
Read = tuple[RuleSet | None, str]
"""The rules of the file as it is, or why it cannot be used."""


def layout(ui: dict[str, Any] | None = None, **_query: str) -> Any:
    v = view(ui)
    return html.Div(
        [
            html.Div([html.H1(v.t("rules.title")), alert_nav(v, "/rules")], className="page-head"),
            html.P(v.t("rules.lead"), className="note"),
            live("rules-body", body(v)),
            _try_form(v),
            html.Div(_beside(v)),
        ]
    )


def register(app: dash.Dash) -> None:
    register_live(app, "rules-body")

    @app.callback(
        target("rules-body"),
        Input("tick", "n_intervals"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, ui: dict[str, Any]) -> Any:
        return fresh("rules-body", body(view(ui)))

    @app.callback(
        Output("rules-tried", "children"),
        Input("rules-try", "n_clicks"),
        State("rules-text", "value"),
        State("rules-source", "value"),
        State("rules-kind", "value"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def try_text(clicks: int | None, text: object, source: object, kind: object, ui: dict[str, Any]) -> Any:
        if not clicks:
            return no_update
        v = view(ui)
        if not isinstance(text, str) or not text.strip():
            return html.P(v.t("rules.try_empty"), className="bad")
        rules, why = _read()
        if rules is None:
            return html.P(v.t("rules.refused", why=why), className="bad")
        store = context().store
        with store.read() as c:
            now = store.now_ms(c)
        found = rules.match(
            text[:LONGEST],
            kind="comment" if kind == "comment" else "news",
            observed_at=now,
            source=source[:200] if isinstance(source, str) and source else None,
        )
        return _tried(v, found)


def body(v: View) -> list[Any]:
    """The rules with their figures."""
    app = context()
    rules, why = _read()
    with app.store.read() as c:
        now = app.store.now_ms(c)
        hits = app.brief.get("rule-hits", lambda: hits_of_rules(c, now - 7 * DAY), KEPT_SECONDS)
    if rules is None:
        return [html.Div(v.t("rules.refused", why=why), className="calm unsure", role="alert")]
    if not rules.rules:
        return [html.Section(empty(v.t("rules.all_off"), None, "lost"), className="card")]
    file = app.settings.rules_file
    said = v.t("rules.from_file", file=file) if file else v.t("rules.shipped")
    return [section(v.t("nav.rules"), _table(v, rules.rules, hits, now), said, class_name="flush")]


def _read() -> Read:
    """What the file says now; read at most once in some seconds for all readers."""
    app = context()

    def read() -> Read:
        try:
            return load_rules(app.settings.rules_file), ""
        except SettingsError as e:
            return None, str(e)

    return app.brief.get("rules", read, KEPT_SECONDS)


def _table(v: View, rules: Sequence[Rule], hits: Mapping[str, tuple[int, int]], now: int) -> Any:
    rows = []
    for r in rules:
        count, last = hits.get(r.name, (0, None))
        name = [
            html.Strong(r.title.zh if v.lang == "zh" else r.title.en, title=r.name),
            html.Small(r.name, className="muted"),
        ]
        marks = [severity_pill(v, r.severity)]
        if r.level:
            marks.append(html.Span(v.t(f"level.{r.level}"), className=f"level level-{r.level}"))
        if r.quiet:
            marks.append(html.Span(v.t("rules.quiet"), className="pill quiet"))
        shown = exact(count) if count else v.t("rules.no_hits")
        link = dcc.Link(shown, href=href("/alerts", {"state": "all", "series": f"rule:{r.name}"})) if count else shown
        rows.append(
            [
                html.Div(name, className="two"),
                html.Div(
                    [
                        _words(r.any),
                        _clause(v, "rules.and", r.and_),
                        _clause(v, "rules.unless", r.unless),
                    ]
                ),
                html.Div(_about(v, r), className="two"),
                html.Div(marks, className="marks"),
                link,
                ago(v.lang, last, now) if last else "–",
            ]
        )
    heads = [
        (v.t("rules.rule"), ""),
        (v.t("rules.words"), "grow"),
        (v.t("rules.scope"), ""),
        (v.t("rules.severity"), ""),
        (v.t("rules.hits"), "num right"),
        (v.t("rules.last"), "num"),
    ]
    return table(heads, rows)


def _words(found: Sequence[str], limit: int = WORDS) -> Any:
    """Words as tags; where there are many, the rest can be unfolded."""

    def tags(some: Sequence[str]) -> Any:
        return html.Div([html.Span(w, className="tag") for w in some], className="marks")

    if len(found) <= limit + 2:
        return tags(found)
    more = html.Summary(f"+{len(found) - limit}")
    return html.Div([tags(found[:limit]), html.Details([more, tags(found[limit:])], className="more-words")])


def _clause(v: View, key: str, found: Sequence[str]) -> Any:
    if not found:
        return None
    return html.Div([html.Small(v.t(key), className="muted"), _words(found)], className="clause")


def _about(v: View, r: Rule) -> list[Any]:
    said: list[Any] = [html.Span(v.t(f"rules.{r.companies}"))]
    if len(r.tiers) < 3:
        said.append(html.Small(v.t("rules.tiers", tiers=", ".join(map(str, r.tiers))), className="muted"))
    if len(r.kinds) < 2:
        said.append(html.Small(", ".join(v.t(f"kind.{k}") for k in r.kinds), className="muted"))
    return said


def _beside(v: View) -> list[Any]:
    """Companies, tiers, and what counts for no rule."""
    rules, _ = _read()
    if rules is None:
        return []
    companies = [
        [html.Strong(x.name), _words(x.words, OTHER_NAMES) if x.words else "–", ", ".join(x.symbols) or "–"]
        for x in rules.companies[:COMPANIES]
    ]
    heads = [(v.t("rules.company"), ""), (v.t("rules.other_names"), "grow"), (v.t("rules.symbols"), "num")]
    few = None
    if len(rules.companies) > COMPANIES:
        few = v.t("rules.companies_few", n=COMPANIES, all=exact(len(rules.companies)))
    watched = section(
        v.t("rules.companies"),
        table(heads, companies) if companies else empty(v.t("rules.companies_none")),
        few,
        class_name="flush",
    )
    tiers = [[v.t("rules.tier", n=n), _words(rules.sources.get(n, ()), 24)] for n in (1, 2) if rules.sources.get(n)]  # type: ignore[call-overload]
    parts = [
        section(
            v.t("rules.sources"),
            html.Div(
                [
                    html.P(v.t("rules.sources_hint"), className="note"),
                    table([(v.t("rules.sources"), ""), (v.t("rules.source"), "grow")], tiers) if tiers else None,
                ]
            ),
        )
    ]
    if rules.unless:
        parts.append(section(v.t("rules.general"), _words(rules.unless, 24)))
    return [html.Div([watched, html.Div(parts)], className="columns even")]


def _try_form(v: View) -> Any:
    kinds = [{"value": k, "label": v.t(f"kind.{k}")} for k in ("news", "comment")]
    return section(
        v.t("rules.try"),
        html.Div(
            [
                html.P(v.t("rules.try_hint"), className="note"),
                dmc.Textarea(
                    id="rules-text",
                    label=v.t("rules.try_text"),
                    value="",
                    autosize=True,
                    minRows=2,
                    maxRows=8,
                    attributes={"input": {"maxLength": LONGEST}},
                ),
                html.Div(
                    [
                        dmc.Select(
                            id="rules-kind",
                            label=v.t("kind.label"),
                            value="news",
                            allowDeselect=False,
                            data=kinds,
                            size="sm",
                        ),
                        dmc.TextInput(id="rules-source", label=v.t("rules.try_source"), value="", size="sm"),
                    ],
                    className="fields",
                ),
                html.Div(html.Button(v.t("rules.try_go"), id="rules-try", className="button primary")),
                html.Div(id="rules-tried", role="status", **aria(live="polite")),
            ],
            className="form",
        ),
    )


def _tried(v: View, found: Sequence[Match]) -> Any:
    if not found:
        return html.P(v.t("rules.try_none"), className="note")
    items = []
    for m in found:
        title = m.rule.title.zh if v.lang == "zh" else m.rule.title.en
        about = series_name(v.lang, m.series) if m.company else title
        hit = v.t(
            "rules.try_hit",
            words="、".join(m.words) if v.lang == "zh" else ", ".join(m.words),
            series=about,
            tier=m.tier,
        )
        items.append(
            html.Li(
                [
                    html.Div([severity_pill(v, m.rule.severity), html.Strong(title)], className="marks"),
                    html.Small(hit, className="muted"),
                ],
                **data(rule=m.rule.name),
            )
        )
    return html.Ul(items, className="tried")
