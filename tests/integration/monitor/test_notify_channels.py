"""Channels against real servers on the loopback: what they send, and how they take every kind of refusal."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from barometer.errors import SettingsError
from barometer.settings import Settings, load_settings
from monitor.notify.channels import SendError, Sent, open_channel
from monitor.notify.channels.apprise.settings import AppriseSettings
from monitor.notify.channels.mail.settings import MailSettings
from monitor.notify.channels.webhook.settings import WebhookSettings
from monitor.notify.config import Receiver
from monitor.notify.facts import facts_of
from monitor.notify.message import Message, render
from testing.post_box import PostBox, post_box
from tests.support.alert_examples import AT, alert


def message(reason: str = "first", lang: str = "both", **more: Any) -> Message:
    receiver = Receiver.model_validate({"name": "oncall", "lang": lang, "channels": [{"type": "mail", "to": "a@b.c"}]})
    config = load_settings(public_url="http://barometer.test/")
    facts = facts_of(alert(**more), reason=reason, receiver=receiver, settings=config, now_ms=AT + 1_200_000)
    return render(facts, "key-1")


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostBox]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with post_box() as running:
        yield running


def send(url: str, said: Message | None = None, **more: Any) -> Sent:
    channel = WebhookSettings.model_validate({"type": "webhook", "url": url, **more})
    return open_channel(channel, load_settings()).send(said or message())


# --- webhook ---------------------------------------------------------------------------------------------------------


def test_a_webhook_gets_alertmanagers_payload(box: PostBox) -> None:
    assert send(box.url).detail == "HTTP 200"
    body = box.bodies()[0]
    assert set(body) == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip
    assert (body["version"], body["status"], body["receiver"]) == ("4", "firing", "oncall")
    assert body["externalURL"] == "http://barometer.test"
    assert body["groupLabels"] == {"alertname": "SentimentSurge", "series": "topic:real_estate"}
    one = body["alerts"][0]
    assert set(one) == {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    assert one["labels"] == {
        "alertname": "SentimentSurge", "series": "topic:real_estate", "severity": "critical", "type": "surge",
        "kind": "news,comment", "level": "major",
    }  # fmt: skip
    assert (one["startsAt"], one["endsAt"]) == ("2023-11-14T22:20:00.000Z", "0001-01-01T00:00:00Z")
    assert one["generatorURL"] == "http://barometer.test/alerts/7"
    assert all(isinstance(v, str) for v in [*one["labels"].values(), *one["annotations"].values()])
    assert len(one["fingerprint"]) == 16
    assert box.keys == ["key-1"]


def test_a_resolved_alert_says_when_it_ended_and_keeps_its_fingerprint(box: PostBox) -> None:
    send(box.url)
    send(box.url, message("resolved", state="resolved", ended_at=AT + 60_000, resolved_by="detector"))
    firing, resolved = box.bodies()
    assert (resolved["status"], resolved["alerts"][0]["status"]) == ("resolved", "resolved")
    assert resolved["alerts"][0]["endsAt"] == "2023-11-14T22:21:00.000Z"
    assert resolved["alerts"][0]["fingerprint"] == firing["alerts"][0]["fingerprint"]
    assert resolved["groupKey"] == firing["groupKey"]


def test_headers_and_secret_come_from_where_the_file_says(
    box: PostBox, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "Bearer t0ken")
    (tmp_path / "secret").write_text("s3cret\n")
    send(box.url, headers={"Authorization": "env:HOOK_TOKEN"}, secret=f"file:{tmp_path / 'secret'}")
    got = box.received[0]
    assert got["headers"]["Authorization"] == "Bearer t0ken"
    at, _, signature = got["headers"]["Barometer-Signature"].partition(",")
    signed = at.removeprefix("t=").encode() + b"." + got["body"]
    assert signature == "v1=" + hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("value", ["t0ken\nX-Other: 1", "t0ken密"])
def test_a_header_that_cannot_be_sent_is_not_quoted(box: PostBox, value: str) -> None:
    with pytest.raises(SendError, match="a header has characters") as e:
        send(box.url, headers={"Authorization": value})
    assert e.value.permanent
    assert "t0ken" not in str(e.value)
    assert box.received == []


def test_a_secret_that_is_gone_is_named_but_not_shown(box: PostBox) -> None:
    with pytest.raises(SettingsError, match="NOT_SET_ANYWHERE is not set"):
        send("env:NOT_SET_ANYWHERE")


@pytest.mark.parametrize(
    ("status", "headers", "permanent", "wait"),
    [
        (500, {}, False, None),
        (503, {"Retry-After": "20"}, False, 20.0),
        (429, {}, False, None),
        (429, {"Retry-After": "7"}, False, 7.0),
        (429, {"Retry-After": "86400"}, False, 3600.0),
        (429, {"Retry-After": "later"}, False, None),
        (408, {}, False, None),
        (400, {}, True, None),
        (401, {"Retry-After": "7"}, True, None),
        (404, {}, True, None),
        (301, {"Location": "http://127.0.0.1:1/"}, True, None),
    ],
)
def test_refusals(box: PostBox, status: int, headers: dict[str, str], permanent: bool, wait: float | None) -> None:
    box.answers = [(status, headers)]
    with pytest.raises(SendError) as e:
        send(box.url)
    assert (e.value.permanent, e.value.retry_after) == (permanent, wait)
    assert f"HTTP {status}" in str(e.value)
    assert len(box.received) == 1


def test_a_retry_after_that_is_a_date(box: PostBox) -> None:
    box.answers = [(429, {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)})]
    with pytest.raises(SendError) as e:
        send(box.url)
    assert e.value.retry_after == pytest.approx(90, abs=5)


def test_no_answer_in_time_may_pass(box: PostBox) -> None:
    box.delay = 1.5
    with pytest.raises(SendError, match=r"no answer within 0\.2 s") as e:
        send(box.url, timeout_seconds=0.2)
    assert not e.value.permanent


def test_nobody_there_may_pass_and_the_token_in_the_url_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with pytest.raises(SendError, match="refuses the connection") as e:
        send(f"http://127.0.0.1:{port}/t0ken")
    assert not e.value.permanent
    assert "t0ken" not in str(e.value)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "not a url"])
def test_a_url_that_cannot_be_called_is_no_use_trying(url: str) -> None:
    with pytest.raises(SendError, match="http:// or https://") as e:
        send(url)
    assert e.value.permanent


# --- mail ------------------------------------------------------------------------------------------------------------


class _Server:
    """Answers of an SMTP server; keeps what it accepted."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.rcpt: dict[str, str] = {}
        self.data = "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        answer = self.rcpt.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.data.startswith("250"):
            self.mails.append(
                (envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default))
            )
        return self.data


