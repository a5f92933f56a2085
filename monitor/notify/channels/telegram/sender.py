"""Telegram: HTML by a bot (``sendMessage``).

https://core.telegram.org/bots/api#sendmessage: 4,096 characters, about one message a second in a chat and 20 a minute
in a group. What it refuses it says in ``description``; 429 has ``parameters.retry_after``.

"@" is written full-width, for Telegram calls whoever bears a name behind it; the rest is escaped.
"""

from __future__ import annotations

from html import escape
from typing import Any

import orjson

from monitor.notify.channels.base import SendError, Sent
from monitor.notify.channels.http import MAX_RETRY_AFTER, Answer, HttpSender, Request, json_body, pretty
from monitor.notify.channels.limits import Limit
from monitor.notify.channels.telegram.settings import TelegramSettings
from monitor.notify.lines import MessageLine, fit
from monitor.notify.message import Message
from monitor.notify.secrets import reveal

BUDGET = 4_096


class Telegram(HttpSender[TelegramSettings]):
    """Sends to one chat."""

    limits = (Limit(1, 1.0), Limit(20, 60.0))

    def request(self, message: Message) -> Request:
        token = reveal(self.config.token)
        url = f"{self.config.base_url.rstrip('/')}/bot{token}/sendMessage"
        robot = f"{url} {self.config.chat_id}"
        return Request(url, json_body(self._body(message)), secrets=(token,), robot=robot)

    def preview(self, message: Message) -> str:
        body = self._body(message)
        return f"{pretty({**body, 'text': '…'})}\n\n{body['text']}"

    def taken(self, answer: Answer) -> Sent:
        if answer.json().get("ok") is not True:
            raise SendError(f"HTTP {answer.status}, but not ok: {answer.said()}")
        return Sent("ok")

    def asked_to_wait(self, answer: Answer) -> float | None:
        try:
            asked = orjson.loads(answer.body)["parameters"]["retry_after"]
            return min(max(float(asked), 0.0), MAX_RETRY_AFTER)
        except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
            return super().asked_to_wait(answer)

    def _body(self, message: Message) -> dict[str, Any]:
        thread = {} if self.config.thread_id is None else {"message_thread_id": self.config.thread_id}
        return {
            "chat_id": self.config.chat_id,
            **thread,
            "parse_mode": "HTML",
            "text": "\n".join(map(_shown, fit(message, BUDGET, lambda line: _length(_shown(line)) + 1))),
            "link_preview_options": {"is_disabled": True},
        }


def plain(text: str) -> str:
    """A text that Telegram's HTML shows as it is.

    >>> plain("<b>@admin</b> A&B")
    '&lt;b&gt;＠admin&lt;/b&gt; A&amp;B'
    """
    return escape(text, quote=False).replace("@", "＠")


def _length(text: str) -> int:
    """UTF-16 units, as Telegram counts. It counts after parsing, so that ours are a little shorter than they may be."""
    return len(text.encode("utf-16-le")) // 2


def _shown(line: MessageLine) -> str:
    text, label = plain(line.text), plain(line.label)
    colon = ": " if line.lang == "en" else "："
    match line.role:
        case "title":
            return f"<b>{text}</b>"
        case "reason":
            return f"<i>{text}</i>"
        case "row":
            return f"<b>{label}</b>{colon}{text}"
        case "open" | "more":
            return f'<a href="{escape(line.url)}">{text}</a>'
        case "heading":
            return f"\n<b>{text}</b>"
        case "quote":
            return f"<blockquote><i>{label}</i>\n{text}</blockquote>"
        case "step":
            return f"{label} {text}"
        case _:
            return text
