"""A sample of the channel for Teams."""

from __future__ import annotations

from monitor.notify.channels.sample import BASE, TOKEN, ChannelSample, ServiceAnswers

SAMPLE = ChannelSample(
    {"url": f"{BASE}/hook/{TOKEN}"},
    ServiceAnswers(
        ok=b"",
        bad_token=(401, b'{"error":{"code":"DirectApiAuthorizationRequired"}}'),
    ),
)
