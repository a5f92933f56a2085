"""Messages that other systems wrap."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.records import DeadLetter, Document, Entry, Reason, Tombstone
from barometer.settings import MESSAGE_PATH
from ingest.messages.decoding import Decoder

NOW = 1_700_000_000_000
MESSAGE = {"text": "例城农商行门口排起长队", "kind": "comment", "source": "例子论坛"}
PLAIN = json.dumps(MESSAGE, ensure_ascii=False).encode()
FRAMED = b"\0" + struct.pack(">I", 42) + PLAIN


def read(value: Any, *, path: str = "", framed: bool = False) -> Entry:
    decoder = Decoder(1, min_time_ms=0, author_salt=b"s", now_ms=lambda: NOW, path=path, framed=framed)
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return decoder.decode(0, 1, NOW, None, raw, [])


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"schema": {"type": "struct"}, "payload": MESSAGE}, "payload"),
        ({"before": None, "after": MESSAGE, "op": "c"}, "after"),
        ({"schema": {}, "payload": {"before": None, "after": MESSAGE, "op": "u"}}, "payload.after"),
        ({"@timestamp": "2024-05-06T01:30:00Z", "message": PLAIN.decode()}, "message"),
        ({"_index": "posts", "_source": MESSAGE}, "_source"),
        (PLAIN.decode(), "$"),
    ],
)
def test_a_wrapped_message_is_read_by_its_path_and_named_without(value: Any, path: str) -> None:
    entry = read(value, path=path)
    assert isinstance(entry, Document)
    assert (entry.text, entry.source) == (MESSAGE["text"], MESSAGE["source"])
    assert isinstance(plain := read(MESSAGE, path=path), Document), "a message that is not wrapped is read as well"
    assert plain.text == entry.text
    letter = read(value)
    assert isinstance(letter, DeadLetter)
    assert f"message_path={path}" in letter.detail


def test_a_frame_is_taken_off_or_named() -> None:
    assert isinstance(read(FRAMED, framed=True), Document)
    assert isinstance(read(PLAIN, framed=True), Document)
    letter = read(FRAMED)
    assert isinstance(letter, DeadLetter)
    assert "schema 42" in letter.detail
    assert "message_framing=schema_registry" in letter.detail


def test_a_deleted_row_is_a_tombstone() -> None:
    assert isinstance(read({"before": MESSAGE, "after": None, "op": "d"}, path="after"), Tombstone)


def test_a_path_that_leads_nowhere_says_how_far_it_goes() -> None:
    letter = read({"payload": {"body": "x"}}, path="payload.after")
    assert isinstance(letter, DeadLetter)
    assert letter.reason is Reason.TYPE
    assert letter.detail == "message_path payload.after: no field after in payload; fields: body"
    letter = read({"message": "not JSON"}, path="message")
    assert isinstance(letter, DeadLetter)
    assert "message is text, not JSON" in letter.detail


def test_a_message_without_a_text_says_which_fields_it_has() -> None:
    letter = read({"content": "x", "kind": "news"})
    assert isinstance(letter, DeadLetter)
    assert letter.reason is Reason.TEXT_MISSING
    assert "fields: content, kind" in letter.detail


ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=6), lambda x: st.lists(x) | st.dictionaries(st.text(max_size=6), x)
)


@given(ANY, st.from_regex(MESSAGE_PATH, fullmatch=True).filter(lambda p: len(p) < 40), st.booleans())
def test_anything_under_any_path_is_an_entry(value: Any, path: str, framed: bool) -> None:
    assert isinstance(read(value, path=path, framed=framed), Document | DeadLetter | Tombstone)
