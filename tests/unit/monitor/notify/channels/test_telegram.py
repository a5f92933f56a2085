from __future__ import annotations

import doctest
import json
import re
from html.parser import HTMLParser
from typing import Any

from monitor.notify.channels.telegram import sender
from monitor.notify.message import Message
from tests.support.channel_samples import TOKEN, config_of, message, request_of


def harmless(body: Any, m: Message) -> None:
    text = body["text"]
    assert "@" not in text
    assert re.findall(r"<a [^>]*>", text) == [f'<a href="{m.facts["link"]}">'] * text.count("<a ")


def within_limits(sent: bytes, m: Message) -> None:
    body = json.loads(sent)
    text = body["text"]
    assert len(text.encode("utf-16-le")) // 2 <= 4096
    tags = _Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    assert tags.seen <= {"b", "i", "a", "blockquote"}
    assert not any("<" in x or "&" in x for x in tags.data)
    assert f'href="{m.facts["link"]}"' in text


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.data: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_entityref(self, name: str) -> None:
        assert name in ("amp", "lt", "gt", "quot")

    def handle_charref(self, name: str) -> None:
        raise AssertionError(name)

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def test_it_writes_to_its_chat() -> None:
    request = request_of("telegram", message(), chat_id=-100123, thread_id=5)
    assert request.url == f"http://127.0.0.1:1/bot{TOKEN}/sendMessage"
    body = json.loads(request.body)
    assert (body["chat_id"], body["message_thread_id"], body["parse_mode"]) == (-100123, 5, "HTML")


def test_its_address_hides_the_token() -> None:
    assert (
        config_of("telegram", "https://api.telegram.org", chat_id=-7).address() == "https://api.telegram.org/••• · -7"
    )


def test_examples_in_docstrings_run() -> None:
    result = doctest.testmod(sender)
    assert (result.attempted, result.failed) == (1, 0)
