"""How far figures can be trusted, in words that people understand: never a share without its interval and what it is
of."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from barometer.store.labels.intervals import Share
from barometer.store.labels.quality import AlertQuality, LabelQuality, QualityReport
from barometer.store.labels.sampling import ALL
from barometer.store.model_versions.versions import model_names as read_names
from dashboard.components.parts import empty, href, or_code, section, series_href, table
from dashboard.context import View, context
from dashboard.format import number, percent
from dashboard.i18n.texts import series_name
from dashboard.services.labelling import AUDIT_SECONDS, audit_figures

FEW = 30
"""Fewer texts than this are said to be few."""


def interval(v: View, share: Share | None) -> Any:
    """``82 % (71–90)`` with a bar that shows the interval."""
    if share is None:
        return html.Span("–", className="muted")
    low, high = share.low * 100, share.high * 100
    return html.Span(
        [
            html.Strong(percent(share.value, 0), className="num"),
            html.Span(f" {low:.0f}–{high:.0f}", className="num muted"),
            html.Span(
                [
                    html.I(style={"left": f"{low:.1f}%", "width": f"{max(1.0, high - low):.1f}%"}),
                    html.B(style={"left": f"{share.value * 100:.1f}%"}),
                ],
                className="interval",
                role="presentation",
            ),
        ],
        className="interval-cell",
        title=v.t("trust.of_random", n=number(v.lang, round(share.n))),
    )


def trust_section(v: View, series: str) -> Any:
    """What checks found of one series, and how often its alerts were right."""
    found, alerts = audit_figures()
    audit, models = found.of(series), model_names()
    link = href("/annotate", {"series": series}) if series != ALL else "/annotate"
    aside = dcc.Link(v.t("trust.check" if series != ALL else "trust.more"), href=link)
    parts: list[Any] = []
    if audit is None:
        parts.append(html.P([html.Strong(v.t("trust.none")), html.Br(), v.t("trust.none_hint")], className="note"))
    else:
        parts += [
            _sentence(v, "precision", audit.precision, audit.called_negative),
            _sentence(v, "recall", audit.recall, audit.are_negative),
            html.P(_of(v, audit, models), className="note"),
        ]
    parts.append(_alerts(v, alerts.get(series)))
    return section(v.t("trust.title"), html.Div(parts, className="trust"), aside)


def trust_line(v: View) -> Any:
    """The same of all texts in one line, for Home."""
    found, alerts = audit_figures()
    audit, closed = found.of(ALL), alerts.get(ALL)
    said: list[Any] = []
    for kind, share, n in (
        ("precision", audit.precision if audit else None, audit.called_negative if audit else 0),
        ("recall", audit.recall if audit else None, audit.are_negative if audit else 0),
        ("alerts", closed.precision if closed else None, closed.right + closed.wrong if closed else 0),
    ):
        if share is not None:
            said.append(html.Span(_words(v, kind, share, n)))
    if not audit:
        said.insert(0, html.Span(v.t("trust.none")))
    return html.Div([*said, dcc.Link(v.t("trust.more"), href="/annotate")], className="trust-line meta")


def model_names() -> dict[int, str]:
    """Names of model versions by id."""
    ctx = context()

    def read() -> dict[int, str]:
        with ctx.store.read() as c:
            return read_names(c)

    return ctx.brief.get("model-names", read, AUDIT_SECONDS)


def audit_table(v: View, found: QualityReport) -> Any:
    """All series that were checked, the whole first."""
    models = model_names()
    if not found.by_series:
        return empty(v.t("trust.none"), v.t("trust.none_hint"), "texts")
    heads = [
        (v.t("trust.series"), "grow"),
        (v.t("trust.n"), "right"),
        (v.t("trust.precision"), ""),
        (v.t("trust.recall"), ""),
        (v.t("trust.accuracy"), ""),
        (v.t("trust.topic"), ""),
        (v.t("trust.model"), ""),
    ]
    names = sorted(found.by_series, key=lambda n: (n != ALL, -found.by_series[n][0].texts, n))
    rows = []
    for name in names:
        for audit in found.by_series[name]:
            label: Any = dcc.Link(series_name(v.lang, name), href=series_href(name))
            if name == ALL:
                label = html.Strong(v.t("trust.all"))
            few = html.Small(v.t("trust.few"), className="muted") if audit.texts < FEW else None
            rows.append(
                [
                    html.Span([label, " ", few]),
                    html.Span(number(v.lang, audit.texts), className="num"),
                    interval(v, audit.precision),
                    interval(v, audit.recall),
                    interval(v, audit.accuracy),
                    interval(v, audit.topic),
                    html.Small(models.get(audit.model_id, "–"), className="muted"),
                ]
            )
    drawn = v.t(
        "trust.not_labelled",
        drawn=number(v.lang, found.drawn),
        labelled=number(v.lang, found.labelled),
        skipped=number(v.lang, found.skipped),
    )
    return html.Div([html.Div(table(heads, rows), className="checked"), html.P(drawn, className="note foot-note")])


def agreement_words(v: View, found: QualityReport) -> str:
    share = found.agreement.share
    if share is None:
        return v.t("annotate.people_none")
    pi = found.agreement.beyond_chance
    beyond = "" if pi is None else v.t("annotate.beyond", pi=f"{pi:.2f}")
    return v.t(
        "annotate.people_some",
        n=number(v.lang, found.agreement.pairs),
        share=percent(share.value, 0),
        low=percent(share.low, 0),
        high=percent(share.high, 0),
        beyond=beyond,
    )


def _sentence(v: View, kind: str, share: Share | None, n: float) -> Any:
    if share is None:
        return html.P(v.t(f"trust.{kind}_none"), className="muted")
    return html.Div([html.P(_words(v, kind, share, n)), interval(v, share)], className="trust-figure")


def _words(v: View, kind: str, share: Share, n: float) -> str:
    return v.t(
        f"trust.{kind}_words",
        n=number(v.lang, round(n, 1)),
        share=percent(share.value, 0),
        low=percent(share.low, 0),
        high=percent(share.high, 0),
    )


def _of(v: View, audit: LabelQuality, models: dict[int, str]) -> str:
    said = [v.t("trust.of_random", n=number(v.lang, audit.texts))]
    if audit.texts < FEW:
        said.append(v.t("trust.few"))
    if audit.model_id != max(models, default=audit.model_id):
        said.append(v.t("trust.older_model", model=models.get(audit.model_id, str(audit.model_id))))
    return ("；" if v.lang == "zh" else "; ").join(said)


def _alerts(v: View, alerts: AlertQuality | None) -> Any:
    share = None if alerts is None else alerts.precision
    if alerts is None or share is None:
        return html.P(v.t("trust.alerts_none"), className="muted")
    parts: list[Any] = [_sentence(v, "alerts", share, share.n)]
    if alerts.reasons:
        pairs = sorted(alerts.reasons.items(), key=lambda p: -p[1])
        words = ("，" if v.lang == "zh" else ", ").join(
            f"{v.t('trust.unsaid') if r == 'unsaid' else or_code(v, 'false', r)} {n}" for r, n in pairs
        )
        parts.append(html.P(v.t("trust.alerts_wrong", reasons=words), className="note"))
    return html.Div(parts)


__all__ = ["agreement_words", "audit_table", "interval", "trust_line", "trust_section"]
