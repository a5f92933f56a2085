"""Tables of the page about receivers: who is on duty, which channels there are and whether they work, who is told of
what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html

from barometer.store.alerts.deliveries import Delivery
from barometer.unreached import retold
from dashboard.components.parts import aria, data, empty, section, table
from dashboard.context import MINUTE, View, context
from dashboard.format import ago, clock, duration, hours
from dashboard.i18n.texts import series_name
from monitor.notify.channels import channel_label
from monitor.notify.config import NotifyFile, Receiver
from monitor.notify.policy import DUTY, Matcher, Roster, Route
from monitor.notify.roster import Duty, on_duty


def duty_part(v: View, file: NotifyFile, now: int) -> Any:
    """Who is on duty now and who comes next, roster by roster."""
    if not file.rosters:
        return None
    zone = context().zone
    rows = []
    for roster in file.rosters:
        duty = on_duty(roster, now, zone)
        then = on_duty(roster, duty.until, zone)
        rows.append(
            [
                html.Strong(roster.name),
                html.Div(
                    [html.Strong(duty.who), html.Small(_why(v, roster, duty), className="muted")], className="two"
                ),
                clock(duty.until, zone, now),
                f"{then.who} · {clock(then.since, zone, now)}",
            ]
        )
    heads = [
        (v.t("receivers.roster"), ""),
        (v.t("receivers.on_duty"), "grow"),
        (v.t("receivers.until"), "num"),
        (v.t("receivers.next"), "num"),
    ]
    return section(v.t("receivers.duty"), table(heads, rows), class_name="flush")


def _why(v: View, roster: Roster, duty: Duty) -> str:
    """The turn, or the exception's own words."""
    turns = [i for i, who in enumerate(roster.people, 1) if who == duty.who]
    if turns and duty.why.startswith("turn "):
        return v.t("receivers.turn", n=duty.why.split()[1], all=len(roster.people))
    return v.t("receivers.exception") if duty.why == "exception" else duty.why


def receivers_part(
    v: View, file: NotifyFile, went: Mapping[tuple[str, int], Delivery], now: int, may_test: bool
) -> Any:
    """Every channel of every receiver, and how it went on it of late."""
    if not file.receivers:
        return section(v.t("receivers.list"), empty(v.t("receivers.none"), None, "lost"))
    rows = []
    for r in file.receivers:
        for i, channel in enumerate(r.channels):
            d = went.get((r.name, i), Delivery())
            name = [html.Strong(r.name), html.Small(_of(v, r), className="muted")]
            if i:  # the name again, for who sees one channel at a time
                name = [html.Span(r.name, className="muted")]
            where = [html.Strong(channel_label(channel.type, v.lang)), html.Small(channel.address(), className="muted")]
            cells = [
                html.Div(name, className="two"),
                html.Div(where, className="two"),
                html.Div(
                    [
                        _state(v, d),
                        html.Small(v.t("receivers.waiting", n=d.waiting), className="muted") if d.waiting else None,
                    ],
                    className="marks",
                ),
                _when(v, d.good_at, d.good_by_test, now),
                html.Div(
                    [
                        _when(v, d.bad_at, d.bad_by_test, now),
                        html.Small(retold(d.error, v.lang), className="muted error-text") if d.bad_at else None,
                    ],
                    className="two",
                ),
            ]
            if may_test:
                cells.append(
                    html.Button(
                        v.t("receivers.test"),
                        id={"type": "receiver-test", "name": r.name},
                        type="button",
                        className="link-button",
                        **aria(label=v.t("receivers.test_one", name=r.name)),
                    )
                    if i == 0
                    else ""
                )
            rows.append(cells)
    heads = [
        (v.t("receivers.name"), ""),
        (v.t("receivers.way"), "grow"),
        (v.t("receivers.state"), ""),
        (v.t("receivers.last_good"), "num"),
        (v.t("receivers.last_bad"), "wrap"),
        *([("", "")] if may_test else []),
    ]
    return section(v.t("receivers.list"), table(heads, rows), class_name="flush")


