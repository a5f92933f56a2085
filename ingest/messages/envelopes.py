"""Messages that other systems wrap: a schema registry's frame, a change event of Debezium, Kafka Connect's schema and
payload, a shipper's line of text. The settings ``message_framing`` and ``message_path`` say how to get at the message;
where they are not set, :func:`hint` says what a record looks like, so that its dead letter tells what to do.

Sources: Confluent's wire format (a zero byte and four bytes of the schema's id), Debezium's event value (``before``,
``after``, ``op``), Connect's JsonConverter (``schema``, ``payload``), Elastic Beats (``@timestamp``, ``message``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

FRAME = 5
"""Bytes of a schema registry's frame: a zero and the schema's id, big-endian."""
ITSELF = "$"
"""The path of a message that is not wrapped, but may be a JSON text inside a JSON text."""
_MOST_FIELDS = 12
_FRAME_HINT = (
    "it begins with a schema registry's frame (schema {id}): set message_framing=schema_registry if it is JSON"
)
_KNOWN: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset(["schema", "payload"]), "a Kafka Connect envelope", "payload"),
    (frozenset(["before", "after", "op"]), "a Debezium change event", "after"),
    (frozenset(["@timestamp", "message"]), "a Beats or Logstash event", "message"),
    (frozenset(["_index", "_source"]), "an Elasticsearch hit", "_source"),
    (frozenset(["specversion", "data"]), "a CloudEvent", "data"),
)


class NotThere(Exception):
    """The path leads to nothing; the text says how far it goes and what is there."""


def without_frame(value: bytes) -> bytes:
    """A value without a schema registry's frame, if it has one."""
    return value[FRAME:] if value[:1] == b"\0" and len(value) > FRAME else value


def unwrapped(message: Any, path: str) -> Any:
    """What lies at a path: field names with dots between them; text on the way is read as JSON. None where the path
    ends in null. A message that has a ``text`` of its own and not the path was not wrapped, and is taken as it is.

    >>> unwrapped({"payload": {"after": {"text": "涨了"}}}, "payload.after"), unwrapped('{"text": "涨了"}', "$")
    ({'text': '涨了'}, {'text': '涨了'})

    Raises:
        NotThere: there is no such field, or text on the way is not JSON.
    """
    at = message
    names = [] if path == ITSELF else path.split(".")
    for i, name in enumerate(names):
        at = _read(at, ".".join(names[:i]))
        if at is None:
            return None
        if type(at) is not dict or name not in at:
            if type(message) is dict and type(message.get("text")) is str:
                return message
            here = f"in {'.'.join(names[:i])}" if i else "in the message"
            raise NotThere(f"message_path {path}: no field {name} {here}; {_fields(at)}")
        at = at[name]
    return _read(at, path)


def hint(value: bytes, message: Any = None) -> str:
    """What a record that is no message looks like, and what to set; empty if nothing is known.

    Args:
        message: its JSON, where it is JSON.
    """
    if value[:1] == b"\0" and len(value) > FRAME:
        return _FRAME_HINT.format(id=int.from_bytes(value[1:FRAME], "big"))
    if type(message) is str and message.lstrip()[:1] in ("{", "["):
        return f"it is JSON inside a JSON string: set message_path={ITSELF}, or send the object itself"
    if type(message) is list:
        return "send one text a record"
    if type(message) is dict:
        said = _fields(message)
        return f"{said}; {_envelope(message)}" if _envelope(message) else said
    return ""


def _envelope(message: Mapping[str, Any]) -> str:
    for names, what, path in _KNOWN:
        if names <= message.keys():
            inner = message[path]
            deeper = f"{path}.after" if type(inner) is dict and {"before", "after"} <= inner.keys() else path
            return f"it looks like {what}: set message_path={deeper}"
    for name, inner in message.items():
        if type(inner) is dict and type(inner.get("text")) is str:
            return f"there is a text in {name}: set message_path={name}"
    return ""


def _fields(at: Any) -> str:
    if type(at) is not dict:
        return f"there is {'a list' if type(at) is list else type(at).__name__}"
    names = [str(n)[:40] for n in at]
    more = f" and {len(names) - _MOST_FIELDS} more" if len(names) > _MOST_FIELDS else ""
    return f"fields: {', '.join(names[:_MOST_FIELDS])}{more}" if names else "it has no fields"


def _read(at: Any, where: str) -> Any:
    if type(at) is not str:
        return at
    try:
        return orjson.loads(at)
    except orjson.JSONDecodeError:
        place = f"{where} is" if where else "it is"
        raise NotThere(f"message_path: {place} text, not JSON") from None
