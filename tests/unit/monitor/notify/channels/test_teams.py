from __future__ import annotations

from typing import Any

from monitor.notify.message import Message
from tests.support.channel_samples import elements


def harmless(body: Any, m: Message) -> None:
    """Only elements that are not parsed."""
    cards = elements(body)
    kinds = {"message", "AdaptiveCard", "Action.OpenUrl", "RichTextBlock", "TextRun", "Container"}
    assert {e["type"] for e in cards if "type" in e} <= kinds
    assert not any("entities" in e for e in cards)


def within_limits(sent: bytes, m: Message) -> None:
    assert max(len(sent), len(sent.decode().encode("utf-16-le"))) <= 28_000
    assert m.facts["link"] in sent.decode()
