"""A sample of the channel for Apprise."""

from __future__ import annotations

from monitor.notify.channels.sample import ChannelSample

SAMPLE = ChannelSample(
    {"url": "json://example.com"},
)
