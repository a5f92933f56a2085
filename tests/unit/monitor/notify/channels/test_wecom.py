from __future__ import annotations

import json
from typing import Any

from monitor.notify.message import Message
from tests.support.channel_samples import markdown_is_harmless, message, over, request_of


def harmless(body: Any, m: Message) -> None:
    markdown_is_harmless(body["markdown"]["content"], m)


def within_limits(sent: bytes, m: Message) -> None:
    body = json.loads(sent)
    text, link = body["markdown"]["content"], m.facts["link"]
    assert len(text.encode()) <= 4096
    assert f"({link})" in text
    assert "<" not in text
    assert text.count("](") == text.count(f"]({link})")


def test_whom_the_file_names_is_mentioned_until_it_is_over() -> None:
    assert b"<@li>" in request_of("wecom", message(), mention="li").body
    assert b"<@" not in request_of("wecom", over(), mention="li").body
