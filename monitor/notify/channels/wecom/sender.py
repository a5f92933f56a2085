"""WeCom: Markdown by a group's own robot.

https://developer.work.weixin.qq.com/document/path/91770: at most 20 messages a minute, 4,096 bytes of Markdown. HTTP
200 is no yes: ``errcode`` must be 0.
"""

from __future__ import annotations

from typing import Any

from monitor.notify.channels.base import Sent
from monitor.notify.channels.http import Answer, Codes, HttpSender, Request, json_body, pretty
from monitor.notify.channels.limits import Limit
from monitor.notify.channels.markdown import markdown
from monitor.notify.channels.wecom.settings import WeComSettings
from monitor.notify.lines import MessageLine, fit
from monitor.notify.message import Message
from monitor.notify.secrets import reveal

BUDGET = 4_096
CODES = Codes(
    field="errcode",
    text="errmsg",
    permanent={
        40008: "WeCom cannot read the message",
        40058: "WeCom cannot read the message, or finds it too long",
        44004: "the message is empty",
        93000: "the robot is gone or the key is wrong: check url",
        93004: "the robot is switched off",
        93008: "the robot is no longer in the group",
    },
    busy={-1: 5.0, 45009: 60.0, 45033: 10.0},
)


class WeCom(HttpSender[WeComSettings]):
    """Sends to one robot."""

    limits = (Limit(20, 60.0),)

    def request(self, message: Message) -> Request:
        body: dict[str, Any] = {"msgtype": "markdown", "markdown": {"content": self._content(message)}}
        return Request(reveal(self.config.url), json_body(body))

    def preview(self, message: Message) -> str:
        return f"{pretty({'msgtype': 'markdown'})}\n\n{self._content(message)}"

    def taken(self, answer: Answer) -> Sent:
        return CODES.judge(answer)

    def _content(self, message: Message) -> str:
        mention = [] if message.resolved else self.config.mention
        ends = "\n" + " ".join(f"<@{x}>" for x in mention) if mention else ""
        lines = fit(message, BUDGET - len(ends.encode()), lambda line: len((_shown(line) + "\n").encode()))
        return "\n".join(map(_shown, lines)) + ends


def _shown(line: MessageLine) -> str:
    shown = markdown(line, quote_break="\n")
    # A blank line before: this Markdown makes no room of its own, and runs quotations together.
    return f"\n{shown}" if line.role in ("heading", "open", "quote", "more") else shown
