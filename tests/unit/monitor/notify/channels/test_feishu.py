from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from monitor.notify.message import Message
from tests.support.channel_samples import SECRET, elements, message, over, request_of


def harmless(body: Any, m: Message) -> None:
    """Only elements that are not parsed."""
    assert {e["tag"] for e in elements(body["card"]) if "tag" in e} <= {"plain_text", "div", "note", "action", "button"}


def within_limits(sent: bytes, m: Message) -> None:
    assert len(sent) <= 20_000
    assert m.facts["link"] in sent.decode()


def test_it_is_signed_and_mentions_whom_the_file_names() -> None:
    body = json.loads(request_of("feishu", message(), mention=["ou_1", "all"]).body)
    key = f"{body['timestamp']}\n{SECRET}".encode()
    assert body["sign"] == base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    assert abs(int(body["timestamp"]) - time.time()) < 60
    assert body["msg_type"] == "interactive"
    assert body["card"]["header"]["template"] == "red"
    assert "<at id=ou_1></at> <at id=all></at>" in json.dumps(body)


def test_nobody_is_mentioned_when_it_is_over() -> None:
    assert b"<at id" not in request_of("feishu", over(), mention="all").body
