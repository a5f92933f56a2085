"""Feishu (Lark): a card by a group's own robot.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot: at most 100 messages a minute and 5 a second, 20 KB a
message. With a signature, ``sign`` is the Base64 of the HMAC-SHA256 of nothing under the key ``SECONDS\\nSECRET``.
HTTP 200 is no yes: ``code`` must be 0.

All words are ``plain_text`` elements, which Feishu does not parse: a text of the stream can neither mention people nor
hide a link. Only what the file says is written as markup (``mention``).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

from monitor.notify.channels.base import Sent
from monitor.notify.channels.feishu.settings import FeishuSettings
from monitor.notify.channels.http import Answer, Codes, HttpSender, Request, json_body, pretty
from monitor.notify.channels.limits import Limit
from monitor.notify.formats import cut
from monitor.notify.lines import MessageLine, fit
from monitor.notify.message import Message
from monitor.notify.secrets import reveal

BUDGET = 20_000
MAX_TITLE = 200
COLOURS = {"critical": "red", "warning": "orange", "info": "grey"}
CODES = Codes(
    field="code",
    text="msg",
    permanent={
        9499: "Feishu cannot read the message",
        11246: "Feishu cannot read the card",
        19001: "the robot is gone or the token is wrong: check url",
        19002: "Feishu cannot read the message",
        19021: "check secret, and this machine's clock",
        19022: "this machine's address is not on the robot's list",
        19024: "the robot asks for a keyword: use a signature instead",
    },
    busy={11232: 60.0, 11233: 60.0, 99991400: 60.0},
)


class Feishu(HttpSender[FeishuSettings]):
    """Sends to one robot."""

    limits = (Limit(5, 1.0), Limit(100, 60.0))

    def request(self, message: Message) -> Request:
        body = self._body(message)
        secrets: tuple[str, ...] = ()
        if self.config.secret is not None:
            secret, now = reveal(self.config.secret), int(time.time())
            body = {"timestamp": str(now), "sign": sign(secret, now), **body}
            secrets = (secret,)
        return Request(reveal(self.config.url), json_body(body), secrets=secrets)

    def preview(self, message: Message) -> str:
        return pretty(self._body(message))

    def taken(self, answer: Answer) -> Sent:
        return CODES.judge(answer)

    def _body(self, message: Message) -> dict[str, Any]:
        return {"msg_type": "interactive", "card": card(message, [] if message.resolved else self.config.mention)}


def sign(secret: str, at: int) -> str:
    """The value of ``sign`` at a time in epoch seconds."""
    return base64.b64encode(hmac.new(f"{at}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()


def card(message: Message, mention: list[str]) -> dict[str, Any]:
    """An interactive card (version 1, which every client shows) of at most 20,000 bytes, less what signing adds."""
    colour = "green" if message.resolved else COLOURS[message.facts["severity"]]
    ends: list[dict[str, Any]] = [
        {
            "tag": "action",
            "actions": [
                {
                    "tag": "button",
                    "type": "primary",
                    "text": _plain(" / ".join(s.open for s in message.sections)),
                    "url": message.facts["link"],
                }
            ],
        }
    ]
    if mention:
        who = " ".join(f"<at id={x}></at>" for x in mention)
        ends.append({"tag": "div", "text": {"tag": "lark_md", "content": who}})
    whole: dict[str, Any] = {
        "config": {"wide_screen_mode": True},
        "header": {"template": colour, "title": _plain(cut(message.title, MAX_TITLE))},
        "elements": ends,
    }
    room = BUDGET - len(json_body(whole)) - 300  # signature, time and the frame around the card
    lines = fit(message, room, lambda line: len(json_body(_element(line))) + 1, title=False, link_line=False)
    return {**whole, "elements": [*map(_element, lines), *ends]}


def _plain(text: str) -> dict[str, Any]:
    return {"tag": "plain_text", "content": text}


def _element(line: MessageLine) -> dict[str, Any]:
    colon = ": " if line.lang == "en" else "："
    match line.role:
        case "reason" | "more":
            return {"tag": "note", "elements": [_plain(line.text)]}
        case "row":
            return {"tag": "div", "text": _plain(f"{line.label}{colon}{line.text}")}
        case "quote":
            return {"tag": "div", "text": _plain(f"▎{line.label}\n{line.text}" if line.label else f"▎{line.text}")}
        case "step":
            return {"tag": "div", "text": _plain(f"{line.label} {line.text}")}
        case "heading":
            return {"tag": "div", "text": _plain(f"■ {line.text}")}
        case _:
            return {"tag": "div", "text": _plain(line.text)}
