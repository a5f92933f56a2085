"""What is said of a service that was not reached: what it is and what to do, never a library's own words alone."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from barometer import outbound
from barometer.unreached import CAUSES, retold, said, unreached
from monitor.notify.wording import figures


@contextmanager
def server(answer: Callable[[socket.socket], None] | None) -> Iterator[str]:
    """HOST:PORT of a service that does ``answer`` with a connection and hangs up; None: nobody listens there."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{s.getsockname()[1]}"
        if answer is None:
            yield at
            return
        s.listen()

        def serve() -> None:
            with s.accept()[0] as c:
                answer(c)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield at
        thread.join(5)


def waits(c: socket.socket) -> None:
    c.settimeout(5)
    while c.recv(4096):
        pass


@pytest.mark.parametrize(
    ("scheme", "answer", "cause"),
    [
        ("http", None, "refused"),
        ("http", lambda c: c.recv(4096), "closed"),
        ("http", waits, "timeout"),
        ("https", lambda c: (c.recv(4096), c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")), "no_tls"),
        ("https", waits, "timeout"),
    ],
)
def test_what_httpx_raises_is_told_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, scheme: str, answer: Callable[[socket.socket], None] | None, cause: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with server(answer) as at:
        url = f"{scheme}://{at}/hook"
        with pytest.raises(httpx.TransportError) as e, outbound.client(url, 0.3) as client:
            client.post(url, content=b"x")
        text = unreached(e.value, outbound.called(url), 0.3)
    begins = CAUSES[cause]["en"].format(at=at, why="0.3" if cause == "timeout" else "\0").partition("\0")[0]
    assert text.startswith(begins), text
    assert "Errno" not in text and type(e.value).__name__ not in text


@pytest.mark.parametrize(
    ("error", "cause", "why"),
    [
        (socket.gaierror(-2, "Name or service not known"), "name", ""),
        (OSError(101, "Network is unreachable"), "no_way", "Network is unreachable"),
        (ConnectionResetError(104, "Connection reset by peer"), "closed", ""),
        (smtplib.SMTPServerDisconnected("Connection unexpectedly closed"), "closed", ""),
        (smtplib.SMTPNotSupportedError("STARTTLS extension not supported by server."), "smtp_lacks",
         "STARTTLS extension not supported by server"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "no_tls", None),
        (httpx.ProxyError("407 Proxy Authentication Required"), "proxy", "407 Proxy Authentication Required"),
        (TimeoutError("timed out"), "timeout", "30"),
    ],
)  # fmt: skip
def test_each_error_has_its_cause(error: Exception, cause: str, why: str | None) -> None:
    text = unreached(error, "x.example:25", 30)
    if why is None:
        why = text.partition("(")[2].partition(")")[0]
        assert "wrong version number" in why
    assert text == said(cause, "x.example:25", why)


def test_what_is_unknown_is_told_with_its_name() -> None:
    assert unreached(RuntimeError("odd"), "x:1", 1) == "x:1: RuntimeError: odd"


@pytest.mark.parametrize("cause", CAUSES)
def test_a_kept_sentence_is_told_in_the_readers_language(cause: str) -> None:
    kept = said(cause, "[::1]:465", "wrong (very)")
    chinese = retold(kept, "zh")
    assert chinese == CAUSES[cause]["zh"].format(at="[::1]:465", why="wrong (very)") != kept
    assert retold(kept, "en") == kept


def test_other_texts_stay_as_they_are_and_the_alarm_is_in_the_messages_language() -> None:
    from zoneinfo import ZoneInfo

    assert retold("HTTP 401: who are you", "zh") == "HTTP 401: who are you"
    kept = said("refused", "127.0.0.1:25")
    assert figures({"message": kept}, "zh", ZoneInfo("UTC")) == f"报错 {retold(kept, 'zh')}"


def test_it_is_the_proxy_that_is_named_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert outbound.called("https://hook.example/T0") == "the proxy proxy.example:3128 (HTTPS_PROXY)"
    assert outbound.called("http://[fd00::7]:8080/x") == "[fd00::7]:8080"
