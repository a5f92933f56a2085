"""Cells of a row about a series: how it stands against expectation, and how it went."""

from __future__ import annotations

from typing import Any, NamedTuple

from dash import html

from barometer.store.queries import Totals
from dashboard.components.spark import sparkline
from dashboard.context import View
from dashboard.format import number
from dashboard.measure import ODD, pressure


class Change(NamedTuple):
    """A period against expectation, in words. ``tone``: above, below or muted; ``note`` may be empty."""

    text: str
    note: str
    tone: str
    hint: str | None = None


def change(v: View, item: Totals) -> Change:
    if item.expected_negative is None:
        return Change(v.t("overview.learning"), "", "muted", v.t("overview.learning_hint"))
    expected, far = item.expected_negative, pressure(item)
    note = v.t("overview.expected", n=number(v.lang, round(expected, 1) if expected < 10 else round(expected)))
    if abs(far) < ODD:
        return Change(v.t("overview.as_usual"), note, "muted")
    ratio = item.judged_negative / expected if expected >= 0.5 else None
    text = f"×{ratio:.1f}" if ratio is not None else f"+{item.judged_negative - expected:.0f}"
    return Change(("▲ " if far > 0 else "▼ ") + text, note, "above" if far > 0 else "below")


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
