"""A sample of the channel for DingTalk."""

from __future__ import annotations

from monitor.notify.channels.sample import BASE, SECRET, TOKEN, ChannelSample, ServiceAnswers

SAMPLE = ChannelSample(
    {"url": f"{BASE}/hook/{TOKEN}", "secret": SECRET},
    ServiceAnswers(
        ok=b'{"errcode":0,"errmsg":"ok"}',
        bad_token=(200, b'{"errcode":300001,"errmsg":"token is not exist"}'),
        busy=(200, b'{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}', 60.0),
        unknown_error=b'{"errcode":77777,"errmsg":"odd"}',
        body_confirms=True,
    ),
)
