"""The line of truth: how old the data is, who is at work, what is missing. It is never calm when it cannot know."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from dashboard.context import View, context
from dashboard.format import clock, duration, number, offset, percent


def truth_line(v: View, report: dict[str, Any]) -> Any:
    """One line of facts, with the worst first."""
    c = context()
    state = report["stream"]
    now, progress = report["now"], report["progress"]
    live = [p["role"] for p in report["processes"] if p["live"]]
    items: list[Any] = []

    def say(text: str, *, bad: bool = False) -> None:
        items.append(html.Span(text, className="truth-bad" if bad else "truth-item"))

    if state == "empty":
        say(v.t("truth.empty"), bad=True)
    elif report["log"]["replaced_reason"]:
        say(v.t("truth.replaced", reason=report["log"]["replaced_reason"]), bad=True)
    elif progress is None:
        say(v.t("truth.no_progress"), bad=True)
    elif state == "stale":
        say(v.t("truth.stale", time=clock(progress, c.zone, now), lag=duration(v.lang, now - progress)), bad=True)
    else:
        last = report["last_observed_at"]
        if state == "quiet":
            said = (
                v.t("truth.no_texts")
                if last is None
                else v.t("truth.quiet", time=clock(last, c.zone, now), lag=duration(v.lang, now - last))
            )
            say(said, bad=True)
        if state == "live":
            items.append(html.Strong(v.t("truth.live")))
        say(v.t("truth.asof", time=clock(progress, c.zone, now, seconds=True), lag=duration(v.lang, now - progress)))
    if report["lag"]["records"] > c.settings.lag_alarm_records:
        say(v.t("truth.behind", n=number(v.lang, report["lag"]["records"])), bad=True)
    if "worker" in live:
        say(v.t("truth.workers", n=live.count("worker")))
    else:
        say(v.t("truth.no_workers"), bad=True)
    if "monitor" not in live:
        say(v.t("truth.no_monitor"), bad=True)
    share = report["unscored"]["share"]
    if share is not None:
        say(v.t("truth.unscored", share=percent(share)), bad=share > c.settings.unscored_alarm_share)
    if report["sources_silent"]:
        say(v.t("truth.silent", n=report["sources_silent"]), bad=True)
    elif report["sources_known"]:
        say(v.t("truth.sources", n=report["sources_known"]))
    items.append(html.Span(v.t("zone", zone=offset(now, c.zone)), className="truth-zone", title=str(c.zone)))
    return html.Div(
        [
            html.Span(className="pulse"),
            html.Div(items, className="truth-items"),
            dcc.Link(v.t("truth.details"), href="/system", className="truth-more"),
        ],
        className=f"truth truth-{state}",
    )
