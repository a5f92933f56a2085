"""Messages for producers to send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from barometer.records import MAX_TEXT, fingerprint


def encode(message: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Key and value of a message: the fingerprint of its text in hex, and JSON.

    Nothing is checked: what a collector got is sent as it is, and the worker says what is wrong with it.

    Raises:
        TypeError: a value has no form in JSON.
    """
    text = message.get("text")
    key = fingerprint(stored_text(text)[0] if isinstance(text, str) else "")
    try:
        value = orjson.dumps(message)
    except TypeError:  # lone surrogates, integers beyond 64 bits
        value = json.dumps(dict(message)).encode()
    return b"%016x" % (key & (1 << 64) - 1), value


def stored_text(text: str) -> tuple[str, bool]:
    """The text as it is stored (trimmed, at most MAX_TEXT characters), and whether it had to be cut."""
    trimmed = text.strip()
    return (trimmed, False) if len(trimmed) <= MAX_TEXT else (trimmed[:MAX_TEXT].rstrip(), True)
