"""Notifications through what environments have in the way: proxies, TLS from the first byte."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barometer.settings import load_settings
from ingest.local_broker.certificates import Authority
from monitor.notify.channels import SendError
from monitor.notify.channels.http import Request, post
from monitor.notify.channels.mail.sender import Mail
from monitor.notify.channels.mail.settings import MailSettings
from testing.post_box import post_box
from tests.support.channel_samples import message


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """A folder with ``ca.pem`` and a server's certificate for localhost."""
    Authority(tmp_path).issue("server", "localhost")
    return tmp_path


class SmtpServer:
    """Takes mail on loopback; with a context, over TLS from the first byte."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.mails: list[str] = []
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(one,), daemon=True).start()

    def _one(self, one: socket.socket) -> None:
        try:
            if self._context is not None:
                one = self._context.wrap_socket(one, server_side=True)
            with one, one.makefile("rwb") as stream:
                self._talk(stream)
        except OSError:
            pass

    def _talk(self, stream: Any) -> None:
        def say(text: str) -> None:
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        say("220 ready")
        body: list[str] | None = None
        for raw in stream:
            line = raw.decode(errors="replace").rstrip("\r\n")
            if body is not None:
                if line == ".":
                    self.mails.append("\n".join(body))
                    body = None
                    say("250 taken")
                else:
                    body.append(line)
            elif line.upper() == "DATA":
                body = []
                say("354 go on")
            elif line.upper() == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


@pytest.fixture
def smtps(tls: Path) -> Iterator[SmtpServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "server.pem")
    server = SmtpServer(context)
    yield server
    server.close()


def mail(port: int, **more: Any) -> Mail:
    return Mail(
        MailSettings(type="mail", to=["desk@example.com"]), load_settings(smtp_host="localhost", smtp_port=port, **more)
    )


def test_mail_over_tls_from_the_first_byte(smtps: SmtpServer, tls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls / "ca.pem"))
    mail(smtps.port, smtp_security="tls").send(message())
    assert len(smtps.mails) == 1
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(SendError, match=r"not trusted.*SSL_CERT_FILE") as e:
        mail(smtps.port, smtp_security="tls").send(message())
    assert not e.value.permanent
    assert len(smtps.mails) == 1


def test_a_server_that_waits_for_tls_is_told_from_one_that_is_slow(smtps: SmtpServer) -> None:
    begin = time.monotonic()
    with pytest.raises(SendError, match="BAROMETER_SMTP_SECURITY=tls") as e:
        mail(smtps.port).send(message())
    assert time.monotonic() - begin < 15
    assert not e.value.permanent
    plain = SmtpServer()
    with pytest.raises(SendError, match="smtp_security to starttls or none"):
        mail(plain.port, smtp_security="tls").send(message())
    mail(plain.port).send(message())
    assert len(plain.mails) == 1
    plain.close()


def test_the_port_says_how_where_the_setting_does_not() -> None:
    found = {port: load_settings(smtp_port=port).smtp_encryption for port in (25, 465, 587, 1025)}
    assert found == {25: "none", 465: "tls", 587: "starttls", 1025: "none"}
    assert load_settings(smtp_port=465, smtp_security="none").smtp_encryption == "none"


def test_no_proxy_with_ipv6_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1,::1,fd00::/8")
    with post_box() as box:
        assert post(Request(box.url, b"{}"), 5.0).status == 200


def test_through_a_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with post_box() as box:
        proxy = Socks(int(box.url.rpartition(":")[2].split("/")[0]))
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        assert post(Request("http://hook.example:81/x", b"{}"), 5.0).status == 200
        assert proxy.asked == ["hook.example:81"]
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
        with pytest.raises(SendError) as e:
            post(Request("http://hook.example:81/x", b"{}"), 5.0)
        assert not e.value.permanent


class Socks:
    """A SOCKS 5 proxy (RFC 1928) that leads everybody to one port here."""

    def __init__(self, target: int) -> None:
        self.asked: list[str] = []
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        one, _ = self._listening.accept()
        one.recv(257)
        one.sendall(b"\x05\x00")
        asked = one.recv(262)
        host = asked[5 : 5 + asked[4]].decode()
        self.asked.append(f"{host}:{int.from_bytes(asked[-2:], 'big')}")
        there = socket.create_connection(("127.0.0.1", self._target))
        one.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        threading.Thread(target=_copy, args=(there, one), daemon=True).start()
        _copy(one, there)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(4096):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
