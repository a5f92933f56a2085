"""The list of silences, and the form that makes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html
from sqlalchemy import Row

from barometer.hours import Window, end_of_hours
from barometer.vocabulary import SEVERITIES
from dashboard.components.alert_forms import SILENCES, spans
from dashboard.components.date_fields import moment
from dashboard.components.parts import aria, empty, section, table
from dashboard.context import View, context
from dashboard.format import ago, clock, duration, hours
from dashboard.i18n.texts import series_name

SCOPES = ("series", "pattern", "source", "word")
CUSTOM = "custom"
HOURS = ("workday 22:00-08:00", "day_off 00:00-24:00", "all 02:00-04:00")
"""To choose from; others can be typed."""


def silence_table(
    v: View, rows: Sequence[Row[Any]], covered: Mapping[int, Sequence[int]], now: int, may_act: bool
) -> Any:
    """Silences, one a row.

    Args:
        covered: the alerts that each keeps quiet now.
    """
    if not rows:
        return empty(v.t("silences.none"), v.t("silences.none_hint"), "mute")
    heads = [
        (v.t("silences.what"), "grow"),
        (v.t("silences.state"), ""),
        (v.t("silences.period"), "num"),
        (v.t("silences.who"), ""),
        (v.t("silences.keeps"), ""),
    ]
    out = []
    for row in rows:
        cells = [
            html.Div([html.Strong(_what(v, row)), html.Small(row.comment, className="muted")], className="two"),
            _state(v, row, now),
            html.Div(
                [
                    html.Span(f"{clock(row.starts_at, context().zone, now)} →"),
                    html.Span(clock(row.ends_at, context().zone, now)),
                    html.Small(hours(v.lang, map(Window.of, row.windows or [])), className="muted"),
                ],
                className="two",
            ),
            html.Div(
                [html.Span(row.created_by), html.Small(ago(v.lang, row.created_at, now), className="muted")],
                className="two",
            ),
            html.Div(
                [dcc.Link(f"#{n}", href=f"/alerts/{n}") for n in covered.get(row.id, ())] or "–", className="marks"
            ),
        ]
        if may_act:
            cells.append(
                html.Button(
                    v.t("silences.end"),
                    id={"type": "silence-end", "id": row.id},
                    type="button",
                    className="link-button",
                    **aria(label=v.t("silences.end_one", what=_what(v, row))),
                )
                if row.ends_at > now
                else ""
            )
        out.append(cells)
    return table([*heads, *([("", "")] if may_act else [])], out)


def silence_form(v: View, series: Sequence[str], sources: Sequence[str]) -> Any:
    """Fields for a new one."""
    whole = [{"value": "*", "label": v.t("silences.everything")}]
    upto = [{"value": "", "label": v.t("field.severity_any")}]
    upto += [{"value": s, "label": v.t("field.severity_up_to", name=v.t(f"severity.{s}"))} for s in SEVERITIES[:2]]
    field: dict[str, Any] = {"size": "sm"}
    return section(
        v.t("silences.new"),
        html.Div(
            [
                html.P(v.t("silences.new_hint"), className="note"),
                html.Div(
                    [
                        dmc.Select(
                            id="silence-scope",
                            label=v.t("field.scope"),
                            value="series",
                            allowDeselect=False,
                            data=[{"value": s, "label": v.t(f"silences.by_{s}")} for s in SCOPES],
                            **field,
                        ),
                        html.Div(
                            dmc.Select(
                                id="silence-series",
                                label=v.t("silences.series"),
                                searchable=True,
                                placeholder=v.t("silences.choose"),
                                value=None,
                                **field,
                                data=[*({"value": s, "label": series_name(v.lang, s)} for s in series), *whole],
                            ),
                            id="silence-series-box",
                        ),
                        html.Div(
                            dmc.Autocomplete(
                                id="silence-value",
                                label=v.t("silences.value"),
                                data=list(sources),
                                value="",
                                limit=20,
                                placeholder="topic:credit_*",
                                **field,
                            ),
                            id="silence-value-box",
                            hidden=True,
                        ),
                        dmc.Select(
                            id="silence-until",
                            label=v.t("field.for"),
                            value="4h",
                            allowDeselect=False,
                            data=[*spans(v, SILENCES), {"value": CUSTOM, "label": v.t("silences.until_time")}],
                            **field,
                        ),
                        html.Div(
                            moment(v, "silence-end-at", v.t("silences.end_at")), id="silence-end-box", hidden=True
                        ),
                    ],
                    className="fields",
                ),
                dmc.TextInput(
                    id="silence-why",
                    label=v.t("field.why"),
                    placeholder=v.t("field.why_hint"),
                    value="",
                    attributes={"input": {"maxLength": 2000}},
                    **field,
                ),
                html.Details(
                    [
                        html.Summary(v.t("field.more")),
                        html.Div(
                            [
                                moment(v, "silence-start", v.t("silences.start")),
                                dmc.Select(
                                    id="silence-severity",
                                    label=v.t("field.severity"),
                                    value="",
                                    allowDeselect=False,
                                    data=upto,
                                    **field,
                                ),
                                dmc.Autocomplete(
                                    id="silence-hours",
                                    label=v.t("field.hours"),
                                    data=list(HOURS),
                                    value="",
                                    placeholder=HOURS[0],
                                    **field,
                                ),
                            ],
                            className="fields",
                        ),
                    ],
                    className="more-filters",
                ),
                html.Div(html.Button(v.t("silences.make"), id="silence-make", className="button primary")),
            ],
            className="form",
        ),
    )


def _what(v: View, row: Row[Any]) -> str:
    """What it keeps quiet, as people say it."""
    parts = []
    if row.series == "*":
        parts.append(v.t("silences.everything"))
    elif row.series:
        name = row.series.replace("[*]", "*").replace("[?]", "?").replace("[[]", "[")
        parts.append(series_name(v.lang, name) if name == row.series or "*" not in name else name)
    parts += [v.t(f"silences.of_{x}", name=getattr(row, x)) for x in ("source", "word") if getattr(row, x)]
    if row.severity:
        parts.append(v.t("silences.up_to", name=v.t(f"severity.{row.severity}")))
    return " · ".join(parts)


def _state(v: View, row: Row[Any], now: int) -> Any:
    if row.expired_by:
        return html.Span(v.t("silences.ended_by", name=row.expired_by), className="pill quiet")
    if row.ends_at <= now:
        return html.Span(v.t("silences.over"), className="pill quiet")
    if row.starts_at > now:
        said = v.t("silences.begins", time=duration(v.lang, row.starts_at - now))
        return html.Span(said, className="pill severity-info")
    ctx = context()
    windows = [Window.of(w) for w in row.windows or []]
    if windows and end_of_hours(windows, now, ctx.zone, ctx.workdays) is None:
        return html.Span(v.t("silences.not_now"), className="pill severity-info")
    return html.Span(v.t("silences.holds"), className="pill state-acknowledged")
