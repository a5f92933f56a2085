"""A record whose header name is not UTF-8 stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.stream.dead_letters import find_letters
from barometer.store.tables import Document
from testing.keyword_scorer import KeywordScorer
from tests.conftest import Broker
from tests.support.stream import message, topic_of, totals, wait_for, worker


class RawName(str):
    """A header name that is written as bytes of another encoding."""

    def encode(self, *_: Any) -> bytes:
        return str.encode(self, "gbk")


def test_header_names_in_another_encoding(store: Store, broker: Broker, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(broker, store.url.render_as_string(hide_password=False))
    with topic_of(settings) as topic:
        headers = [("plain", b"1"), (RawName("来源"), b"\xff")]
        topic.send(message("第一条"), partition=0, headers=headers)
        topic.send(b"{", partition=0, headers=headers)
        topic.send(message("第二条"), partition=0)
        topic.flush()
        with worker(settings, store, KeywordScorer()):
            wait_for(lambda: totals(store)["records"] == 3, 20)
    with store.read() as c:
        assert c.execute(select(Document.text).order_by(Document.row_id)).scalars().all() == ["第一条", "第二条"]
    [letter] = find_letters(store)
    assert letter.headers[0] == ("plain", b"1")
    assert "\ufffd" in letter.headers[1][0]
    assert letter.headers[1][1] == b"\xff"
    assert letter.value == b"{"
