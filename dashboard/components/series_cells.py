"""Cells of a row about a series: how it stands against expectation, and how it went."""

from __future__ import annotations

from typing import Any, NamedTuple

from dash import html

from barometer.standing import Standing
from barometer.store.series.totals import Totals
from dashboard.components.spark import sparkline
from dashboard.context import View
from dashboard.format import number
from dashboard.services.measure import standing

_TIMES = 10.0
"""A ratio beyond this is of next to nothing: its figure says no more."""


class Change(NamedTuple):
    """A period against expectation, in words. ``tone``: above, below or muted; ``note`` may be empty."""

    text: str
    note: str
    tone: str
    hint: str | None = None


def change(v: View, item: Totals) -> Change:
    return change_of(v, standing(item))


def change_of(v: View, found: Standing) -> Change:
    """In words; always a ratio where something is said, so that rows can be compared."""
    if found.way == "unknown":
        return Change(v.t("overview.learning"), "", "muted", v.t("overview.learning_hint"))
    note = v.t("overview.expected", n=expected_figure(v, found.expected))
    if found.way == "few":
        return Change("–", note, "muted", v.t("overview.too_few"))
    hint = None
    if found.low is not None and found.high is not None:
        hint = v.t("overview.interval", low=_times(found.low), high=_times(found.high))
    if found.way == "usual":
        return Change(v.t("overview.as_usual"), note, "muted", hint)
    sign = "▲ " if found.way == "above" else "▼ "
    return Change(sign + _times(found.ratio), note, found.way, hint)


def expected_figure(v: View, expected: float) -> str:
    """With a decimal where whole numbers would say too little."""
    return number(v.lang, round(expected, 1) if expected < 10 else round(expected))


def _times(ratio: float | None) -> str:
    return f"×{_TIMES:.0f}+" if ratio is None or ratio >= _TIMES else f"×{ratio:.1f}"


def change_cell(v: View, item: Totals) -> list[Any]:
    c = change(v, item)
    return [html.Span(c.text, className=f"num {c.tone}", title=c.hint), html.Small(c.note) if c.note else None]


def trend_cell(v: View, item: Totals, name: str, steps: int) -> Any:
    """The sparkline of the negatives over their expectation."""
    if not item.total:
        return html.Span("–", className="muted cell-spark")
    points = [item.points.get(i, (0.0, 0.0, 0.0, 0.0)) for i in range(steps)]
    known = item.expected_negative is not None
    return sparkline(
        [p[0] for p in points], [p[2] if known else None for p in points], v.t("overview.trend_of", name=name)
    )
