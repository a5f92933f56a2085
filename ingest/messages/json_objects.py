"""A record's value as a JSON object that the store can hold.

PostgreSQL stores neither NUL nor lone surrogates, so nothing that leaves here holds one.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import orjson

from barometer.records import Flag, Reason
from ingest.messages import envelopes
from ingest.messages.limits import MAX_DEPTH, MAX_EXTRA_BYTES, MAX_VALUE_BYTES
from ingest.messages.rejections import RejectedRecord, json_type

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BOM = b"\xef\xbb\xbf"


def parse_object(value: bytes) -> tuple[dict[str, Any], Flag]:
    """The message as an object that can be stored, and whether characters had to be replaced."""
    message, flags = parse_json(value)
    return as_object(message, value), flags


def parse_json(value: bytes) -> tuple[Any, Flag]:
    if len(value) > MAX_VALUE_BYTES:
        raise RejectedRecord(Reason.TOO_LARGE, f"{len(value):,} bytes; at most {MAX_VALUE_BYTES:,} are read")
    flags = Flag(0)
    try:
        message = orjson.loads(value)
        suspicious = b"\\u0000" in value
    except orjson.JSONDecodeError:
        message = _mend_and_parse(value)
        suspicious = True
    if suspicious:
        message, flags = _without_unstorable(message)
    return message, flags


def as_object(message: Any, value: bytes) -> dict[str, Any]:
    if type(message) is not dict:
        said = "; ".join(filter(None, [f"not {json_type(message)}", envelopes.hint(value, message)]))
        raise RejectedRecord(Reason.TYPE, f"the message must be an object, {said}")
    return message


def _mend_and_parse(value: bytes) -> Any:
    """For what orjson refuses: a byte order mark and lone surrogates can be mended; the rest is broken."""
    try:
        text = value.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as e:
        raise RejectedRecord(Reason.ENCODING, _with_hint(f"not UTF-8 at byte {e.start}", value)) from None
    try:
        return json.loads(text, parse_int=_number, parse_constant=_constant)
    except RecursionError:
        raise RejectedRecord(Reason.JSON, "nested too deeply") from None
    except ValueError as e:
        raise RejectedRecord(Reason.JSON, _with_hint(str(e), value)) from None


def _with_hint(what: str, value: bytes) -> str:
    return "; ".join(filter(None, [what, envelopes.hint(value)]))


def _number(digits: str) -> int | float:
    # As orjson does: beyond 64 bits a number is a double.
    if len(digits) < 21:
        number = int(digits)
        if -(1 << 63) <= number < 1 << 64:
            return number
    return float(digits)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_unstorable(message: Any) -> tuple[Any, Flag]:
    flags = Flag(0)

    def string(s: str) -> str:
        nonlocal flags
        clean, replaced = UNSTORABLE.subn("\ufffd", s)
        if replaced:
            flags |= Flag.CHARACTERS_REPLACED
        return clean

    def walk(value: Any, depth: int) -> Any:
        nonlocal flags
        if depth > MAX_DEPTH:
            raise RejectedRecord(Reason.JSON, f"nested deeper than {MAX_DEPTH} levels")
        if type(value) is str:
            return string(value)
        if type(value) is dict:
            return {string(k): walk(v, depth + 1) for k, v in value.items()}
        if type(value) is list:
            return [walk(v, depth + 1) for v in value]
        if type(value) is float and not math.isfinite(value):
            flags |= Flag.FIELD_DROPPED  # a number too large for a double
            return None
        return value

    return walk(message, 0), flags


def storable_extra(rest: dict[str, Any], value_length: int) -> dict[str, Any] | None:
    """The unknown fields, if the store can hold them."""
    if not rest:
        return None
    if any(type(v) is dict or type(v) is list for v in rest.values()):
        _check_depth(rest)
    if value_length > MAX_EXTRA_BYTES and (size := len(orjson.dumps(rest))) > MAX_EXTRA_BYTES:
        raise RejectedRecord(
            Reason.TOO_LARGE, f"unknown fields of {size:,} bytes; at most {MAX_EXTRA_BYTES:,} are kept"
        )
    return rest


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise RejectedRecord(Reason.JSON, f"nested deeper than {MAX_DEPTH} levels")
