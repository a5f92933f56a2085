"""What the page about receivers shows of an address never opens anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from monitor.notify.config import ChannelConfig
from monitor.notify.masked import HIDDEN, address, masked_phone, masked_url

WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789_-", min_size=6, max_size=30).map("tok".__add__)


@given(WORDS, WORDS, WORDS, WORDS, st.sampled_from(["http", "https"]), st.integers(1, 65535) | st.none())
def test_of_a_url_only_scheme_host_and_port_are_shown(
    user: str, password: str, path: str, key: str, scheme: str, port: int | None
) -> None:
    host = "hooks.corp.example" + (f":{port}" if port else "")
    shown = masked_url(f"{scheme}://{user}:{password}@{host}/{path}/x?key={key}#{key}")
    assert shown == f"{scheme}://{host}/{HIDDEN}"


@given(st.text(max_size=60))
def test_whatever_stands_there_is_shown_by_name_or_up_to_its_host(url: str) -> None:
    shown = masked_url(url)
    if not url.startswith(("env:", "file:")):
        assert shown == HIDDEN or (shown.endswith("/" + HIDDEN) and "@" not in shown and "?" not in shown)


@pytest.mark.parametrize(
    ("channel", "shown"),
    [
        ({"type": "mail", "to": ["a@corp.example", "b@corp.example"]}, "a@corp.example, b@corp.example"),
        ({"type": "feishu", "url": "https://open.feishu.cn/hook/s3cret", "secret": "s3cret"}, "https://open.feishu.cn/•••"),
        ({"type": "webhook", "url": "env:HOOK", "headers": {"X": "s3cret"}}, "env:HOOK"),
        ({"type": "slack", "url": "file:/run/secrets/slack"}, "file:/run/secrets/slack"),
        ({"type": "telegram", "token": "1:s3cret", "chat_id": -7}, "https://api.telegram.org/••• · -7"),
        ({"type": "sms", "url": "https://sms.example/s3cret", "to": 13800001234}, "138•••34 · https://sms.example/•••"),
        ({"type": "apprise", "url": "tgram://s3cret/1"}, "tgram://•••"),
        ({"type": "apprise", "url": "env:OPS"}, "env:OPS"),
        ({"type": "webhook", "url": "http://[fd00::1]:81/s3cret"}, "http://[fd00::1]:81/•••"),
        ({"type": "webhook", "url": "s3cret"}, "•••"),
    ],
)  # fmt: skip
def test_each_kind_of_channel(channel: dict[str, object], shown: str) -> None:
    found: ChannelConfig = TypeAdapter(ChannelConfig).validate_python(channel)
    assert address(found) == shown
    assert "s3cret" not in address(found)


def test_short_numbers_are_not_shown_at_all() -> None:
    assert masked_phone("1234567") == HIDDEN
