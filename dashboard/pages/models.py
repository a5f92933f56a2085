"""Which model says what is shown: versions, who uses them, what a change did, and what the model's own files say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash
from dash import Input, State, dcc, html

from barometer.store.labels.quality import QualityReport
from barometer.store.labels.sampling import ALL
from barometer.store.model_versions.usage import ModelChange, ModelTotals, model_changes, scored_by_model
from barometer.store.model_versions.versions import ModelVersionRow, list_versions
from dashboard.components.alert_parts import joined
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import aria, empty, facts, language_name, section, table
from dashboard.components.trust_parts import interval
from dashboard.context import View, context, view
from dashboard.format import clock, number, percent, stamp
from dashboard.i18n.texts import series_name
from dashboard.navigation import Screen, add
from dashboard.services.labelling import audit_figures
from dashboard.services.model_files import Figure, Files, figures, files
from dashboard.services.model_files import number as figure

SCREEN = add(Screen("models", "/models", order=60, key="m"))

KEPT_SECONDS = 60.0
"""What closed buckets hold of each model changes slowly, and is read from all of them."""
_TONE = {"live": "state-resolved", "champion": "state-resolved"}


def layout(ui: dict[str, Any] | None = None, **_query: str) -> Any:
    v = view(ui)
    return html.Div(
        [
            html.Div(html.H1(v.t("models.title")), className="page-head"),
            live("models-body", body(v)),
            html.Div(_files(v)),
        ]
    )


def register(app: dash.Dash) -> None:
    register_live(app, "models-body")

    @app.callback(
        target("models-body"),
        Input("tick", "n_intervals"),
        State("ui", "data"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, ui: dict[str, Any]) -> Any:
        return fresh("models-body", body(view(ui)))


def body(v: View) -> list[Any]:
    """What the store knows."""
    ctx = context()

    def read() -> tuple[list[ModelVersionRow], dict[int, ModelTotals], list[ModelChange]]:
        with ctx.store.read() as c:
            now = ctx.store.now_ms(c)
            return list_versions(c), scored_by_model(c, now), model_changes(c, now)

    rows, scored, changes = ctx.brief.get("models", read, KEPT_SECONDS)
    report = ctx.status()
    workers = [p for p in report["processes"] if p["role"] == "worker" and p["live"]]
    if not rows:
        return [section(v.t("models.versions"), empty(v.t("models.none"), None, "models"))]
    names = {r.id: r.name for r in rows}
    return [
        _mixed(v, workers),
        _versions(v, rows, scored, workers, report["now"]),
        html.Div([_changes(v, changes, names, report["now"]), _workers(v, workers, report)], className="columns even"),
    ]


def _used(workers: Sequence[Any]) -> dict[str, int]:
    out: dict[str, int] = {}
    for p in workers:
        name = (p.get("info") or {}).get("model")
        if isinstance(name, str):
            out[name] = out.get(name, 0) + 1
    return out


def _mixed(v: View, workers: Sequence[Any]) -> Any:
    used = _used(workers)
    return (
        html.Div(v.t("models.mixed", names=", ".join(sorted(used))), className="calm unsure") if len(used) > 1 else None
    )


def _versions(v: View, rows: Sequence[Any], scored: dict[int, ModelTotals], workers: Sequence[Any], now: int) -> Any:
    used, zone = _used(workers), context().zone
    found, _ = audit_figures()
    newest = max(scored, key=lambda m: scored[m].last, default=None)
    heads = [
        (v.t("models.name"), ""),
        (v.t("models.state"), ""),
        (v.t("models.precision"), ""),
        (v.t("models.first"), ""),
        (v.t("models.live"), ""),
        (v.t("models.texts"), "right"),
        (v.t("annotate.sentiment"), ""),
        (v.t("models.audited"), ""),
        (v.t("models.workers"), "right"),
    ]
    lines = []
    for r in rows:
        s = scored.get(r.id)
        state = r.state
        if used.get(r.name) or (not used and r.id == newest):
            state = "live"
        elif state == "seen" and s is not None:
            state = "past"
        since = r.promoted_at or (s.first if s else None)
        until = "" if s is None or state == "live" else f" – {clock(s.last, zone, now)}"
        lines.append(
            [
                html.Strong(r.name),
                html.Span(v.t(f"models.state_{state}"), className=f"pill {_TONE.get(state, 'quiet')}"),
                r.precision,
                html.Span(stamp(r.created_at, zone)[:16], className="num"),
                html.Span("–" if since is None else clock(since, zone, now) + (until or " –"), className="num"),
                html.Span(number(v.lang, s.total) if s else "–", className="num"),
                _shares(v, s),
                interval(v, _audited(found, r.id)),
                html.Span(str(used.get(r.name, 0)) if used else "–", className="num"),
            ]
        )
    return section(v.t("models.versions"), table(heads, lines, v.t("models.versions")), None, "flush audit-table")


def _audited(found: QualityReport, model_id: int) -> Any:
    return next((a.precision for a in found.by_series.get(ALL, []) if a.model_id == model_id), None)


def _shares(v: View, s: ModelTotals | None) -> Any:
    """Negative, neutral, positive: in figures, and as a bar."""
    if s is None or s.scored <= 0:
        return html.Span("–", className="muted")
    parts = [(name, getattr(s, name) / s.scored) for name in ("negative", "neutral", "positive")]
    words = " · ".join(f"{v.t(f'sentiment.{name}')} {percent(x, 0)}" for name, x in parts)
    bar = html.Span(
        [html.I(className=f"of-{name}", style={"width": f"{x * 100:.1f}%"}) for name, x in parts],
        className="shares",
        role="presentation",
    )
    return html.Span([bar, html.Small(words)], title=words)


def _changes(v: View, changes: Sequence[ModelChange], names: dict[int, str], now: int) -> Any:
    title = v.t("models.changes")
    if not changes:
        return section(title, empty(v.t("models.no_changes")))
    heads = [
        (v.t("models.change"), ""),
        (v.t("models.before"), ""),
        (v.t("models.after"), ""),
        (v.t("models.ratio"), "right"),
    ]
    rows = [
        [
            html.Span(
                [
                    html.Span(clock(x.at, context().zone, now), className="num"),
                    html.Small(names.get(x.after_id, str(x.after_id))),
                ],
                className="two",
            ),
            html.Span(
                [html.Small(names.get(x.before_id, str(x.before_id)), className="muted"), _shares(v, x.before)],
                className="two",
            ),
            _shares(v, x.after),
            html.Span(
                v.t("models.unmeasured") if x.ratio is None else f"× {x.ratio:.2f}",
                className="num",
                title=v.t("models.ratio_hint"),
            ),
        ]
        for x in changes
    ]
    foot = html.P(v.t("models.changes_hint"), className="note foot-note")
    return section(title, html.Div([table(heads, rows), foot]), None, "flush")


def _workers(v: View, workers: Sequence[Any], report: dict[str, Any]) -> Any:
    share = report["unscored"]["share"]
    aside = f"{v.t('models.unscored')} {percent(share)}"
    if not workers:
        return section(v.t("models.workers"), empty(v.t("models.no_workers")), aside)
    rows = [
        [
            html.Span(p["id"], className="raw"),
            (p.get("info") or {}).get("model") or html.Span(v.t("models.unknown"), className="muted"),
        ]
        for p in workers
    ]
    heads = [(v.t("models.worker"), ""), (v.t("models.uses"), "grow")]
    return section(v.t("models.workers"), table(heads, rows), aside, "flush")


# --- the files -------------------------------------------------------------------------------------------------------


def _files(v: View) -> Any:
    found = files()
    title = v.t("models.here")
    if isinstance(found, str):
        return section(title, empty(v.t("models.none_here"), found, "models"))
    folder = found.folder
    used = _used([p for p in context().status()["processes"] if p["role"] == "worker" and p["live"]])
    said = [
        (v.t("models.name"), folder.version),
        (v.t("models.precision"), folder.precision),
        (v.t("models.languages"), joined(v, (language_name(v, x) for x in folder.languages))),
        ("", v.t("models.reads", tokens=folder.max_tokens, windows=folder.windows)),
        (v.t("models.temperatures"), " · ".join(f"{k} {x:.2f}" for k, x in sorted(folder.temperatures.items()))),
    ]
    notes: list[Any] = [html.P(v.t("models.here_hint"), className="note")]
    if used and folder.version not in used:
        notes.append(html.P(v.t("models.not_used"), className="warn"))
    return html.Div(
        [
            section(title, html.Div([*notes, facts(said)], className="wide")),
            html.Div([_figures(v, found), _thresholds(v, folder)], className="columns"),
            _card(v, found),
        ]
    )


def _figures(v: View, found: Files) -> Any:
    rows = figures(found.metrics)
    title = v.t("models.figures")
    if not rows:
        return section(title, empty(v.t("models.no_figures")))
    heads = [
        (v.t("models.set"), ""),
        (v.t("models.size"), "right"),
        (v.t("models.sentiment_accuracy"), "right"),
        (v.t("models.f1"), "right"),
        (v.t("models.negative_pr"), "right"),
        (v.t("models.calibration"), "right"),
        (v.t("models.topics_f1"), "right"),
    ]
    shown = table(heads, [_figure_row(f) for f in rows], title)
    if twin := found.metrics.get("measured"):
        shown = html.Div([html.P(v.t("models.measured_by", version=str(twin)), className="muted note"), shown])
    return section(title, shown, None, "flush audit-table")


def _figure_row(f: Figure) -> list[Any]:
    def show(found: dict[str, Any], *path: str, digits: int = 2) -> Any:
        value = figure(found, *path)
        return html.Span("–" if value is None else f"{value:.{digits}f}", className="num")

    n = figure(f.sentiment or f.topics, "n")
    negative = [show(f.sentiment, "classes", "negative", name) for name in ("precision", "recall")]
    return [
        html.Span([html.Span(f.name or f.split), html.Small(f.split, className="muted")], className="two"),
        html.Span("–" if n is None else f"{n:,.0f}", className="num"),
        show(f.sentiment, "accuracy"),
        show(f.sentiment, "macro_f1"),
        html.Span([negative[0], " / ", negative[1]], className="pair") if f.sentiment else "–",
        show(f.sentiment, "calibration_error", digits=3),
        show(f.topics, "micro_f1"),
    ]


def _thresholds(v: View, folder: Any) -> Any:
    heads = [(v.t("models.topic"), "grow"), *((language_name(v, lang), "right") for lang in folder.languages)]
    rows = []
    for topic in folder.topics:
        cells: list[Any] = [series_name(v.lang, f"topic:{topic}")]
        for lang in folder.languages:
            trial = topic in (folder.trial_topics.get(lang) or ())
            cells.append(
                html.Span(
                    [
                        f"{folder.thresholds[lang][topic]:.2f}",
                        html.Span(" †", title=v.t("models.trial_hint")) if trial else None,
                    ],
                    className="num",
                )
            )
        rows.append(cells)
    title, hint = v.t("models.thresholds"), f"{v.t('models.threshold_hint')} · † {v.t('models.trial')}"
    return section(title, table(heads, rows, title), hint, "flush")


def _card(v: View, found: Files) -> Any:
    if not found.card:
        return section(v.t("models.card"), empty(v.t("models.no_card")))
    # HTML in it stays text (dangerously_allow_html is off), and links are http(s) only (react-markdown's own rule).
    card = dcc.Markdown(found.card, className="model-card", link_target="_blank")
    # Its tables are wide: who has no mouse scrolls them once the frame has the focus.
    frame = html.Div(card, className="scrolled", tabIndex=0, role="region", **aria(label=v.t("models.card")))
    return section(v.t("models.card"), frame)
