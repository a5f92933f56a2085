"""How an alert is named and summed up, wherever it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dash import dcc, html

from barometer.alarm_runbook import runbook_entry
from barometer.store.alerts.handling import RULE, snoozed
from barometer.telling import hit_words, rule_hits, rule_of, rule_title, telling
from barometer.vocabulary import SEVERITIES
from dashboard.components.parts import icon, or_code, severity_pill, state_pill
from dashboard.context import View, context
from dashboard.format import ago, clock, duration, number
from dashboard.i18n.texts import series_name


def subject(v: View, alert: Any, series: str | None) -> str:
    """What an alert is about: the series' name, or what is wrong with the product itself."""
    rule = rule_of(str(alert.fingerprint), alert.explanation, v.lang)
    if rule is not None:
        return v.t("alert.rule_subject", rule=rule)
    if series:
        return series_name(v.lang, series)
    condition = str(alert.fingerprint).partition(":")[2]
    name, _, what = condition.partition(":")
    if alert.type != "system" or not name:
        return series_name(v.lang, str(alert.fingerprint))
    fault = or_code(v, "fault", name)
    return f"{fault}: {what}" if what and v.lang == "en" else f"{fault}：{what}" if what else fault


def sentence(v: View, alert: Any) -> str:
    """The figures in a sentence; nothing for alerts that count no texts."""
    if alert.type == "system":
        return runbook_entry(alert.fingerprint, v.lang)[0]
    if not alert.seen_total:
        return _rule_sentence(v, alert) or str(alert.explanation.get("summary") or or_code(v, "type", alert.type))
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
    about = telling(alert.explanation, alert.seen_negative)
    return text + (("：" if v.lang == "zh" else ": ") + joined(v, about) if about else "")


def joined(v: View, names: Iterable[str]) -> str:
    """Names in a row, as the language puts them."""
    return ("、" if v.lang == "zh" else ", ").join(names)


def _rule_sentence(v: View, alert: Any) -> str:
    """The latest rule that was hit, its words, and how many texts have hit rules."""
    hits = rule_hits(alert.explanation)
    if not hits:
        return ""
    said = hit_words(hits[-1], v.lang)
    if rule_of(str(alert.fingerprint), alert.explanation, v.lang) is None:  # else the alert has the rule's name
        said = v.t("alert.rule_sentence", rule=rule_title(hits[-1], v.lang), words=said)
    return said + (v.t("alert.rule_more", n=number(v.lang, len(hits))) if len(hits) > 1 else "")


def _without_subject(text: str, name: str) -> str:
    """A sentence that begins with what stands before it anyway: the rest of it."""
    return text.removeprefix(name).lstrip(" ：:,，") or text


def actor_name(v: View, actor: str | None) -> str:
    """Who did it: a user's name, or which part of the product."""
    if actor is not None and actor.startswith(RULE):
        return v.t("actor.rule", name=actor.removeprefix(RULE))
    return v.t(f"actor.{actor}") if actor in ("detector", "system") else actor or "–"


def alert_href(alert: Any) -> str:
    return f"/alerts/{alert.id}"


def strips(v: View, alerts: Sequence[Any], names: Mapping[int, str], now: int, most: int) -> tuple[list[Any], int]:
    """Alerts as wide links in their order, at most ``most``, and how many alerts are left out. Several alarms of one
    kind about the product itself (sources that fell silent together) are one link."""
    shown = kinds_of(alerts)[:most]
    found = [
        alert_strip(v, group[0], names.get(group[0].series_id or 0), now)
        if len(group) == 1
        else _folded_strip(v, group, now)
        for group in shown
    ]
    return found, len(alerts) - sum(map(len, shown))


def folded_name(v: View, alerts: Sequence[Any]) -> str:
    """Several alarms of one kind about the product itself: 来源沉默 × 6."""
    return f"{or_code(v, 'fault', str(alerts[0].fingerprint).split(':')[1])} × {len(alerts)}"


def kinds_of(alerts: Sequence[Any]) -> list[list[Any]]:
    """Alerts in their order; alarms of one kind about the product itself are together where the first of them is."""
    groups: dict[str, list[Any]] = {}
    for a in alerts:
        own = a.type == "system" and str(a.fingerprint).count(":") > 0
        groups.setdefault(":".join(str(a.fingerprint).split(":")[:2]) if own else f"#{a.id}", []).append(a)
    return list(groups.values())


def _folded_strip(v: View, alerts: Sequence[Any], now: int) -> Any:
    """Several alarms of one kind about the product itself."""
    first = min(a.started_at for a in alerts)
    worst = max(alerts, key=lambda a: SEVERITIES.index(a.severity))
    what = [str(a.fingerprint).split(":", 2)[2] for a in alerts if str(a.fingerprint).count(":") > 1]
    some = joined(v, what[:4]) + (" …" if len(what) > 4 else "")
    title = folded_name(v, alerts)
    return dcc.Link(
        [
            html.Div(
                [severity_pill(v, worst.severity), html.Strong(title, className="strip-name")], className="strip-title"
            ),
            html.Div(some, className="strip-text"),
            html.Div(
                [
                    html.Span(f"{clock(first, context().zone, now)} · {ago(v.lang, first, now)}"),
                    state_pill(v, worst.state),
                ],
                className="strip-meta",
            ),
        ],
        href="/alerts",
        className=f"strip strip-{worst.severity}",
    )


def alert_strip(v: View, alert: Any, series: str | None, now: int) -> Any:
    """One running alert as a wide link: what, how much, since when, and in whose hands it is."""
    zone = context().zone
    hands: list[Any] = []
    if snoozed(alert, now):
        hands.append(html.Span([icon("snooze"), v.t("alerts.snoozed", time=clock(alert.snoozed_until, zone, now))]))
    owner = alert.assignee or alert.acknowledged_by
    if owner:
        hands.append(html.Span(v.t("alert.owner", name=owner)))
    return dcc.Link(
        [
            html.Div(
                [severity_pill(v, alert.severity), html.Strong(subject(v, alert, series), className="strip-name")],
                className="strip-title",
            ),
            html.Div(_without_subject(sentence(v, alert), subject(v, alert, series)), className="strip-text"),
            html.Div(
                [
                    *hands,
                    html.Span(f"{clock(alert.started_at, zone, now)} · {ago(v.lang, alert.started_at, now)}"),
                    state_pill(v, alert.state),
                ],
                className="strip-meta",
            ),
        ],
        href=alert_href(alert),
        className=f"strip strip-{alert.severity}",
    )
