from __future__ import annotations

from tests.support.channel_samples import config_of


def test_its_address_is_its_recipients() -> None:
    shown = config_of("mail", to=["a@corp.example", "b@corp.example"]).address()
    assert shown == "a@corp.example, b@corp.example"
