"""Sparklines as masks: a shape in a data URI, coloured by the style sheet, so that they follow the theme for free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dash import html

from dashboard.components.parts import aria

WIDTH, HEIGHT = 120, 32


def sparkline(values: Sequence[float], expected: Sequence[float | None], label: str) -> Any:
    """Values as a filled line, the expectation as a thin one behind it.

    Args:
        values: one for each step, oldest first.
        expected: the same length; None where there is none.
        label: what a screen reader says.
    """
    top = max([*values, *(e for e in expected if e is not None), 1.0]) * 1.08
    n = max(1, len(values) - 1)

    def at(i: int, value: float) -> str:
        return f"{i * WIDTH / n:.1f} {HEIGHT - 1 - value / top * (HEIGHT - 2):.1f}"

    line = "M" + "L".join(at(i, x) for i, x in enumerate(values))
    area = f"{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z"
    usual = "".join(
        ("L" if i and expected[i - 1] is not None else "M") + at(i, e) for i, e in enumerate(expected) if e is not None
    )
    layers = [_layer("spark-area", f'<path d="{area}"/>')]
    if usual:
        layers.append(_layer("spark-expected", f'<path d="{usual}" {_STROKE} stroke-width="1.4"/>'))
    layers.append(_layer("spark-line", f'<path d="{line}" {_STROKE} stroke-width="1.8"/>'))
    return html.Div(layers, className="spark", role="img", **aria(label=label))


_STROKE = 'fill="none" stroke="#000" stroke-linejoin="round" vector-effect="non-scaling-stroke"'


def _layer(name: str, shape: str) -> Any:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
    svg = f"{head}{shape}</svg>"
    uri = f'url("data:image/svg+xml,{quote(svg, safe="/:=")}")'
    return html.Div(className=name, style={"maskImage": uri, "WebkitMaskImage": uri})
