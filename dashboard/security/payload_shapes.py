"""What the browser may send for each property that a callback reads: by the component's id where it says more than the
property's name does. A store that is not named here is refused: a new one gets its line in :data:`DATA`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

Text = Annotated[str, Field(max_length=50_000)]
Short = Annotated[str, Field(max_length=500)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
Digits = Annotated[str, Field(pattern=r"^-?[0-9]{1,16}$")]
Clicks = Annotated[int, Field(ge=0, le=2**53)]
Number = Annotated[float, Field(ge=-(2.0**53), le=2.0**53, allow_inf_nan=False)]
Query = dict[Short, Text | None]
"""What stands in the address line."""
SeriesQuery = TypedDict(
    "SeriesQuery",
    {
        "name": Short,
        "range": NotRequired[Text | None],
        "kind": NotRequired[Text | None],
        "voices": NotRequired[Text | None],
        "at": NotRequired[Text | None],
        "from": NotRequired[Text | None],
        "to": NotRequired[Text | None],
    },
)
"""The series, and what stands in its address line."""
Look = dict[Short, Short | None]
Zoom = dict[Annotated[str, Field(pattern="^(from|to)$")], Digits | None]


class AnnotateQuery(TypedDict):
    queue: Short
    series: Short
    text: NotRequired[Text | None]
    doc: NotRequired[Text | None]


class AnnotateAct(TypedDict):
    act: NotRequired[Short | None]
    sentiment: NotRequired[Whole | Short | None]
    topics: NotRequired[list[Short] | None]
    at: NotRequired[Number | None]


class Visit(TypedDict):
    since: Whole | None
    at: Whole


class Why(TypedDict):
    key: Short
    at: NotRequired[Number | None]


class NumberId(TypedDict):
    type: Short
    id: Whole


class ReceiverId(TypedDict):
    type: Short
    name: Short


class StarId(TypedDict):
    type: Short
    name: Short
    place: Short


class WholeId(TypedDict):
    type: Short
    at: Digits
    row: Digits
    q: Text


class Pressed(TypedDict):
    name: NotRequired[Any]
    on: NotRequired[Any]


class Cell(TypedDict):
    value: NotRequired[Pressed | None]


DATA: Mapping[str, Any] = {
    "ui": Look | None,
    "alert-id": Whole,
    "alert-me": Short | None,
    "alerts-me": Short | None,
    "alerts-picked": list[Whole] | None,
    "alerts-query": Query,
    "annotate-act": AnnotateAct | None,
    "annotate-query": AnnotateQuery,
    "annotate-text": Whole | None,
    "documents-newest": Short | None,
    "documents-query": Query,
    "home-visit": Visit,
    "overview-query": Query,
    "overview-version": Short | None,
    "series-drawn": Any,
    "series-point": Whole | None,
    "series-query": SeriesQuery,
    "series-version": Short | None,
    "series-zoom": Zoom | None,
    "silences-past": Short,
    "why-asked": Why | None,
}
"""Of stores."""
VALUES: Mapping[str, Any] = {"account-token-days": Short | Number | None}
"""Of inputs that hold something else than a text."""
IDS: Mapping[str, Any] = {
    "token-revoke": NumberId,
    "silence-end": NumberId,
    "receiver-test": ReceiverId,
    "star": StarId,
    "whole": WholeId,
}
"""Of components of which there are many, by their type."""
PROPERTIES: Mapping[str, Any] = {
    "n_clicks": Clicks | None,
    "n_intervals": Clicks | None,
    "value": Text | None,
    "checked": bool | None,
    "opened": bool | None,
    "pathname": Text | None,
    "search": Text | None,
    "href": Text | None,
    "children": Any,
    "id": Any,
    "cellRendererData": Cell | None,
    "relayoutData": dict[Short, Any] | None,
}
_STRICT = ConfigDict(strict=True)


def _adapter(shape: Any) -> TypeAdapter[Any]:
    named = isinstance(shape, type) and hasattr(shape, "__total__")  # a TypedDict takes no configuration from outside
    return TypeAdapter(shape) if named else TypeAdapter(shape, config=_STRICT)


_SHAPES = {
    **{("data", name): _adapter(shape) for name, shape in DATA.items()},
    **{("value", name): _adapter(shape) for name, shape in VALUES.items()},
    **{("id", name): _adapter(shape) for name, shape in IDS.items()},
}
_OTHERS = {name: _adapter(shape) for name, shape in PROPERTIES.items()}


def shape_of(id_: str, property_: str) -> TypeAdapter[Any] | None:
    """What a property may hold, or None where nothing is said about it.

    Args:
        id_: the component's id; the type of those of which there are many.
    """
    return _SHAPES.get((property_, id_)) or _OTHERS.get(property_)
