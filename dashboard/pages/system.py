"""The machine room: what needs somebody, how far reading is, who runs, what could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

import dash
from dash import Input, State, dcc, html

from barometer.store.health.status import read_status
from barometer.store.stream.dead_letters import StoredLetter, find_letters
from dashboard.components.live import fresh, live, register_live, target
from dashboard.components.parts import empty, href, kpi, or_code, section, table
from dashboard.context import View, context, view
from dashboard.format import ago, clock, duration, exact, number, percent, stamp
from dashboard.navigation import Screen, add

SCREEN = add(Screen("system", "/system", order=70, key="s"))

LETTERS = 20
SOURCES = 20
"""Sources that are shown unless all are asked for: the silent ones and the busiest."""
ALL_SOURCES = "all"
_BEGINNING = 160


def layout(ui: dict[str, Any] | None = None, sources: str = "", **_query: str) -> Any:
    v = view(ui)
    return html.Div(
        [html.Div(html.H1(v.t("system.title")), className="page-head"), live("system-body", body(v, sources))]
    )


def register(app: dash.Dash) -> None:
    register_live(app, "system-body")

    @app.callback(
        target("system-body"),
        Input("tick", "n_intervals"),
        State("ui", "data"),
        State("_pages_location", "search"),
        prevent_initial_call=True,
    )
    def refresh(_n: int, ui: dict[str, Any], search: str | None) -> Any:
        asked = parse_qs((search or "").lstrip("?")).get("sources", [""])[0]
        return fresh("system-body", body(view(ui), asked))


def body(v: View, sources: str = "") -> list[Any]:
    """The report, section by section; ``sources="all"`` shows every source."""
    ctx = context()
    with ctx.store.read() as c:
        report = read_status(c, ctx.store, ctx.settings)
    letters = find_letters(ctx.store, limit=LETTERS)
    return [
        _problems(v, report),
        _flow(v, report),
        _accounts(v, report),
        html.Div([_processes(v, report), html.Div([_jobs(v, report), _leases(v, report)])], className="columns even"),
        html.Div(
            [sources_part(v, report, every=sources == ALL_SOURCES), _partitions(v, report)], className="columns even"
        ),
        _letters(v, letters, report["now"]),
    ]


def _problems(v: View, report: dict[str, Any]) -> Any:
    if not report["problems"]:
        return html.Div(v.t("system.fine"), className="calm")
    items = [html.Li(v.t(f"problem.{p['code']}", **_named(v, p))) for p in report["problems"]]
    return html.Section([html.H2(v.t("system.problems")), html.Ul(items)], className="card problems")


def _named(v: View, problem: dict[str, Any]) -> dict[str, Any]:
    found = {k: x for k, x in problem.items() if k not in ("code", "text")}
    if problem["code"] == "job":
        found["name"] = or_code(v, "job", found["name"])
    return found


def _flow(v: View, report: dict[str, Any]) -> Any:
    lag, alarm = report["lag"], context().settings
    behind = lag["seconds"]
    return html.Div(
        [
            kpi(
                v.t("system.lag_records"),
                number(v.lang, lag["records"]),
                None,
                "tone-alert" if lag["records"] > alarm.lag_alarm_records else "",
            ),
            kpi(
                v.t("system.lag_time"),
                "–" if behind is None else duration(v.lang, behind * 1000),
                stamp(report["progress"], context().zone),
                "tone-alert" if behind is None or behind > alarm.lag_alarm_seconds else "",
            ),
            kpi(v.t("system.rate"), number(v.lang, round(report["throughput"], 1)), v.t("system.rate_hint")),
            kpi(v.t("system.unscored"), percent(report["unscored"]["share"]), v.t("system.unscored_hint")),
        ],
        className="kpis",
    )


def _accounts(v: View, report: dict[str, Any]) -> Any:
    n = report["counts"]
    parts: list[Any] = [_term(v.t("system.records"), n["records"]), html.Span("=", className="sign")]
    names = ("documents", "repeats", "dead_letters", "tombstones", "progress_records")
    for i, name in enumerate(names):
        if i:
            parts.append(html.Span("+", className="sign"))
        parts.append(_term(v.t("system.progress" if name == "progress_records" else f"system.{name}"), n[name]))
    verdict = v.t("system.unbalanced", n=n["difference"]) if n["difference"] else v.t("system.balanced")
    return section(
        v.t("system.balance"),
        html.Div(parts, className="accounts"),
        html.Span([verdict, f" · {v.t('system.late')} {exact(n['late'])}"], className="bad" if n["difference"] else ""),
    )


def _term(label: str, value: int) -> Any:
    return html.Div([html.Span(exact(value), className="num"), html.Small(label)], className="term")


def _processes(v: View, report: dict[str, Any]) -> Any:
    now, leader = report["now"], report["leader"]
    rows = []
    for p in report["processes"]:
        name: list[Any] = [html.Strong(or_code(v, "role_of", p["role"]), title=p["role"])]
        if leader and p["id"] == leader:
            name.append(html.Span(v.t("system.leader"), className="pill state-acknowledged"))
        state = or_code(v, "process", p["state"]) if p["live"] else v.t("system.gone")
        rows.append(
            [
                html.Div(name, className="marks"),
                f"{p['host']}:{p['pid']}",
                html.Span(state, className="pill quiet" if p["live"] else "pill notify-failed"),
                ago(v.lang, p["seen_at"], now),
            ]
        )
    heads = [
        (v.t("system.role"), ""),
        (v.t("system.host"), "grow num"),
        (v.t("system.process_state"), ""),
        (v.t("system.seen"), "num"),
    ]
    shown = table(heads, rows) if rows else empty(v.t("truth.no_workers"), None, "lost")
    return section(v.t("system.processes"), shown, class_name="flush")


def _leases(v: View, report: dict[str, Any]) -> Any:
    now = report["now"]
    rows = [
        [
            html.Strong(or_code(v, "lease", x["name"]), title=x["name"]),
            x["holder"],
            exact(x["term"]),
            clock(x["expires_at"], context().zone, now, seconds=True) if x["live"] else v.t("system.expired"),
        ]
        for x in report["leases"]
    ]
    heads = [
        (v.t("system.lease"), ""),
        (v.t("system.holder"), "grow"),
        (v.t("system.term"), "num right"),
        (v.t("system.expires"), "num"),
    ]
    return section(v.t("system.leases"), table(heads, rows), class_name="flush") if rows else None


def _jobs(v: View, report: dict[str, Any]) -> Any:
    rows = []
    for j in report["jobs"]:
        took = duration_of(j)
        if j["ok"] is None:
            result = html.Span(v.t("system.running"), className="pill quiet")
        else:
            result = html.Span(
                v.t("system.ok" if j["ok"] else "system.failed"),
                className="pill quiet" if j["ok"] else "pill notify-failed",
            )
        rows.append(
            [
                html.Div(
                    [
                        html.Strong(or_code(v, "job", j["name"]), title=j["name"]),
                        html.Small(j["message"] or "", className="muted"),
                    ],
                    className="two",
                ),
                ago(v.lang, j["started_at"], report["now"]),
                took,
                result,
            ]
        )
    heads = [
        (v.t("system.job"), "grow"),
        (v.t("system.last_run"), "num"),
        (v.t("system.took"), "num right"),
        (v.t("system.result"), ""),
    ]
    body_ = table(heads, rows) if rows else empty(v.t("system.none"))
    return section(v.t("system.jobs"), body_, class_name="flush")


def duration_of(job: dict[str, Any]) -> str:
    return "–" if job["finished_at"] is None else f"{(job['finished_at'] - job['started_at']) / 1000:.2f} s"


def sources_part(v: View, report: dict[str, Any], *, every: bool) -> Any:
    """Who sends, and how long ago they did; the first of them or every one."""
    now, known = report["now"], report["sources"]
    first = sorted(known, key=lambda s: (not s["silent"], -s["last_day"]))
    shown = first if every else first[:SOURCES]
    rows = [
        [
            html.Div(
                [
                    html.Strong(s["name"]),
                    html.Span(v.t("system.silent"), className="pill notify-failed") if s["silent"] else None,
                    html.Span(v.t("system.muted"), className="pill quiet") if s["muted"] else None,
                ],
                className="marks",
            ),
            ago(v.lang, s["last_observed_at"], now),
            number(v.lang, s["last_day"]),
        ]
        for s in shown
    ]
    heads = [(v.t("system.source"), "grow"), (v.t("system.last_text"), "num"), (v.t("system.last_day"), "num right")]
    rest = None
    if len(known) > SOURCES:
        words = v.t("system.sources_few", n=SOURCES) if every else v.t("system.sources_all", n=exact(len(known)))
        if report["sources_known"] > len(known) and not every:
            words = v.t("system.sources_most", n=exact(len(known)), known=exact(report["sources_known"]))
        rest = dcc.Link(words, href=href("/system", {"sources": None if every else ALL_SOURCES}))
    return section(
        v.t("system.sources"), table(heads, rows) if rows else empty(v.t("system.none")), rest, class_name="flush"
    )


def _partitions(v: View, report: dict[str, Any]) -> Any:
    now = report["now"]
    rows = [
        [str(o["partition"]), exact(o["next_offset"]), exact(o["lag"]), ago(v.lang, o["progress_t"], now)]
        for o in report["lag"]["partitions"]
    ]
    heads = [
        (v.t("system.partition"), "num"),
        (v.t("system.next_offset"), "num right grow"),
        (v.t("system.lag"), "num right"),
        (v.t("system.progress_at"), "num"),
    ]
    return section(
        v.t("system.partitions"), table(heads, rows) if rows else empty(v.t("system.none")), class_name="flush"
    )


def _letters(v: View, letters: Sequence[StoredLetter], now: int) -> Any:
    if not letters:
        return section(v.t("system.letters"), empty(v.t("system.no_letters")))
    rows = []
    for x in letters:
        rows.append(
            [
                clock(x.record_timestamp, context().zone, now) if x.record_timestamp >= 0 else "–",
                f"{x.row.partition}:{x.row.offset}",
                html.Div(
                    [html.Strong(or_code(v, "letter", x.reason)), html.Small(x.detail, className="muted")],
                    className="two",
                ),
                html.Code(x.value[:_BEGINNING].decode("utf-8", "replace"), className="raw"),
                f"{exact(x.value_length)} B",
            ]
        )
    heads = [
        (v.t("system.when"), "num"),
        (v.t("system.place"), "num"),
        (v.t("system.reason"), ""),
        (v.t("system.value"), "grow"),
        (v.t("system.size"), "num right"),
    ]
    return section(v.t("system.letters"), table(heads, rows), class_name="flush")
