"""Slack: blocks by an incoming webhook.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: about one message a second; at most 50
blocks, and 3,000 characters in one.

All words are ``rich_text`` elements, which Slack does not parse: a text of the stream can neither call the channel nor
hide a link. Only the line for notifications is parsed, and is escaped.
"""

from __future__ import annotations

from typing import Any

from monitor.notify.channels.http import HttpSender, Request, json_body, pretty
from monitor.notify.channels.limits import Limit
from monitor.notify.channels.slack.settings import SlackSettings
from monitor.notify.formats import cut
from monitor.notify.lines import MessageLine, fit, shorten
from monitor.notify.message import Message
from monitor.notify.secrets import reveal

MAX_BLOCKS = 50
MAX_BLOCK = 3_000
"""Characters of one block; ours are cut long before Slack's own limit for a whole message."""
BUDGET = 12_000


class Slack(HttpSender[SlackSettings]):
    """Sends to one webhook."""

    limits = (Limit(1, 1.0), Limit(30, 60.0))

    def request(self, message: Message) -> Request:
        return Request(reveal(self.config.url), json_body(self._body(message)))

    def preview(self, message: Message) -> str:
        return pretty(self._body(message))

    def _body(self, message: Message) -> dict[str, Any]:
        blocks: list[dict[str, Any]] = []
        used = MAX_BLOCK
        # A block for each part; a part that is full goes on in another.
        for whole in fit(message, BUDGET, _cost):
            line = whole if _cost(whole) <= MAX_BLOCK else shorten(whole, MAX_BLOCK, _cost) or whole
            if used + _cost(line) > MAX_BLOCK or line.role in ("title", "heading"):
                blocks.append({"type": "rich_text", "elements": []})
                used = 0
            blocks[-1]["elements"].append(_element(line))
            used += _cost(line)
        if self.config.mention and not message.resolved:
            who = [_mention(x) for x in self.config.mention]
            blocks.append({"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": who}]})
        return {
            "text": escape(cut(message.title, 300)),
            "blocks": blocks[:MAX_BLOCKS],
            "unfurl_links": False,
            "unfurl_media": False,
        }


def escape(text: str) -> str:
    """What Slack would parse in ``text``: mentions and links stand in angle brackets.

    >>> escape("<!channel> A&B")
    '&lt;!channel&gt; A&amp;B'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cost(line: MessageLine) -> int:
    """Characters as JavaScript and Java count them, with the blanks, colons and line ends around them."""
    shown = line.text + line.label + line.url
    return len(shown.encode("utf-16-le")) // 2 + 4


def _element(line: MessageLine) -> dict[str, Any]:
    def text(said: str, **style: bool) -> dict[str, Any]:
        return {"type": "text", "text": said, **({"style": style} if style else {})}

    def section(*elements: dict[str, Any]) -> dict[str, Any]:
        return {"type": "rich_text_section", "elements": [*elements, text("\n")]}

    colon = ": " if line.lang == "en" else "："
    match line.role:
        case "title" | "heading":
            return section(text(line.text, bold=True))
        case "row":
            return section(text(line.label, bold=True), text(f"{colon}{line.text}"))
        case "open" | "more":
            return section({"type": "link", "url": line.url, "text": line.text})
        case "quote":
            over = [text(f"{line.label}\n", italic=True)] if line.label else []
            return {"type": "rich_text_quote", "elements": [*over, text(line.text)]}
        case "step":
            return section(text(f"{line.label} {line.text}"))
        case _:
            return section(text(line.text))


def _mention(who: str) -> dict[str, Any]:
    if who in ("channel", "here", "everyone"):
        return {"type": "broadcast", "range": who}
    if who.startswith("S"):
        return {"type": "usergroup", "usergroup_id": who}
    return {"type": "user", "user_id": who}
