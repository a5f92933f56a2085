from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from monitor.notify.message import Message
from tests.support.channel_samples import SECRET, TOKEN, markdown_is_harmless, message, over, request_of


def harmless(body: Any, m: Message) -> None:
    assert body["at"] == {"atMobiles": [], "atUserIds": [], "isAtAll": False}
    markdown_is_harmless(body["markdown"]["text"], m)


def within_limits(sent: bytes, m: Message) -> None:
    body = json.loads(sent)
    assert len(sent) <= 20_000
    text = body["markdown"]["text"]
    assert text.count("](") == text.count(f"]({m.facts['link']})") >= 1


def test_it_is_signed_and_calls_the_numbers_of_the_file() -> None:
    request = request_of("dingtalk", message(), at_mobiles=13800000000)
    query = parse_qs(urlsplit(request.url).query)
    (at,), (signed,) = query["timestamp"], query["sign"]
    expected = hmac.new(SECRET.encode(), f"{at}\n{SECRET}".encode(), hashlib.sha256).digest()
    assert base64.b64decode(signed) == expected
    assert abs(int(at) / 1000 - time.time()) < 60
    body = json.loads(request.body)
    assert body["at"] == {"atMobiles": ["13800000000"], "atUserIds": [], "isAtAll": False}
    assert body["markdown"]["text"].endswith("@13800000000")


def test_the_signature_joins_a_query_that_is_there() -> None:
    request = request_of("dingtalk", message(), url=f"http://127.0.0.1:1/robot/send?access_token={TOKEN}")
    assert set(parse_qs(urlsplit(request.url).query)) == {"access_token", "timestamp", "sign"}


def test_nobody_is_called_when_it_is_over() -> None:
    assert b'"isAtAll":false' in request_of("dingtalk", over(), at_all=True).body
