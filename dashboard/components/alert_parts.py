"""How an alert is named and summed up, wherever it is shown."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from barometer.faults import fault_wording
from barometer.store.handling import RULE
from dashboard.components.parts import or_code, severity_pill, state_pill
from dashboard.context import View, context
from dashboard.format import ago, clock, duration, number
from dashboard.i18n import series_name


def subject(v: View, alert: Any, series: str | None) -> str:
    """What an alert is about: the series' name, or what is wrong with the product itself."""
    if series:
        return series_name(v.lang, series)
    _, _, condition = str(alert.fingerprint).partition(":")
    name, _, what = condition.partition(":")
    if alert.type != "system" or not name:
        return series_name(v.lang, str(alert.fingerprint))
    fault = or_code(v, "fault", name)
    return f"{fault}: {what}" if what and v.lang == "en" else f"{fault}：{what}" if what else fault


def sentence(v: View, alert: Any) -> str:
    """The figures in a sentence; nothing for alerts that count no texts."""
    if alert.type == "system":
        return fault_wording(alert.fingerprint, v.lang)[0]
    if not alert.seen_total:
        return str(alert.explanation.get("summary") or or_code(v, "type", alert.type))
    window = duration(v.lang, alert.window_seconds * 1000)
    expected = number(v.lang, round(alert.expected_negative, 1))
    text = v.t("alert.sentence", window=window, seen=number(v.lang, alert.seen_negative), expected=expected)
    if alert.expected_negative >= 0.5:
        times = alert.seen_negative / alert.expected_negative
        text += (
            f" ({v.t('alert.times', n=f'{times:.1f}')})"
            if v.lang == "en"
            else f"（{v.t('alert.times', n=f'{times:.1f}')}）"
        )
    return text


def actor_name(v: View, actor: str | None) -> str:
    """Who did it: a user's name, or which part of the product."""
    if actor is not None and actor.startswith(RULE):
        return v.t("actor.rule", name=actor.removeprefix(RULE))
    return v.t(f"actor.{actor}") if actor in ("detector", "system") else actor or "–"


def alert_href(alert: Any) -> str:
    return f"/alerts/{alert.id}"


def alert_strip(v: View, alert: Any, series: str | None, now: int) -> Any:
    """One running alert as a wide link."""
    zone = context().zone
    return dcc.Link(
        [
            html.Div([severity_pill(v, alert.severity), html.Strong(subject(v, alert, series), className="strip-name")],
                     className="strip-title"),
            html.Div(sentence(v, alert), className="strip-text"),
            html.Div([html.Span(f"{clock(alert.started_at, zone, now)} · {ago(v.lang, alert.started_at, now)}"),
                      state_pill(v, alert.state)], className="strip-meta"),
        ],
        href=alert_href(alert),
        className=f"strip strip-{alert.severity}",
    )  # fmt: skip
