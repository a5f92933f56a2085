"""Every channel against a real server on the loopback, and every way in which it can fail."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.notify.channels import HeldBack, SendError
from testing.post_box import PostBox, post_box
from tests.support.channel_samples import HTTP, SECRET, TOKEN, channel_of, message


@dataclass(frozen=True)
class Service:
    """How a service answers."""

    yes: bytes
    bad_token: tuple[int, bytes]
    busy: tuple[int, bytes, float] | None = None
    """In its own words, and the seconds it asks for."""
    own_words: bool = False
    """Whether a 2xx must say yes in a body of its own."""


SERVICES = {
    "webhook": Service(b"ok", (401, b"")),
    "feishu": Service(
        b'{"code":0,"msg":"success","data":{}}',
        (200, b'{"code":19001,"msg":"param invalid: incoming webhook access token invalid"}'),
        (200, b'{"code":11232,"msg":"frequency limited"}', 60.0),
        own_words=True,
    ),
    "dingtalk": Service(
        b'{"errcode":0,"errmsg":"ok"}',
        (200, b'{"errcode":300001,"errmsg":"token is not exist"}'),
        (200, b'{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}', 60.0),
        own_words=True,
    ),
    "wecom": Service(
        b'{"errcode":0,"errmsg":"ok"}',
        (200, b'{"errcode":93000,"errmsg":"invalid webhook url"}'),
        (200, b'{"errcode":45009,"errmsg":"api freq out of limit"}', 60.0),
        own_words=True,
    ),
    "slack": Service(b"ok", (403, b"invalid_token")),
    "telegram": Service(
        b'{"ok":true,"result":{"message_id":1}}',
        (401, b'{"ok":false,"error_code":401,"description":"Unauthorized"}'),
        (429, b'{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":17}}', 17.0),
        own_words=True,
    ),
    "teams": Service(b"", (401, b'{"error":{"code":"DirectApiAuthorizationRequired"}}')),
    "sms": Service(b"{}", (401, b"no such user")),
    "voice": Service(b"{}", (401, b"no such user")),
}
every = pytest.mark.parametrize("kind", HTTP)


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostBox]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with post_box() as running:
        yield running


def url_of(box: PostBox) -> str:
    return box.url.removesuffix("/hook")


def refused(kind: str, url: str, **more: Any) -> SendError:
    with pytest.raises(SendError) as e:
        channel_of(kind, url, **more).send(message())
    # What is said about a failure is kept with the alert.
    assert TOKEN not in str(e.value)
    assert SECRET not in str(e.value)
    return e.value


def test_no_channel_is_left_out() -> None:
    assert set(SERVICES) == set(HTTP)


@every
def test_taken(box: PostBox, kind: str) -> None:
    box.said = SERVICES[kind].yes
    assert TOKEN not in channel_of(kind, url_of(box)).send(message()).detail
    (got,) = box.received
    assert TOKEN in got["path"]
    assert json.loads(got["body"])


@every
def test_a_bad_token_is_no_use_trying_again(box: PostBox, kind: str) -> None:
    status, box.said = SERVICES[kind].bad_token
    box.answers = [(status, {})]
    e = refused(kind, url_of(box))
    assert e.permanent
    assert len(box.received) == 1


@every
def test_a_busy_service_is_asked_again_when_it_says(box: PostBox, kind: str) -> None:
    box.said, box.answers = b"{}", [(429, {})]
    e = refused(kind, url_of(box))
    assert (e.permanent, e.retry_after) == (False, None)
    box.answers = [(429, {"Retry-After": "7"})]
    time.sleep(1.1 if kind in ("slack", "telegram") else 0)
    e = refused(kind, url_of(box))
    assert (e.permanent, e.retry_after) == (False, 7.0)


@pytest.mark.parametrize("kind", [k for k in HTTP if SERVICES[k].busy])
def test_a_busy_service_that_says_so_in_its_own_words(box: PostBox, kind: str) -> None:
    busy = SERVICES[kind].busy
    assert busy is not None
    status, box.said, seconds = busy
    box.answers = [(status, {})]
    e = refused(kind, url_of(box))
    assert (e.permanent, e.retry_after) == (False, seconds)


@every
@pytest.mark.parametrize("status", [500, 503, 408])
def test_trouble_over_there_may_pass(box: PostBox, kind: str, status: int) -> None:
    box.answers = [(status, {})]
    e = refused(kind, url_of(box))
    assert not e.permanent
    assert f"HTTP {status}" in str(e)


@every
def test_a_message_that_is_refused_is_not_sent_again(box: PostBox, kind: str) -> None:
    box.answers = [(400, {})]
    assert refused(kind, url_of(box)).permanent


@every
def test_a_redirect_is_not_followed(box: PostBox, kind: str) -> None:
    box.answers = [(302, {"Location": f"{url_of(box)}/elsewhere/{TOKEN}"})]
    e = refused(kind, url_of(box))
    assert e.permanent
    assert "redirects" in str(e)
    assert len(box.received) == 1


@every
def test_no_answer_in_time_may_pass(box: PostBox, kind: str) -> None:
    box.delay = 0.6
    e = refused(kind, url_of(box), timeout_seconds=0.1)
    assert not e.permanent
    assert "no answer within 0.1 s" in str(e)


@every
def test_a_connection_that_is_hung_up_may_pass(box: PostBox, kind: str) -> None:
    box.hangs_up = True
    assert not refused(kind, url_of(box)).permanent


@every
def test_nobody_there_may_pass(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    e = refused(kind, f"http://127.0.0.1:{port}")
    assert not e.permanent
    assert "ConnectError" in str(e)


@pytest.mark.parametrize("kind", [k for k in HTTP if SERVICES[k].own_words])
@pytest.mark.parametrize(
    "said", [b"<html>log in</html>", b'{"code":', b"", b"null", b"[]", b"{}", b'{"code":"0","errcode":"0","ok":"yes"}'],
    ids=["html", "broken", "empty", "null", "list", "no code", "words for numbers"],
)  # fmt: skip
def test_an_answer_that_is_not_the_services_own_is_no_yes(box: PostBox, kind: str, said: bytes) -> None:
    box.said = said
    assert not refused(kind, url_of(box)).permanent


@pytest.mark.parametrize("kind", ["feishu", "dingtalk", "wecom"])
def test_a_number_that_we_do_not_know_may_pass(box: PostBox, kind: str) -> None:
    box.said = b'{"code":77777,"errcode":77777,"msg":"odd","errmsg":"odd"}'
    e = refused(kind, url_of(box))
    assert not e.permanent
    assert "77777: odd" in str(e)


@every
@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_answer_that_quotes_the_token_is_not_repeated(
    box: PostBox, kind: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    box.answers = [(status, {})]
    secret = SECRET if kind not in ("wecom", "slack", "telegram", "teams") else ""
    words = f"no robot {TOKEN} or {TOKEN.upper()} with {secret} at {url_of(box)}/hook/{TOKEN}"
    box.said = json.dumps({"code": 1, "errcode": 1, "ok": False, "msg": words, "errmsg": words}).encode()
    try:
        said = channel_of(kind, url_of(box)).send(message()).detail
    except SendError as e:
        said = str(e)
    assert TOKEN not in said.lower()
    for hidden in (TOKEN, SECRET):
        assert hidden not in said
        assert hidden not in caplog.text


# --- what only one of them does --------------------------------------------------------------------------------------


def test_feishu_is_signed(box: PostBox) -> None:
    box.said = SERVICES["feishu"].yes
    channel_of("feishu", url_of(box), mention=["ou_1", "all"]).send(message())
    (body,) = box.bodies()
    key = f"{body['timestamp']}\n{SECRET}".encode()
    assert body["sign"] == base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    assert abs(int(body["timestamp"]) - time.time()) < 60
    assert body["msg_type"] == "interactive"
    assert body["card"]["header"]["template"] == "red"
    assert "<at id=ou_1></at> <at id=all></at>" in json.dumps(body)


def test_dingtalk_is_signed_and_calls_the_numbers_of_the_file(box: PostBox) -> None:
    box.said = SERVICES["dingtalk"].yes
    channel_of("dingtalk", url_of(box), at_mobiles=13800000000).send(message())
    query = parse_qs(urlsplit(box.received[0]["path"]).query)
    (at,), (signed,) = query["timestamp"], query["sign"]
    expected = hmac.new(SECRET.encode(), f"{at}\n{SECRET}".encode(), hashlib.sha256).digest()
    assert base64.b64decode(signed) == expected
    assert abs(int(at) / 1000 - time.time()) < 60
    body = box.bodies()[0]
    assert body["at"] == {"atMobiles": ["13800000000"], "atUserIds": [], "isAtAll": False}
    assert body["markdown"]["text"].endswith("@13800000000")


def test_a_keyword_in_front_of_a_query_of_their_own(box: PostBox) -> None:
    box.said = SERVICES["dingtalk"].yes
    channel_of("dingtalk", url_of(box), url=f"{url_of(box)}/robot/send?access_token={TOKEN}").send(message())
    query = parse_qs(urlsplit(box.received[0]["path"]).query)
    assert set(query) == {"access_token", "timestamp", "sign"}


def test_nobody_is_called_when_it_is_over(box: PostBox) -> None:
    over = message(reason="resolved", state="resolved", resolved_by="detector", ended_at=1_700_001_000_000)
    for kind, more in (("feishu", {"mention": "all"}), ("dingtalk", {"at_all": True}), ("wecom", {"mention": "li"}),
                       ("slack", {"mention": "channel"})):  # fmt: skip
        box.said = SERVICES[kind].yes
        channel_of(kind, url_of(box), **more).send(over)
        sent = box.received[-1]["body"].decode()
        assert not any(x in sent for x in ("<at id", '"isAtAll":true', "<@", "broadcast")), kind


def test_telegram_writes_to_its_chat(box: PostBox) -> None:
    box.said = SERVICES["telegram"].yes
    channel_of("telegram", url_of(box), thread_id=5).send(message())
    assert box.received[0]["path"] == f"/bot{TOKEN}/sendMessage"
    body = box.bodies()[0]
    assert (body["chat_id"], body["message_thread_id"], body["parse_mode"]) == (-100123, 5, "HTML")


def test_an_sms_has_the_fields_that_its_sender_asks_for(box: PostBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_KEY", SECRET)
    fields = {"mobile": "{to}", "content": "[Barometer] {text}", "key": "env:SMS_KEY", "uid": "{id}"}
    channel_of("sms", url_of(box), body=fields).send(message())
    (body,) = box.bodies()
    assert body["mobile"] == "13800000000,13900000000"
    assert body["content"].startswith("[Barometer] 【严重】房地产")
    assert (body["key"], body["uid"]) == (SECRET, "key-1")
    channel_of("sms", url_of(box), body=fields, form=True).send(message())
    assert parse_qs(box.received[1]["body"].decode())["mobile"] == ["13800000000,13900000000"]
    assert SECRET not in channel_of("sms", body=fields | {"key": SECRET}).preview(message())


def test_a_robot_is_not_sent_more_than_it_takes(box: PostBox) -> None:
    box.said = SERVICES["wecom"].yes
    for _ in range(20):
        channel_of("wecom", url_of(box)).send(message())
    with pytest.raises(HeldBack) as e:
        channel_of("wecom", url_of(box)).send(message())
    assert e.value.retry_after == pytest.approx(60, abs=5)
    assert len(box.received) == 20
    # Another robot is not held back.
    channel_of("wecom", url_of(box), url=f"{url_of(box)}/another").send(message())


@every
def test_a_preview_shows_no_secret_and_needs_none(kind: str) -> None:
    shown = channel_of(kind, **({"token": "env:NOT_SET"} if kind == "telegram" else {"url": "env:NOT_SET"})).preview(
        message()
    )
    assert "房地产" in shown
    assert SECRET not in shown
