"""JSON: one object a line, or one array of objects, read as it comes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, TextIO

import orjson

from barometer.errors import BarometerError
from barometer.files.delimited import MAX_CELL, not_decoded
from barometer.files.encodings import NOT_DECODED
from barometer.files.rows import BadRow, FileRow, Rows

_BETWEEN = re.compile(r"[\s,]*")
_CHUNK = 1 << 16


def json_lines(path: str, lines: Iterable[str]) -> Rows:
    """One object a line; empty lines are passed over."""
    for number, line in enumerate(lines, 1):
        text = line.removeprefix("\ufeff")  # files put one behind the other have several
        if not text.strip():
            continue
        if NOT_DECODED.search(text):
            yield BadRow(not_decoded(path, number))
            continue
        try:
            yield _row(path, number, _loaded(text))
        except (ValueError, RecursionError) as e:
            yield BadRow(f"{path}:{number}: not JSON: {e}", "broken_json")


def json_values(path: str, stream: TextIO) -> Rows:
    """The objects of an array, or objects one behind the other, however they are broken into lines.

    Raises:
        BarometerError: what is not JSON: behind it nobody knows where the next object begins.
    """
    decoder = json.JSONDecoder()
    text, at, line, size, ended = "", 0, 1, _CHUNK, False
    inside = False
    while True:
        begin = _BETWEEN.match(text, at)
        assert begin is not None
        line += text.count("\n", at, begin.end())
        at = begin.end()
        if not inside and at < len(text) and text[at] in "[\ufeff":
            inside = text[at] == "["
            at += 1
            continue
        if at < len(text) and text[at] == "]" and inside:
            rest = (text[at + 1 :] + stream.read(_CHUNK)).strip()
            if rest:
                raise BarometerError(f"{path}:{line}: something follows the end of the array: {rest[:40]!r}")
            return
        if at == len(text) and ended:
            if inside:
                raise BarometerError(f"{path}:{line}: the array is not closed: is the file whole?")
            return
        if at < len(text):
            try:
                value, end = decoder.raw_decode(text, at)
                if end < len(text) or ended:
                    here, line = line, line + text.count("\n", at, end)
                    part = text[at:end]
                    yield BadRow(not_decoded(path, here)) if NOT_DECODED.search(part) else _row(path, here, value)
                    at, size = end, _CHUNK
                    continue
            except (ValueError, RecursionError) as e:
                if ended or len(text) - at > MAX_CELL or isinstance(e, RecursionError):
                    raise BarometerError(f"{path}:{line}: not JSON: {e}") from None
        more = stream.read(size)
        ended, size = not more, size * 2
        text, at = text[at:] + more, 0


def _row(path: str, line: int, value: object) -> FileRow | BadRow:
    if isinstance(value, dict):
        return FileRow(path, line, value, False)
    return BadRow(f"{path}:{line}: not a JSON object", "wrong_type")


def _loaded(line: str) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return json.loads(line)  # lone surrogates: the worker mends and flags them