@pytest.fixture
def smtp() -> Iterator[tuple[_Server, Settings]]:
    handler = _Server()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield handler, load_settings(smtp_port=port, mail_from="Barometer <barometer@example.com>")
    finally:
        controller.stop()


def mail(settings: Settings, *to: str, said: Message | None = None) -> Sent:
    return open_channel(MailSettings(type="mail", to=list(to)), settings).send(said or message())


def test_a_mail_has_text_and_html_and_the_key_as_its_id(smtp: tuple[_Server, Settings]) -> None:
    server, settings = smtp
    assert mail(settings, "a@example.com", "b@example.com").detail == "accepted"
    (to, got), *rest = server.mails
    assert not rest
    assert to == ["a@example.com", "b@example.com"]
    assert got["Message-ID"] == "<key-1@example.com>"
    assert got["References"] == "<alert-7@example.com>"
    assert got["Bcc"] is None
    assert got["Subject"].startswith(
        "【严重】房地产：负面激增，30 分钟内 31 条（平时约 6.5 条） | [CRITICAL] Real estate: 31"
    )
    text = got.get_body(("plain",)).get_content()
    html = got.get_body(("html",)).get_content()
    assert "挤兑 Bcc: all@example.com" in text  # on one line, as a quotation
    assert "http://barometer.test/alerts/7" in text
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("rcpt", "data", "permanent", "says"),
    [
        ("550 no such user", "250 OK", True, "550"),
        ("450 try later", "250 OK", False, "450"),
        ("250 OK", "451 greylisted", False, "451 greylisted"),
        ("250 OK", "554 looks like spam", True, "554 looks like spam"),
    ],
)
def test_refused_mail(smtp: tuple[_Server, Settings], rcpt: str, data: str, permanent: bool, says: str) -> None:
    server, settings = smtp
    server.rcpt["a@example.com"], server.data = rcpt, data
    with pytest.raises(SendError) as e:
        mail(settings, "a@example.com")
    assert e.value.permanent == permanent
    assert says.split(maxsplit=1)[0] in str(e.value)
    assert server.mails == []


def test_a_partly_refused_mail_is_not_sent_twice_to_the_others(smtp: tuple[_Server, Settings]) -> None:
    server, settings = smtp
    server.rcpt["gone@example.com"] = "550 no such user"
    assert "gone@example.com (SMTP 550" in mail(settings, "a@example.com", "gone@example.com").detail
    assert len(server.mails) == 1


def test_no_mail_server_may_pass(smtp: tuple[_Server, Settings]) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with pytest.raises(SendError, match=f"127.0.0.1:{port} refuses the connection") as e:
        mail(load_settings(smtp_port=port), "a@example.com")
    assert not e.value.permanent


# --- apprise ---------------------------------------------------------------------------------------------------------


def apprise(url: str) -> Sent:
    return open_channel(AppriseSettings.model_validate({"type": "apprise", "url": url}), load_settings()).send(
        message()
    )


def test_apprise_says_yes_or_no(box: PostBox) -> None:
    url = box.url.replace("http://", "json://")
    assert apprise(url).detail == "taken by apprise"
    assert "房地产" in box.bodies()[0]["title"]
    box.answers = [(500, {"Retry-After": "30"})]
    with pytest.raises(SendError, match="could not deliver it by json") as e:
        apprise(url)
    assert (e.value.permanent, e.value.retry_after) == (False, None)


def test_apprise_does_not_know_the_url(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SendError, match="does not understand") as e:
        apprise("nonsense://t0ken")
    assert e.value.permanent
    assert "t0ken" not in caplog.text + str(e.value)
