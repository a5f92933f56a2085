"""Every kind of channel as the file of receivers would have it, and messages for them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from barometer.settings import load_settings
from monitor.notify.channels import Channel, open_channel
from monitor.notify.config import ChannelConfig, Receiver
from monitor.notify.facts import facts_of
from monitor.notify.message import Message, render
from tests.support.alert_examples import AT, alert

HTTP = ("webhook", "feishu", "dingtalk", "wecom", "slack", "telegram", "teams", "sms", "voice")
TOKEN = "t0ken-a1b2c3d4e5"
SECRET = "s3cret-f6e5d4c3b2"


def config_of(kind: str, base: str = "http://127.0.0.1:1", **more: Any) -> ChannelConfig:
    """A channel that sends to ``base``, with a token in the URL and a secret where the kind has one."""
    values: dict[str, Any] = {"type": kind, "url": f"{base}/hook/{TOKEN}"}
    if kind == "telegram":
        values = {"type": kind, "token": TOKEN, "chat_id": -100123, "base_url": base}
    if kind in ("webhook", "feishu", "dingtalk"):
        values["secret"] = SECRET
    if kind in ("sms", "voice"):
        values |= {"to": ["13800000000", "13900000000"], "headers": {"Authorization": SECRET}}
    config: ChannelConfig = TypeAdapter(ChannelConfig).validate_python(values | more)
    return config


def channel_of(kind: str, base: str = "http://127.0.0.1:1", **more: Any) -> Channel:
    return open_channel(config_of(kind, base, **more), load_settings())


def message(lang: str = "zh", reason: str = "first", **more: Any) -> Message:
    receiver = Receiver.model_validate({"name": "oncall", "lang": lang, "channels": [{"type": "mail", "to": "a@b.c"}]})
    config = load_settings(public_url="http://barometer.test/")
    facts = facts_of(alert(**more), reason=reason, receiver=receiver, settings=config, now_ms=AT + 1_200_000)
    return render(facts, "key-1")
