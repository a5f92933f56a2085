"""A sample of the channel for WeCom."""

from __future__ import annotations

from monitor.notify.channels.sample import BASE, TOKEN, ChannelSample, ServiceAnswers

SAMPLE = ChannelSample(
    {"url": f"{BASE}/hook/{TOKEN}"},
    ServiceAnswers(
        ok=b'{"errcode":0,"errmsg":"ok"}',
        bad_token=(200, b'{"errcode":93000,"errmsg":"invalid webhook url"}'),
        busy=(200, b'{"errcode":45009,"errmsg":"api freq out of limit"}', 60.0),
        unknown_error=b'{"errcode":77777,"errmsg":"odd"}',
        body_confirms=True,
    ),
)
