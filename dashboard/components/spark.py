"""Sparklines as masks: a shape in a data URI, coloured by the style sheet, so that they follow the theme for free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dash import html

from dashboard.components.parts import aria

STEP, HEIGHT = 5, 64
"""Units of the drawing: whole numbers, since it is sent again every few seconds."""


def sparkline(values: Sequence[float], expected: Sequence[float | None], label: str) -> Any:
    """Values as a filled line, the expectation as a thin one behind it.

    Args:
        values: one for each step, oldest first.
        expected: the same length; None where there is none.
        label: what a screen reader says.
    """
    top = max([*values, *(e for e in expected if e is not None), 1.0]) * 1.08
    width = max(1, len(values) - 1) * STEP

    def at(i: int, value: float) -> str:
        return f"{i * STEP},{HEIGHT - 2 - value / top * (HEIGHT - 4):.0f}"

    line = "M" + "L".join(at(i, x) for i, x in enumerate(values))
    usual = "".join(
        ("L" if i and expected[i - 1] is not None else "M") + at(i, e) for i, e in enumerate(expected) if e is not None
    )
    layers = [_layer("spark-area", width, f'<path d="{line}V{HEIGHT}H0Z"/>')]
    if usual:
        layers.append(_layer("spark-expected", width, f'<path d="{usual}" {_STROKE} stroke-width="1.4"/>'))
    layers.append(_layer("spark-line", width, f'<path d="{line}" {_STROKE} stroke-width="1.8"/>'))
    return html.Div(layers, className="spark", role="img", **aria(label=label))


_STROKE = 'fill="none" stroke="#000" stroke-linejoin="round" vector-effect="non-scaling-stroke"'


def _layer(name: str, width: int, shape: str) -> Any:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" preserveAspectRatio="none">'
    uri = f'url("data:image/svg+xml,{quote(head + shape + "</svg>", safe="/:=,")}")'
    return html.Div(className=name, style={"maskImage": uri})
