"""A sample of the channel for Slack."""

from __future__ import annotations

from monitor.notify.channels.sample import BASE, TOKEN, ChannelSample, ServiceAnswers

SAMPLE = ChannelSample(
    {"url": f"{BASE}/hook/{TOKEN}"},
    ServiceAnswers(
        ok=b"ok",
        bad_token=(403, b"invalid_token"),
    ),
)
