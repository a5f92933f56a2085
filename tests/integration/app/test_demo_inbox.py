"""The demo's receivers: the product's own channels send to them, and a page shows what came, and runs nothing of it."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from app.demo.inbox import KEPT, Inbox, ReceivedMessage
from app.demo.people import write_people
from barometer.settings import Settings, load_settings
from monitor.notify.channels import SendError, open_channel
from monitor.notify.config import load_config
from tests.support.channel_samples import message

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


@pytest.fixture
def arrived() -> list[ReceivedMessage]:
    return []


@pytest.fixture
def inbox(tmp_path: Path, arrived: list[ReceivedMessage], monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with Inbox(tmp_path / "messages", port, arrived.append) as running:
        yield running


def settings(inbox: Inbox, tmp_path: Path, **more: object) -> Settings:
    people = tmp_path / "notify.yaml"
    write_people(people, inbox.url)
    given = {"notify_file": people, "smtp_port": inbox.mail_port, "smtp_user": inbox.user,
             "smtp_password": inbox.password, "mail_from": "Barometer <barometer@demo.example>"}  # fmt: skip
    return load_settings(**{**given, **more})


def test_what_the_demos_people_are_sent_is_shown_and_kept(
    inbox: Inbox, arrived: list[ReceivedMessage], tmp_path: Path
) -> None:
    config = load_config(settings(inbox, tmp_path))
    for receiver in config.file.receivers:
        for channel in receiver.channels:
            open_channel(channel, config.settings).send(message("both"))
    assert [(m.way, m.to) for m in arrived] == [
        ("mail", "risk-desk@demo.example"), ("card", "risk-desk"), ("card", "lijing"), ("card", "wanglei"),
        ("webhook", "operators"),
    ]  # fmt: skip
    assert all("房地产" in m.title or "Real estate" in m.title for m in arrived)
    assert all("/alerts/7" in m.text for m in arrived)
    inbox.zone = ZoneInfo("Asia/Shanghai")
    page = httpx.get(inbox.url + "/", trust_env=False)
    assert page.text.count(" +0800</span>") == 5, "the times are in the zone of the messages"
    # The sample holds a script: in the mail, in the card and in the whole text.
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.text.count("<article") == 5
    files = sorted(inbox.folder.iterdir())
    assert [f.name for f in files][:2] == ["001-mail.eml", "002-card.json"]
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "notify.yaml").stat().st_mode) == 0o600


def test_others_of_this_machine_get_nothing_and_leave_nothing(
    inbox: Inbox, arrived: list[ReceivedMessage], tmp_path: Path
) -> None:
    home = inbox.url.rpartition("/")[0]
    for path in ("/", "/newest", "/guess/", "/guess/newest"):
        assert httpx.get(home + path, trust_env=False).status_code == 404
    posted = httpx.post(f"{home}/guess/card/x", json={"card": {}}, trust_env=False)
    assert posted.status_code == 404
    config = load_config(settings(inbox, tmp_path, smtp_password="guess"))
    with pytest.raises(SendError, match="refused smtp_user and smtp_password"):
        open_channel(config.file.receivers[0].channels[0], config.settings).send(message())
    assert arrived == []


def test_a_message_that_is_none_is_refused(inbox: Inbox, arrived: list[ReceivedMessage]) -> None:
    for path in ("card", "webhook"):
        assert httpx.post(f"{inbox.url}/{path}/x", content=b"[1", trust_env=False).status_code == 400
    assert httpx.post(f"{inbox.url}/card/x", json={"msg_type": "text"}, trust_env=False).json()["code"] == 9499
    assert arrived == []


def test_a_long_run_keeps_the_last_messages_only(inbox: Inbox) -> None:
    for i in range(KEPT + 5):
        inbox.take("webhook", "x", str(i), "{}", b"{}")
    assert [m.title for m in inbox.messages][:2] == [str(KEPT + 4), str(KEPT + 3)]
    assert len(inbox.messages) == len(list(inbox.folder.iterdir())) == KEPT
