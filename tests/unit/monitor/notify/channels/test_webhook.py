"""What a webhook sends is Alertmanager's payload: its tests are those of the integration suite."""

from __future__ import annotations

import json
from typing import Any

from monitor.notify.message import Message


def harmless(body: Any, m: Message) -> None:
    """JSON strings: no reader of the payload parses them."""
    assert {a["generatorURL"] for a in body["alerts"]} == {m.facts["link"]}


def within_limits(sent: bytes, m: Message) -> None:
    body = json.loads(sent)
    assert body["alerts"][0]["annotations"]["description"] == m.text  # whole: a machine reads it
