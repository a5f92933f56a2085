from __future__ import annotations

import doctest
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from monitor.notify.channels.sms import sender as sms
from monitor.notify.message import Message
from tests.support.channel_samples import SECRET, channel_of, config_of, message, request_of


def harmless(body: Any, m: Message) -> None:
    """Plain text: nothing parses it."""


def within_limits(sent: bytes, m: Message) -> None:
    for parts in (1, 3):
        assert sms.fits(sms.short(m, parts), parts)
    assert len(sms.spoken(m)) <= 160


@pytest.mark.parametrize(
    ("title", "parts", "found"),
    [
        ("短", 1, "短 http://barometer.test/alerts/7"),
        ("涨" * 60, 1, "涨" * 60 + " #7"),
        ("涨" * 80, 1, "涨" * 66 + "… #7"),
        ("a" * 200, 1, "a" * 154 + "... #7"),
        ("涨" * 80, 2, "涨" * 80 + " http://barometer.test/alerts/7"),
        ("👍🏽" * 40, 1, "👍🏽" * 16 + "… #7"),
    ],
)
def test_an_sms_is_short(title: str, parts: int, found: str) -> None:
    m = message()
    m = replace(m, sections=(replace(m.sections[0], title=title),))
    assert sms.short(m, parts) == found
    assert sms.fits(found, parts)


def test_it_has_the_fields_that_its_provider_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_KEY", SECRET)
    to = ["13800000000", "13900000000"]
    fields = {"mobile": "{to}", "content": "[Barometer] {text}", "key": "env:SMS_KEY", "uid": "{id}"}
    body = json.loads(request_of("sms", message(), body=fields, to=to).body)
    assert body["mobile"] == "13800000000,13900000000"
    assert body["content"].startswith("[Barometer] 【严重】房地产")
    assert (body["key"], body["uid"]) == (SECRET, "key-1")
    form = request_of("sms", message(), body=fields, to=to, form=True).body.decode()
    assert parse_qs(form)["mobile"] == ["13800000000,13900000000"]
    assert SECRET not in channel_of("sms", body=fields | {"key": SECRET}).preview(message())


def test_a_telephone_number_may_be_a_number_and_loses_its_middle_on_screens() -> None:
    assert config_of("sms", "https://sms.example", to=13800001234).address() == "138•••34 · https://sms.example/•••"


def test_examples_in_docstrings_run() -> None:
    result = doctest.testmod(sms)
    assert (result.attempted, result.failed) == (1, 0)
