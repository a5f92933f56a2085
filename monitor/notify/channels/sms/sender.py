"""SMS and calls, by the webhook of whoever sends them: one short text to some numbers.

Every provider asks for a body of its own, so the file names its fields; without them it is
``{"to": [...], "text": ..., "id": ..., "type": "sms"}``. An SMS has 70 UTF-16 units, or 160 characters if all are of
GSM's alphabet (3GPP TS 23.038); one of several parts has 67 or 153. A call reads at most 160 characters aloud.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from monitor.notify.channels.http import HttpSender, Request, json_body, pretty
from monitor.notify.channels.sms.settings import SmsSettings
from monitor.notify.formats import character_ends
from monitor.notify.message import Message
from monitor.notify.secrets import reveal

MAX_SPOKEN = 160
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED = frozenset("^{}\\[~]|€")
"""Two characters each."""


class Sms(HttpSender[SmsSettings]):
    """Sends to the numbers of one channel, all in one request."""

    def request(self, message: Message) -> Request:
        c = self.config
        own = {name: reveal(value) for name, value in c.headers.items()}
        asked = {name: reveal(value) for name, value in c.body.items()}
        value = self._body(message, asked)
        kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"} if c.form else {}
        headers = {"Idempotency-Key": message.id, **kind, **own}
        fields = tuple(v for v in asked.values() if "{" not in v and len(v) >= 6)
        body = urlencode(value).encode() if c.form else json_body(value)
        return Request(reveal(c.url), body, headers, (*own.values(), *fields))

    def preview(self, message: Message) -> str:
        # What the file gives for a field may be a secret, or the name of one.
        shown = {name: v.get_secret_value() for name, v in self.config.body.items()}
        return pretty(self._body(message, {name: v if "{" in v else "***" for name, v in shown.items()}))

    def _body(self, message: Message, asked: dict[str, str]) -> dict[str, Any]:
        c = self.config
        text = spoken(message) if c.type == "voice" else short(message, c.parts)
        if not asked:
            to: Any = ",".join(c.to) if c.form else c.to
            return {"to": to, "text": text, "id": message.id, "type": c.type}
        known = {"to": ",".join(c.to), "text": text, "id": message.id}
        return {name: re.sub(r"\{(to|text|id)\}", lambda m: known[m[1]], value) for name, value in asked.items()}


def length(text: str) -> tuple[int, bool]:
    """Units of an SMS, and whether it is in GSM's alphabet.

    >>> length("31 negative [x]"), length("负面 31 条")
    ((17, True), (7, False))
    """
    if all(x in GSM or x in GSM_EXTENDED for x in text):
        return len(text) + sum(x in GSM_EXTENDED for x in text), True
    return len(text.encode("utf-16-le")) // 2, False


def fits(text: str, parts: int = 1) -> bool:
    """Whether a text goes into so many SMS."""
    units, gsm = length(text)
    one, several = (160, 153) if gsm else (70, 67)
    return units <= (one if parts == 1 else several * parts)


def short(message: Message, parts: int = 1) -> str:
    """The title and the link; the alert's number where there is no room for the link. Of two languages the first."""
    title = message.sections[0].title
    number = f"#{message.facts['alert_id']}"
    for end in (message.facts["link"], number):
        if fits(f"{title} {end}", parts):
            return f"{title} {end}"
    # GSM's alphabet has no ellipsis: with it the whole text would count as one of another alphabet.
    dots = "..." if length(title)[1] else "…"
    # Of one part a link would leave few words.
    for end in (message.facts["link"], number) if parts > 1 else (number,):
        found = _longest(title, f"{dots} {end}", lambda text: fits(text, parts))
        if found:
            return found
    return number


def spoken(message: Message) -> str:
    """What is read aloud: no brackets, no link."""
    section = message.sections[0]
    zh = section.lang == "zh"
    end = f"。告警编号 {message.facts['alert_id']}。" if zh else f". Alert number {message.facts['alert_id']}."
    said = re.sub(r"\s*[(（]", "，" if zh else ", ", section.title)
    said = " ".join(re.sub(r"[【】\[\])）#]", " ", said).split())
    return _longest(said, end, lambda text: len(text) <= MAX_SPOKEN)


def _longest(text: str, end: str, fit: Callable[[str], bool]) -> str:
    """The longest beginning that fits with what follows it, cut between characters; empty if none does."""
    best = ""
    for at in character_ends(text):
        if not fit(text[:at].rstrip() + end):
            break
        best = text[:at].rstrip() + end
    return best
