"""Every channel against a real server on the loopback, and every way in which it can fail."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from monitor.notify.channels import CHANNEL_TYPES, HeldBack, SendError, http
from monitor.notify.channels.limits import Limit, RateLimiter
from monitor.notify.channels.sample import SECRET as SAMPLE_SECRET
from monitor.notify.channels.sample import TOKEN as SAMPLE_TOKEN
from testing.post_box import PostBox, post_box
from tests.support.channel_samples import HTTP, SECRET, TOKEN, answers_of, channel_of, message

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


@every
def test_taken(box: PostBox, kind: str) -> None:
    box.said = answers_of(kind).ok
    assert TOKEN not in channel_of(kind, url_of(box)).send(message()).detail
    (got,) = box.received
    assert TOKEN in got["path"]
    assert json.loads(got["body"])


@every
def test_a_bad_token_is_no_use_trying_again(box: PostBox, kind: str) -> None:
    status, box.said = answers_of(kind).bad_token
    box.answers = [(status, {})]
    e = refused(kind, url_of(box))
    assert e.permanent
    assert len(box.received) == 1


@every
def test_a_busy_service_is_asked_again_when_it_says(box: PostBox, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    box.said, box.answers = b"{}", [(429, {})]
    e = refused(kind, url_of(box))
    assert (e.permanent, e.retry_after) == (False, None)
    box.answers = [(429, {"Retry-After": "7"})]
    monkeypatch.setattr(http, "LIMITER", RateLimiter())  # no wait for the service's limit
    e = refused(kind, url_of(box))
    assert (e.permanent, e.retry_after) == (False, 7.0)


@pytest.mark.parametrize("kind", [k for k in HTTP if answers_of(k).busy])
def test_a_busy_service_that_says_so_in_its_own_words(box: PostBox, kind: str) -> None:
    busy = answers_of(kind).busy
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
    assert str(e).startswith(f"127.0.0.1:{port} refuses the connection: ")


@pytest.mark.parametrize("kind", [k for k in HTTP if answers_of(k).body_confirms])
@pytest.mark.parametrize(
    "said", [b"<html>log in</html>", b'{"code":', b"", b"null", b"[]", b"{}", b'{"code":"0","errcode":"0","ok":"yes"}'],
    ids=["html", "broken", "empty", "null", "list", "no code", "words for numbers"],
)  # fmt: skip
def test_an_answer_that_is_not_the_services_own_is_no_yes(box: PostBox, kind: str, said: bytes) -> None:
    box.said = said
    assert not refused(kind, url_of(box)).permanent


@pytest.mark.parametrize("kind", [k for k in HTTP if answers_of(k).unknown_error])
def test_a_number_that_we_do_not_know_may_pass(box: PostBox, kind: str) -> None:
    box.said = answers_of(kind).unknown_error or b""
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
    secret = SECRET if SAMPLE_SECRET in str(CHANNEL_TYPES[kind].sample.settings) else ""
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


def test_a_robot_is_not_sent_more_than_it_takes(box: PostBox) -> None:
    limit = Limit(20, 60.0)
    kind = next(k for k in HTTP if getattr(channel_of(k), "limits", ()) == (limit,))
    box.said = answers_of(kind).ok
    for _ in range(limit.count):
        channel_of(kind, url_of(box)).send(message())
    with pytest.raises(HeldBack) as e:
        channel_of(kind, url_of(box)).send(message())
    assert e.value.retry_after == pytest.approx(limit.seconds, abs=5)
    assert len(box.received) == limit.count
    # Another robot is not held back.
    channel_of(kind, url_of(box), url=f"{url_of(box)}/another").send(message())


@every
def test_a_preview_shows_no_secret_and_needs_none(kind: str) -> None:
    sample = CHANNEL_TYPES[kind].sample.settings
    unset = {name: "env:NOT_SET" for name, value in sample.items() if SAMPLE_TOKEN in str(value)}
    shown = channel_of(kind, **unset).preview(message())
    assert "房地产" in shown
    assert SECRET not in shown
