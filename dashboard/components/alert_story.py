"""An alert in words: why it fired, what happened to it, who was told and who was not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import dcc, html

from barometer.store.alerts.evidence import MOSTLY
from barometer.telling import company_label, company_phrase, rule_hits, rule_title
from barometer.unreached import retold
from barometer.vocabulary import SEVERITIES
from dashboard.components.alert_list import due
from dashboard.components.alert_parts import actor_name, alert_href, joined
from dashboard.components.parts import aria, facts, href, kind_name, or_code, section, severity_pill, state_pill
from dashboard.context import View, context
from dashboard.format import clock, duration, number, percent


def why(v: View, a: Any, series: str | None) -> Any:
    """The explanation: seen against expected, whose voices, from where, which rules. None where nothing is known."""
    known, rows = a.explanation, []
    usual = known.get("expected_share")
    if a.seen_total and usual is not None:
        seen = percent(a.seen_negative / a.seen_total)
        rows.append((v.t("alert.share_seen"), v.t("alert.share_usual", seen=seen, usual=percent(usual))))
    if known.get("independent_negative") is not None:
        copies = number(v.lang, known.get("copies") or 0)
        said = v.t("alert.independent_of", n=number(v.lang, known["independent_negative"]), copies=copies)
        rows.append((v.t("alert.independent"), said))
    elif known.get("copies"):
        rows.append((v.t("alert.copies"), number(v.lang, known["copies"])))
    kinds = [k for k in known.get("by_kind") or [] if k.get("total")]
    if kinds:
        rows.append((v.t("alert.by_kind"), joined(v, (_of_kind(v, k) for k in kinds))))
    terms = [t for t in known.get("terms") or [] if t.get("term")]
    if terms:
        rows.append((v.t("alert.terms"), joined(v, (f"{t['term']} {t['texts']}" for t in terms))))
    hits: dict[str, list[str]] = {}
    for h in rule_hits(known):
        words = hits.setdefault(rule_title(h, v.lang), [])
        words += [w for w in map(str, h.get("words") or []) if w not in words]
    rows += [(v.t("alert.hits"), v.t("alert.hit", rule=r, words=joined(v, w)) if w else r) for r, w in hits.items()]
    parts: list[Any] = []
    if a.seen_total:
        parts.append(
            _bars(
                v,
                [
                    (v.t("alert.bar_seen"), a.seen_negative, "seen"),
                    (v.t("alert.bar_expected"), a.expected_negative, "expected"),
                ],
            )
        )
    most = int(known.get("one_text") or 0)
    most = most or max((int(e.get("copies") or 1) for e in a.evidence if isinstance(e, dict)), default=0)
    if a.seen_negative and most > 1 and most >= MOSTLY * a.seen_negative:
        share = percent(min(1.0, most / a.seen_negative), 0)
        parts.append(html.P(v.t("alert.one_text", share=share), className="callout"))
    prices = known.get("price_moves") or 0.0
    if prices >= MOSTLY:
        parts.append(html.P(v.t("alert.price_moves", share=percent(prices, 0)), className="callout"))
    parts.append(facts(rows))
    asked = {
        "sentiment": "negative",
        "series": series,
        "from": str(a.started_at),
        "to": str(a.ended_at or a.last_bucket_end),
    }
    ways: tuple[tuple[str, str, str, Callable[[Any], str], Callable[[Any], str]], ...] = (
        ("alert.companies", "companies", "company", company_label, lambda x: _of_company(x, asked)),
        (
            "alert.sources",
            "sources",
            "source",
            lambda x: str(x["source"]),
            lambda x: href("/documents", {**asked, "source": str(x["source"])}),
        ),
    )
    for heading, each, name, label, leads in ways:
        listed = [s for s in known.get(each) or [] if s.get(name)][:5]
        if listed:
            bars = [(dcc.Link(label(s), href=leads(s)), int(s.get("negative") or 0), "seen") for s in listed]
            parts += [html.H3(v.t(heading)), _bars(v, bars)]
    return section(v.t("alert.why"), html.Div(parts, className="why")) if rows or a.seen_total else None


def _of_kind(v: View, k: Any) -> str:
    """One kind: negatives of all, and how many were expected."""
    said = f"{kind_name(v, int(k['kind']))} {k['negative']} / {k['total']}"
    if k.get("expected") is None:
        return said
    expected = v.t("overview.expected", n=number(v.lang, round(float(k["expected"]), 1)))
    return f"{said}（{expected}）" if v.lang == "zh" else f"{said} ({expected})"


def _of_company(found: Any, asked: dict[str, str | None]) -> str:
    """Texts of the alert that name a company: by the name where it has one, else by the code."""
    return href("/documents", {**asked, "q": company_phrase(found)})


def _bars(v: View, rows: Sequence[tuple[Any, float, str]]) -> Any:
    """Figures side by side; the bars repeat what the numbers say."""
    top = max(n for _, n, _ in rows) or 1
    return html.Div(
        [
            html.Div(
                [
                    html.Span(label, className="bar-label"),
                    html.Span(
                        html.I(style={"width": f"{100 * n / top:.1f}%"}),
                        className=f"bar bar-{tone}",
                        **aria(hidden="true"),
                    ),
                    html.Span(number(v.lang, round(n, 1)), className="num"),
                ],
                className="bar-row",
            )
            for label, n, tone in rows
        ],
        className="bars",
    )


def incident(v: View, together: Sequence[Any], names: dict[str, str]) -> Any:
    """The other alerts of the incident."""
    if not together:
        return None
    return section(
        v.t("alert.incident"),
        html.Div(
            [
                dcc.Link(
                    [
                        html.Span([html.Strong(names.get(a.fingerprint, a.fingerprint)), f" #{a.id}"]),
                        html.Span([severity_pill(v, a.severity), state_pill(v, a.state)], className="marks"),
                    ],
                    href=alert_href(a),
                    className="alert-item",
                )
                for a in together
            ],
            className="alert-items",
        ),
        v.t("alert.incident_hint"),
    )


def steps(v: View, rows: Sequence[Any], now: int) -> Any:
    """What the level asks for; what is late says so in words."""
    if not rows:
        return html.P(v.t("step.none"), className="muted")
    found = []
    for s in rows:
        if s.state == "open":
            said: Any = due(v, s.due_at, None, now)
        else:
            by = v.t("step.by", name=actor_name(v, s.done_by), time=clock(s.done_at, context().zone, now))
            late = s.done_at - s.due_at if s.state == "done" and s.done_at else 0
            said = [
                by,
                html.Span(" · " + v.t("step.late", time=duration(v.lang, late)), className="bad") if late > 0 else "",
            ]
        found.append(
            html.Li(
                [
                    html.Span(
                        "✓" if s.state == "done" else "–" if s.state == "waived" else "",
                        className="step-mark",
                        **aria(hidden="true"),
                    ),
                    html.Div(
                        [
                            html.Div(
                                [
                                    html.Strong(v.t(f"step.{s.step}")),
                                    html.Span(v.t(f"step.state_{s.state}"), className="muted small"),
                                ],
                                className="step-title",
                            ),
                            html.Div(said, className="small num"),
                            html.P(s.note, className="comment") if s.note else None,
                        ]
                    ),
                ],
                className=f"step step-{s.state}",
            )
        )
    return html.Ol(found, className="step-list")


def history(v: View, events: Sequence[Any], now: int, explanation: Mapping[str, Any]) -> Any:
    """Who did what, when and why; the newest last. The alert's explanation has the titles of its rules."""
    zone = context().zone
    titles = {str(h["rule"]): rule_title(h, v.lang) for h in rule_hits(explanation)}
    return html.Ol(
        [
            html.Li(
                [
                    html.Div(
                        [
                            html.Strong(or_code(v, "action", e.action)),
                            severity_pill(v, e.data["severity"]) if e.data.get("severity") in SEVERITIES else None,
                            html.Span(actor_name(v, e.actor)),
                        ]
                    ),
                    html.Div(_detail(v, e, now, titles), className="small"),
                    html.Div(clock(e.at, zone, now, seconds=True), className="muted num small"),
                    html.P(e.comment, className="comment") if e.comment else None,
                ]
            )
            for e in events
        ],
        className="timeline",
    )


