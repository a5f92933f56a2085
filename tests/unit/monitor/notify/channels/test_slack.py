from __future__ import annotations

import doctest
import json
import re
from typing import Any

from monitor.notify.channels.slack import sender
from monitor.notify.message import Message
from tests.support.channel_samples import elements, message, over, request_of


def harmless(body: Any, m: Message) -> None:
    """Only elements that are not parsed, no link but ours; the line for notifications is escaped."""
    blocks = elements(body["blocks"])
    kinds = {e["type"] for e in blocks if "type" in e}
    assert kinds <= {"rich_text", "rich_text_section", "rich_text_quote", "text", "link"}
    assert {e["url"] for e in blocks if "url" in e} == {m.facts["link"]}
    assert "<" not in body["text"]
    assert not re.search(r"&(?!amp;|lt;|gt;)", body["text"])


def within_limits(sent: bytes, m: Message) -> None:
    body = json.loads(sent)
    assert len(body["blocks"]) <= 50
    for block in body["blocks"]:
        assert len("".join(_texts(block)).encode("utf-16-le")) // 2 <= 3000
    assert m.facts["link"] in json.dumps(body["blocks"])


def _texts(element: Any) -> list[str]:
    if isinstance(element, dict):
        own = [element["text"]] if isinstance(element.get("text"), str) else []
        return own + [t for value in element.values() if isinstance(value, list) for t in _texts(value)]
    return [t for x in element for t in _texts(x)] if isinstance(element, list) else []


def test_whom_the_file_names_is_mentioned_until_it_is_over() -> None:
    assert b"broadcast" in request_of("slack", message(), mention="channel").body
    assert b"broadcast" not in request_of("slack", over(), mention="channel").body


def test_examples_in_docstrings_run() -> None:
    result = doctest.testmod(sender)
    assert (result.attempted, result.failed) == (1, 0)
