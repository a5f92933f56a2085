"""A sample of the channel for Telegram."""

from __future__ import annotations

from monitor.notify.channels.sample import BASE, TOKEN, ChannelSample, ServiceAnswers

SAMPLE = ChannelSample(
    {"token": TOKEN, "chat_id": 1, "base_url": BASE},
    ServiceAnswers(
        ok=b'{"ok":true,"result":{"message_id":1}}',
        bad_token=(401, b'{"ok":false,"error_code":401,"description":"Unauthorized"}'),
        busy=(
            429,
            b'{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":17}}',
            17.0,
        ),
        body_confirms=True,
    ),
)