def _detail(v: View, e: Any, now: int, titles: Mapping[str, str]) -> str:
    """What an event's data adds, in words."""
    d, said = e.data, []
    if e.action in ("opened", "updated", "worse", "matter"):
        said += _what_changed(v, d, titles)
    if e.action == "assigned":
        said.append(v.t("event.assigned", name=d.get("to") or v.t("field.nobody")))
    if e.action == "level":
        ends = [or_code(v, "level", d.get(k)) or v.t("alerts.no_level") for k in ("from", "to")]
        said.append(v.t("event.level", from_=ends[0], to=ends[1]))
    if e.action == "resolved" and d.get("resolution"):
        said.append(or_code(v, "resolution", d["resolution"]))
        if d.get("reason"):
            said.append(or_code(v, "false", d["reason"]))
    if d.get("step"):
        said.append(or_code(v, "step", d["step"]))
    if d.get("late_ms"):
        said.append(v.t("event.late", time=duration(v.lang, d["late_ms"])))
    if isinstance(d.get("until"), int):
        said.append(v.t("event.until", time=clock(d["until"], context().zone, now)))
    if d.get("with"):
        said.append(v.t("event.with", id=d["with"]))
    if d.get("alerts"):
        said.append(joined(v, (f"#{i}" for i in d["alerts"])))
    names = d.get("receivers") or ([d["receiver"]] if d.get("receiver") else [])
    if names:
        said.append(v.t("event.receivers", names=joined(v, map(str, names))))
    if e.action in ("notified", "notification_failed") and d.get("reason"):
        said.append(or_code(v, "reason", d["reason"]))
    return " · ".join(said)


