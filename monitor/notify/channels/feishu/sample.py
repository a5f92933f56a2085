"""A sample of the channel for Feishu."""

from __future__ import annotations

from monitor.notify.channels.sample import BASE, SECRET, TOKEN, ChannelSample, ServiceAnswers

SAMPLE = ChannelSample(
    {"url": f"{BASE}/hook/{TOKEN}", "secret": SECRET},
    ServiceAnswers(
        ok=b'{"code":0,"msg":"success","data":{}}',
        bad_token=(200, b'{"code":19001,"msg":"param invalid: incoming webhook access token invalid"}'),
        busy=(200, b'{"code":11232,"msg":"frequency limited"}', 60.0),
        unknown_error=b'{"code":77777,"msg":"odd"}',
        body_confirms=True,
    ),
)
