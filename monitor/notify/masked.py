"""Where a channel leads, for people who look at what is configured: enough to know it again, never what opens it."""

from __future__ import annotations

from urllib.parse import urlsplit

from monitor.notify.config import (
    AppriseChannel,
    ChannelConfig,
    MailChannel,
    SmsChannel,
    TelegramChannel,
)

HIDDEN = "•••"


def address(channel: ChannelConfig) -> str:
    """The channel's target in words.

    A URL is shown up to its host, since path, query and user may be tokens; apprise's hosts may be, too. What is
    looked up elsewhere (``env:NAME``, ``file:PATH``) is shown by name. Telephone numbers lose their middle.
    """
    if isinstance(channel, MailChannel):
        return ", ".join(channel.to)
    if isinstance(channel, SmsChannel):
        return ", ".join(map(masked_phone, channel.to)) + f" · {masked_url(channel.url.get_secret_value())}"
    if isinstance(channel, TelegramChannel):
        return f"{masked_url(channel.base_url)} · {channel.chat_id}"
    url = channel.url.get_secret_value()
    if isinstance(channel, AppriseChannel) and not _elsewhere(url):
        return f"{url.partition('://')[0][:20]}://{HIDDEN}" if "://" in url else HIDDEN
    return masked_url(url)


def masked_url(url: str) -> str:
    """A URL up to its host.

    >>> masked_url("https://u:p@hooks.example:8443/T0/secret?key=1")
    'https://hooks.example:8443/•••'
    >>> masked_url("env:ONCALL_URL")
    'env:ONCALL_URL'
    """
    if _elsewhere(url):
        return url
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return HIDDEN
    if parts.scheme not in ("http", "https") or not host:
        return HIDDEN
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}/{HIDDEN}"


def masked_phone(number: str) -> str:
    """
    >>> masked_phone("13800001234"), masked_phone("110")
    ('138•••34', '•••')
    """
    return f"{number[:3]}{HIDDEN}{number[-2:]}" if len(number) >= 8 else HIDDEN


def _elsewhere(value: str) -> bool:
    return value.startswith(("env:", "file:"))