def _what_changed(v: View, d: Any, titles: Mapping[str, str]) -> list[str]:
    """What the detector says anew: figures, a kind or a rule that joined, one that has calmed down."""
    said = []
    if d.get("matter"):
        said.append(joined(v, map(str, d["matter"])))
    if d.get("joined") and d.get("rule"):
        said.append(v.t("event.joined_rule", rule=titles.get(d["rule"], d["rule"])))
    elif d.get("joined") and d.get("kind") is not None:
        said.append(v.t("event.joined", kind=kind_name(v, int(d["kind"]))))
    parts = str(d.get("let_go") or "").split(":", 2)
    if len(parts) > 2:
        said.append(v.t("event.let_go_rule", rule=titles.get(parts[2], parts[2])))
    elif len(parts) > 1 and parts[1].isdigit():
        said.append(v.t("event.let_go", kind=kind_name(v, int(parts[1]))))
    if d.get("seen_total"):
        expected = number(v.lang, round(float(d.get("expected_negative") or 0), 1))
        said.append(
            v.t(
                "event.figures",
                seen=number(v.lang, d["seen_negative"]),
                total=number(v.lang, d["seen_total"]),
                expected=expected,
            )
        )
    return said


def notifications(v: View, rows: Sequence[Any], now: int) -> Any:
    """Who was told and why, who was not: failures first."""
    if not rows:
        return html.P(v.t("alert.no_notifications"), className="muted")
    order = {"failed": 0, "pending": 1, "sending": 1}
    found = []
    for n in sorted(rows, key=lambda n: order.get(n.state, 2)):
        found.append(
            html.Li(
                [
                    html.Span(
                        "✓" if n.state == "sent" else "⚠" if n.state == "failed" else "…",
                        className="told-mark",
                        **aria(hidden="true"),
                    ),
                    html.Div(
                        [
                            html.Div(
                                [
                                    html.Strong(n.receiver),
                                    html.Span(or_code(v, "reason", n.reason), className="muted small"),
                                ],
                                className="step-title",
                            ),
                            html.Div(_outcome(v, n, now), className="small" + (" bad" if n.state == "failed" else "")),
                        ]
                    ),
                ],
                className=f"told told-{n.state}",
            )
        )
    return html.Ul(found, className="told-list")


def _outcome(v: View, n: Any, now: int) -> str:
    error = retold(n.last_error, v.lang) if n.last_error else "–"
    if n.state == "sent":
        return v.t("alert.note_sent", time=clock(n.sent_at, context().zone, now))
    if n.state == "failed":
        return v.t("alert.note_failed", n=n.attempts, error=error)
    if n.state == "pending" and n.attempts:
        return v.t("alert.note_retry", n=n.attempts, error=error)
    return v.t(f"alert.note_{n.state}")
