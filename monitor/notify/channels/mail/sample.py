"""A sample of the channel for mail."""

from __future__ import annotations

from monitor.notify.channels.sample import ChannelSample

SAMPLE = ChannelSample(
    {"to": "oncall@example.com"},
)
