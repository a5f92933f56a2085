"""Microsoft Teams: an Adaptive Card by a workflow ("when a Teams webhook request is received").

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook: 28 KB a
message and four messages a second. Whether it counts bytes of UTF-8 or of UTF-16 is not said; ours fit by both.

All words are ``TextRun``, which Teams does not parse: a text of the stream can neither mention people nor hide a link.
"""

from __future__ import annotations

from typing import Any

from monitor.notify.channels.http import HttpSender, Request, json_body, pretty
from monitor.notify.channels.limits import Limit
from monitor.notify.channels.teams.settings import TeamsSettings
from monitor.notify.lines import MessageLine, fit
from monitor.notify.message import Message
from monitor.notify.secrets import reveal

BUDGET = 28_000
COLOURS = {"critical": "Attention", "warning": "Warning", "info": "Default"}


class Teams(HttpSender[TeamsSettings]):
    """Sends to one workflow."""

    limits = (Limit(4, 1.0),)

    def request(self, message: Message) -> Request:
        return Request(reveal(self.config.url), json_body(body(message)))

    def preview(self, message: Message) -> str:
        return pretty(body(message))


def body(message: Message) -> dict[str, Any]:
    """The message with its one card."""
    colour = "Good" if message.resolved else COLOURS[message.facts["severity"]]
    label = " / ".join(s.open for s in message.sections)
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [],
        "actions": [{"type": "Action.OpenUrl", "title": label, "url": message.facts["link"]}],
    }
    whole = {
        "type": "message",
        "attachments": [
            {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        ],
    }
    room = BUDGET - _size(whole)
    card["body"] = [
        _block(line, colour)
        for line in fit(message, room, lambda line: _size(_block(line, colour)) + 2, link_line=False)
    ]
    return whole


def _size(value: Any) -> int:
    encoded = json_body(value)
    return max(len(encoded), len(encoded.decode().encode("utf-16-le")))


def _block(line: MessageLine, colour: str) -> dict[str, Any]:
    def run(text: str, **style: Any) -> dict[str, Any]:
        return {"type": "TextRun", "text": text, **style}

    def block(*runs: dict[str, Any], **style: Any) -> dict[str, Any]:
        return {"type": "RichTextBlock", "inlines": list(runs), **style}

    colon = ": " if line.lang == "en" else "："
    match line.role:
        case "title":
            return block(run(line.text, size="Large", weight="Bolder", color=colour))
        case "reason" | "more":
            return block(run(line.text, isSubtle=True), spacing="Small")
        case "row":
            return block(run(f"{line.label}{colon}", isSubtle=True), run(line.text), spacing="Small")
        case "heading":
            return block(run(line.text, weight="Bolder"), separator=True, spacing="Medium")
        case "quote":
            inner = [block(run(line.label, isSubtle=True, size="Small")), block(run(line.text), spacing="None")]
            return {"type": "Container", "style": "emphasis", "spacing": "Small", "items": inner}
        case "step":
            return block(run(f"{line.label} {line.text}"), spacing="Small")
        case _:
            return block(run(line.text))
