"""What the page about receivers shows of an address never opens anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from monitor.notify.channels import ChannelConfig
from monitor.notify.secrets import HIDDEN, masked_phone, masked_url

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
        ({"type": "webhook", "url": "https://hook.test/s3cret", "secret": "s3cret"}, "https://hook.test/•••"),
        ({"type": "webhook", "url": "env:HOOK", "headers": {"X": "s3cret"}}, "env:HOOK"),
        ({"type": "webhook", "url": "file:/run/secrets/hook"}, "file:/run/secrets/hook"),
        ({"type": "webhook", "url": "http://[fd00::1]:81/s3cret"}, "http://[fd00::1]:81/•••"),
        ({"type": "webhook", "url": "s3cret"}, "•••"),
    ],
)  # fmt: skip
def test_an_address_holds_no_secret(channel: dict[str, object], shown: str) -> None:
    found = TypeAdapter(ChannelConfig).validate_python(channel)
    assert found.address() == shown


def test_short_numbers_are_not_shown_at_all() -> None:
    assert masked_phone("1234567") == HIDDEN
