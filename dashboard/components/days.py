"""Days off on a chart's axis of time: shaded, since fewer texts are expected of them; holidays and working weekends
(调休) carry the signs of Chinese calendars, 休 and 班."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from barometer.workdays import Workdays
from dashboard.context import DAY, View
from dashboard.format import local

LONGEST_MS = 40 * DAY
"""A longer period shows no days: they would be a few pixels wide."""


def day_shapes(
    v: View, window: tuple[int, int], zone: ZoneInfo, workdays: Workdays, color: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rectangles of plotly for the days off of a window, neighbours joined, and signs on the days whose kind the
    weekday does not say.

    Args:
        window: begin and end, epoch ms.
    """
    if window[1] - window[0] > LONGEST_MS:
        return []
    begin, end = local(window[0], zone), local(window[1], zone)
    day = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    shapes: list[dict[str, Any]] = []
    joined: dict[str, Any] | None = None
    while day < end:
        following = day + timedelta(days=1)  # by the wall clock
        works, weekend = workdays.is_workday(day.date()), day.weekday() >= 5
        a, b = _wall(max(day, begin)), _wall(min(following, end))
        if works:
            joined = None
        elif joined is not None:
            joined["x1"] = b
        else:
            joined = _rectangle(a, b, color["day_off"])
            shapes.append(joined)
        if works == weekend:
            shapes.append(
                {
                    **_rectangle(a, b, "rgba(0,0,0,0)"),
                    "label": {
                        "text": v.t("days.working" if works else "days.off"),
                        "textposition": "bottom left",
                        "padding": 3,
                        "font": {"size": 11, "color": color["muted"]},
                    },
                }
            )
        day = following
    return shapes


def _wall(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def _rectangle(a: str, b: str, fill: str) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": a,
        "x1": b,
        "y0": 0,
        "y1": 1,
        "fillcolor": fill,
        "line": {"width": 0},
        "layer": "below",
    }