def routes_part(v: View, file: NotifyFile, repeat_minutes: float) -> Any:
    """Which alerts go to whom, in the order in which routes are looked at."""
    rows = [
        [
            html.Div(
                [
                    html.Strong(r.name or f"{i + 1}"),
                    html.Small(v.t("receivers.goes_on"), className="muted") if r.then == "continue" else None,
                ],
                className="two",
            ),
            html.Div(_matches(v, r) or v.t("receivers.everything"), className="two"),
            _people(v, r.receivers),
            html.Div(_later(v, r, repeat_minutes), className="two"),
        ]
        for i, r in enumerate(file.routes)
    ]
    default = [r.name for r in file.receivers] if file.default is None else file.default
    again = v.t("receivers.again", time=duration(v.lang, repeat_minutes * MINUTE))
    rows.append([html.Strong(v.t("receivers.default")), "", _people(v, default), again])
    if file.overdue is not None:
        rows.append([html.Strong(v.t("receivers.overdue")), "", _people(v, file.overdue), ""])
    heads = [
        (v.t("receivers.route"), ""),
        (v.t("receivers.matches"), "grow"),
        (v.t("receivers.tells"), ""),
        (v.t("receivers.repeat"), ""),
    ]
    return section(v.t("receivers.routes"), table(heads, rows), class_name="flush")


def quiet_part(v: View, file: NotifyFile) -> Any:
    """Quiet hours by name."""
    if not file.quiet_hours:
        return None
    rows = [
        [html.Strong(name), hours(v.lang, q.windows), v.t(f"receivers.through_{q.through}")]
        for name, q in file.quiet_hours.items()
    ]
    heads = [
        (v.t("receivers.quiet_name"), ""),
        (v.t("receivers.quiet_when"), "grow num"),
        (v.t("receivers.quiet_through"), ""),
    ]
    return section(v.t("receivers.quiet_title"), table(heads, rows), class_name="flush")


def _of(v: View, r: Receiver) -> str:
    said = [v.t(f"receivers.lang_{r.lang}")]
    if r.quiet_hours:
        said.append(v.t("receivers.quiet", name=r.quiet_hours))
    if not r.send_resolved:
        said.append(v.t("receivers.no_resolved"))
    return " · ".join(said)


def _state(v: View, d: Delivery) -> Any:
    code = {True: "works", False: "fails", None: "unused"}[d.works]
    tone = {"works": "notify-sent", "fails": "notify-failed", "unused": "quiet"}[code]
    return html.Span(v.t(f"receivers.{code}"), className=f"pill {tone}", **data(state=code))


def _when(v: View, at: int | None, by_test: bool, now: int) -> Any:
    if at is None:
        return "–"
    test = (
        html.Small(
            f"（{v.t('receivers.of_test')}）" if v.lang == "zh" else f" ({v.t('receivers.of_test')})", className="muted"
        )
        if by_test
        else None
    )
    return html.Span([ago(v.lang, at, now), test])


def _people(v: View, names: list[str]) -> Any:
    if not names:
        return html.Span(v.t("receivers.nobody"), className="muted")
    shown = [
        html.Span(f"{v.t('receivers.roster')} {n.removeprefix(DUTY)}" if n.startswith(DUTY) else n, className="tag")
        for n in names
    ]
    return html.Div(shown, className="marks")


def _matches(v: View, r: Matcher) -> list[Any]:
    said: list[Any] = []
    if r.series is not None:
        said.append(html.Span(", ".join(series_name(v.lang, s) if "*" not in s else s for s in r.series)))
    for field, prefix in (("type", "receivers.type"), ("kind", "kind"), ("level", "level")):
        values = getattr(r, field)
        if values is not None:
            said.append(html.Span(", ".join(v.t(f"{prefix}{'_' if field == 'type' else '.'}{x}") for x in values)))
    if r.min_severity != "warning":
        said.append(html.Span(v.t("receivers.from_severity", name=v.t(f"severity.{r.min_severity}"))))
    if isinstance(r, Route) and r.hours is not None:
        said.append(html.Small(v.t("receivers.hours", hours=hours(v.lang, r.hours)), className="muted"))
    if isinstance(r, Route) and r.quiet_hours:
        said.append(html.Small(v.t("receivers.quiet", name=r.quiet_hours), className="muted"))
    return said


def _later(v: View, r: Route, repeat_minutes: float) -> list[Any]:
    again = duration(v.lang, (r.repeat_minutes or repeat_minutes) * MINUTE)
    said: list[Any] = [html.Span(v.t("receivers.again", time=again))]
    for e in sorted(r.escalate, key=lambda x: x.after_minutes):
        who = ", ".join(n.removeprefix(DUTY) for n in e.receivers)
        time = duration(v.lang, e.after_minutes * MINUTE)
        said.append(html.Small(v.t("receivers.escalate", time=time, who=who), className="muted"))
    return said
