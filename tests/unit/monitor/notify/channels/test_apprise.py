from __future__ import annotations

import pytest

from tests.support.channel_samples import config_of


@pytest.mark.parametrize(("url", "shown"), [("tgram://s3cret/1", "tgram://•••"), ("env:OPS", "env:OPS")])
def test_its_address_names_the_service_alone(url: str, shown: str) -> None:
    assert config_of("apprise", url=url).address() == shown
