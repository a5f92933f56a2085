"""DingTalk: Markdown by a group's own robot.

https://open.dingtalk.com/document/robots/custom-robot-access: at most 20 messages a minute (more, and it is deaf for
ten minutes), 20,000 bytes a message. With a signature, the query has the time in milliseconds and the Base64 of the
HMAC-SHA256 of ``MILLISECONDS\\nSECRET`` under the secret. HTTP 200 is no yes: ``errcode`` must be 0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlencode

from monitor.notify.channels.base import Sent
from monitor.notify.channels.dingtalk.settings import DingTalkSettings
from monitor.notify.channels.http import Answer, Codes, HttpSender, Request, json_body, pretty
from monitor.notify.channels.limits import Limit
from monitor.notify.channels.markdown import markdown, plain
from monitor.notify.formats import cut
from monitor.notify.lines import MessageLine, fit
from monitor.notify.message import Message
from monitor.notify.secrets import reveal

BUDGET = 20_000
CODES = Codes(
    field="errcode",
    text="errmsg",
    permanent={
        40035: "DingTalk cannot read the message",
        43004: "DingTalk cannot read the message",
        300001: "the robot is gone or the token is wrong: check url",
        300005: "the robot is gone or the token is wrong: check url",
        310000: "the robot's safety setting refused it: check secret, this machine's clock and address",
        400013: "the group is dissolved",
        400101: "the robot is gone or the token is wrong: check url",
        400102: "the robot is switched off",
        400105: "DingTalk cannot read the message",
        400106: "the robot is gone",
        430101: "it has a link that DingTalk forbids",
        430102: "DingTalk forbids its text",
        430103: "DingTalk forbids its picture",
        430104: "DingTalk forbids its content",
        460101: "DingTalk finds it too long",
    },
    busy={-1: 5.0, 130101: 60.0, 130102: 60.0, 410100: 60.0},
)


class DingTalk(HttpSender[DingTalkSettings]):
    """Sends to one robot."""

    limits = (Limit(20, 60.0),)

    def request(self, message: Message) -> Request:
        url = robot = reveal(self.config.url)
        secrets: tuple[str, ...] = (robot,)
        if self.config.secret is not None:
            secret, now = reveal(self.config.secret), time.time_ns() // 1_000_000
            query = urlencode({"timestamp": now, "sign": sign(secret, now)})
            url += ("&" if "?" in url else "?") + query
            secrets += (secret,)
        return Request(url, json_body(self._body(message)), secrets=secrets, robot=robot)

    def preview(self, message: Message) -> str:
        body = self._body(message)
        return f"{pretty({**body, 'markdown': {'title': body['markdown']['title']}})}\n\n{body['markdown']['text']}"

    def taken(self, answer: Answer) -> Sent:
        return CODES.judge(answer)

    def _body(self, message: Message) -> dict[str, Any]:
        """Nobody is mentioned but whom the file names, and not when it is over."""
        c = self.config
        mobiles = [] if message.resolved else c.at_mobiles
        at_all = c.at_all and not message.resolved
        body: dict[str, Any] = {
            "msgtype": "markdown",
            "markdown": {"title": plain(cut(message.title, 100)), "text": ""},
            "at": {"atMobiles": mobiles, "atUserIds": [], "isAtAll": at_all},
        }
        # The numbers must be in the text as well, or nobody is told.
        ends = "\n\n" + " ".join(f"@{m}" for m in mobiles) if mobiles else ""
        room = BUDGET - len(json_body(body)) - len(json_body(ends))
        lines = fit(message, room, lambda line: len(json_body(_shown(line) + "\n\n")) - 2)
        body["markdown"]["text"] = "\n\n".join(map(_shown, lines)) + ends
        return body


def sign(secret: str, at: int) -> str:
    """The value of ``sign`` (not yet quoted for a URL) at a time in epoch milliseconds."""
    return base64.b64encode(hmac.new(secret.encode(), f"{at}\n{secret}".encode(), hashlib.sha256).digest()).decode()


def _shown(line: MessageLine) -> str:
    return markdown(line, quote_break="  \n")
