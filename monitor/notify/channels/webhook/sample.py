"""A sample of the channel for a webhook."""

from __future__ import annotations

from monitor.notify.channels.sample import BASE, SECRET, TOKEN, ChannelSample, ServiceAnswers

SAMPLE = ChannelSample(
    {"url": f"{BASE}/hook/{TOKEN}", "secret": SECRET},
    ServiceAnswers(
        ok=b"ok",
        bad_token=(401, b""),
    ),
)
