"""Why a record is a dead letter, on its way through the decoder."""

from __future__ import annotations

from typing import Any, NoReturn

from barometer.records import Reason


class RejectedRecord(Exception):
    """The record becomes a dead letter for this reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail


def reject_type(field: str, expected: str, found: Any) -> NoReturn:
    """Raises RejectedRecord: a field is of the wrong JSON type."""
    raise RejectedRecord(Reason.TYPE, f"{field} must be {expected}, not {json_type(found)}")


def json_type(value: Any) -> str:
    """What a JSON value is, with its article."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
