"""What requests and answers of the API are made of; the OpenAPI document is generated from these models.

Times are UTC epoch milliseconds. Row ids are strings: they do not fit the numbers of JSON readers.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Time = Annotated[int, Field(description="UTC epoch milliseconds")]
RangeName = Literal["15m", "1h", "6h", "24h", "7d", "30d", "90d", "365d"]
Count = Annotated[int, Field(ge=0)]


class Asked(BaseModel):
    """Of a request. A field that is unknown is an error, so that a typing mistake does not pass for a filter.

    ``says``: which text of the screens (``refused.KEY``) says what is wrong with a field.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=False)
    says: ClassVar[dict[str, str]] = {}


class Answer(BaseModel):
    """Of an answer."""

    # Written by our own code from rows of the store: read from objects, and as lenient as their types.
    model_config = ConfigDict(from_attributes=True)


class Error(Answer):
    """Every refusal has this form."""

    error: str = Field(description="what is wrong, in English")
    error_zh: str | None = Field(None, description="the same in Chinese, where it is said to people")
    code: str = Field(description="stable; for programs")
    field: str | None = Field(None, description="which parameter or field, where one is to blame")


class Nothing(Asked):
    """No fields."""


class Probabilities(Answer):
    negative: float
    neutral: float
    positive: float


Json = dict[str, Any]
