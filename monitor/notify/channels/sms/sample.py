"""A sample of the channel for SMS and calls."""

from __future__ import annotations

from monitor.notify.channels.sample import BASE, SECRET, TOKEN, ChannelSample, ServiceAnswers

SAMPLE = ChannelSample(
    {"url": f"{BASE}/hook/{TOKEN}", "to": "13800000000", "headers": {"Authorization": SECRET}},
    ServiceAnswers(
        ok=b"{}",
        bad_token=(401, b"no such user"),
    ),
)
