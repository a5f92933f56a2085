"""The optional fields of a message: what can be mended is mended and flagged."""

from __future__ import annotations

import re
from typing import Any

from barometer.counts import read_count
from barometer.records import MAX_SYMBOLS, Flag
from barometer.times import parse_rfc3339
from ingest.messages.limits import MAX_COUNT, MAX_COUNTS, MAX_LENGTHS, MAX_SYMBOL
from ingest.messages.rejections import reject_type
from models.text.language import normalise_code

_LANG = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,4}")
_COUNT_NAME = re.compile(r"\w{1,64}")


class OptionalFields:
    """Takes the optional fields out of a message; notes in ``flags`` what it had to mend.

    A field of the wrong JSON type rejects the message; a part of a field that cannot be used is dropped. null and an
    empty string are the same as a field that is not there.
    """

    __slots__ = ("flags",)

    def __init__(self, flags: Flag) -> None:
        self.flags = flags

    def string(self, message: dict[str, Any], name: str) -> str | None:
        value = message.pop(name, None)
        if value is None:
            return None
        if type(value) is not str:
            reject_type(name, "a string", value)
        return value.strip() or None

    def cut(self, name: str, value: str | None) -> str | None:
        if value is None or len(value) <= MAX_LENGTHS[name]:
            return value
        self.flags |= Flag.FIELD_DROPPED
        return value[: MAX_LENGTHS[name]]

    def lang(self, message: dict[str, Any]) -> str | None:
        """As it came where it looks like a tag, else the code of a name that people write (``中文``)."""
        value = self.string(message, "lang")
        if value is None or _LANG.fullmatch(value):
            return value
        code = normalise_code(value)
        if code is None:
            self.flags |= Flag.FIELD_DROPPED
        return code

    def published_at(self, message: dict[str, Any], earliest: int, latest: int) -> int | None:
        value = self.string(message, "published_at")
        if value is None:
            return None
        time_ms = parse_rfc3339(value)
        if time_ms is not None and earliest <= time_ms <= latest:
            return time_ms
        self.flags |= Flag.PUBLISHED_AT_DROPPED
        return None

    def symbols(self, message: dict[str, Any]) -> list[str]:
        value = message.pop("symbols", None)
        if value is None:
            return []
        if type(value) is not list:
            reject_type("symbols", "a list of strings", value)
        seen: dict[str, None] = {}
        for each in value:
            symbol = each.strip() if type(each) is str else ""
            if not symbol or len(symbol) > MAX_SYMBOL:
                self.flags |= Flag.FIELD_DROPPED
            else:
                seen[symbol] = None
        if len(seen) > MAX_SYMBOLS:
            self.flags |= Flag.SYMBOLS_CUT
        return list(seen)[:MAX_SYMBOLS]

    def engagement(self, message: dict[str, Any]) -> dict[str, int] | None:
        value = message.pop("engagement", None)
        if value is None:
            return None
        if type(value) is not dict:
            reject_type("engagement", "an object of counts", value)
        counts: dict[str, int] = {}
        for name, count in value.items():
            if count is None:
                continue
            if type(count) is not int:
                count = read_count(count)  # noqa: PLW2901
            usable = type(count) is int and 0 <= count <= MAX_COUNT and _COUNT_NAME.fullmatch(name)
            if usable and len(counts) < MAX_COUNTS:
                counts[name] = count
            else:
                self.flags |= Flag.FIELD_DROPPED
        return counts or None
