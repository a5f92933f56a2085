"""Records that a stream should not hold, and some that it should: seeded mutations of valid messages.

``record(i, seed)`` is a function of its arguments. About two in five are valid (documents, revisions, repeats,
progress); the others are broken in one way or several: their bytes, their JSON, headers, record times.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import orjson

from barometer.records import PROGRESS_HEADER, REPLAY_HEADER
from bench.filling import Record
from bench.stream_texts import message

T0 = 1_760_000_400_000
FIELDS = ("text", "kind", "title", "url", "source", "lang", "id", "author", "published_at", "symbols", "engagement")
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    2**63,
    2**64,
    -(2**63) - 1,
    10**30,
    "",
    " ",
    "\x00",
    "\ud800",
    "a\x00b",
    "跌" * 30_000,
    [],
    {},
    [[]],
    [None, 3, "x" * 99],
    {"likes": -1},
    {"likes": 2**70, "": 1},
    ["600519"] * 99,
    "9999-99-99T99:99:99Z",
    "1970-01-01T00:00:00Z",
    "2025-10-01T09:30:00",
    "😀" * 40,
    "\u202e反",
    "<script>alert(1)</script>",
    "'; DROP TABLE documents",
)
TIMES = (0, 1, 946_684_799_999, 946_684_800_000, 4_102_444_800_000, 2**53, 2**62)
NAMES = ("x", "", "content-type", PROGRESS_HEADER, REPLAY_HEADER, PROGRESS_HEADER.upper(), "头", "a" * 300)
CONTENTS = (b"", b"1", b"-1", b"9" * 19, b"9" * 40, b"abc", b"\xff\xfe", b"\x00", b" 77 ")


def record(i: int, seed: int) -> Record:
    """Record ``i`` of the stream."""
    r = Random(seed * 1_000_003 + i)
    at = T0 + i * 40
    m = message(i, seed)
    roll = r.random()
    if roll < 0.30:
        return Record(orjson.dumps(m), at, key=b"k")
    if roll < 0.36:  # repeats and revisions: few identities, few texts
        m |= {"id": f"d{r.randrange(300)}", "text": f"修订 {r.randrange(3)}", "title": None}
        return Record(orjson.dumps(m), at + r.randrange(-90_000, 90_000))
    if roll < 0.39:
        t = at - r.randrange(0, 600_000)
        return Record(orjson.dumps({"t": t, "writer": "fuzz", "term": 1}), at, headers=((PROGRESS_HEADER, b"1"),))
    if roll < 0.41:
        return Record(None, at, key=b"gone")
    if roll < 0.60:
        return Record(_bytes(r, orjson.dumps(m), i, seed), at)
    if roll < 0.85:
        return Record(_structure(r, m), at)
    headers = tuple((r.choice(NAMES), r.choice(CONTENTS)) for _ in range(r.randrange(4)))
    value = orjson.dumps(m) if r.random() < 0.7 else _structure(r, m)
    return Record(value, r.choice(TIMES) if r.random() < 0.5 else at, headers=headers)


def _bytes(r: Random, value: bytes, i: int, seed: int) -> bytes:
    data = bytearray(value)
    for _ in range(r.randrange(1, 4)):
        at = r.randrange(len(data) + 1)
        how = r.randrange(7)
        if how == 0 and at < len(data):
            data[at] ^= 1 << r.randrange(8)
        elif how == 1:
            data[at:at] = bytes(r.randrange(256) for _ in range(r.randrange(1, 9)))
        elif how == 2:
            del data[at : at + r.randrange(1, 30)]
        elif how == 3:
            del data[at:]
        elif how == 4:
            data[at:at] = data[: r.randrange(len(data) + 1)]
        elif how == 5:
            other = orjson.dumps(message(i + 1, seed))
            data[at:] = other[r.randrange(len(other)) :]
        else:
            data[at:at] = r.choice(
                (b"\x00", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud83d", b"[" * 300, b'{"a":' * 99)
            )
        if len(data) > 200_000:
            break
    return bytes(data)


def _structure(r: Random, m: dict[str, Any]) -> bytes:
    for _ in range(r.randrange(1, 4)):
        name = r.choice(FIELDS)
        how = r.randrange(6)
        if how == 0:
            m.pop(name, None)
        elif how == 1:
            m[name] = r.choice(ODD)
        elif how == 2:
            m[r.choice(("extra", "", "\x00", "字段", "Text", "t" * 500))] = r.choice(ODD)
        elif how == 3:
            m[name] = _nested(r, r.choice((3, 70, 500)))
        elif how == 4:
            m[name] = {"value": m.get(name)} if r.random() < 0.5 else [m.get(name)]
        else:
            m["published_at"] = r.choice(ODD)
    style = r.random()
    if style < 0.7:
        return json.dumps(m, ensure_ascii=r.random() < 0.5).encode("utf-8", "surrogatepass")
    if style < 0.8:  # a name twice
        return b'{"kind": 5, "text": [],' + json.dumps(m).encode()[1:]
    if style < 0.9:
        codec = r.choice(("utf-16", "gb18030", "latin-1"))
        return json.dumps(m, ensure_ascii=False).encode(codec, "replace")
    return json.dumps([m] if style < 0.95 else json.dumps(m)).encode()


def _nested(r: Random, depth: int) -> Any:
    value: Any = 1
    wrap: Callable[[Any], Any] = (lambda v: [v]) if r.random() < 0.5 else (lambda v: {"a": v})
    for _ in range(depth):
        value = wrap(value)
    return value
