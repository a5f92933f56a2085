"""Secrets of the file of receivers: where they are looked up, and what may be shown of an address."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from barometer.errors import SettingsError

HIDDEN = "•••"


def reveal(value: SecretStr) -> str:
    """What a value stands for: ``env:NAME`` and ``file:/path`` are looked up, anything else is itself.

    Raises:
        SettingsError: the variable is not set, or the file cannot be read or is empty.
    """
    text = value.get_secret_value()
    if text.startswith("env:"):
        found = os.environ.get(text[4:], "")
        if not found:
            raise SettingsError(f"the environment variable {text[4:]} is not set")
        return found
    if text.startswith("file:"):
        try:
            found = Path(text[5:]).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as e:
            raise SettingsError(f"cannot read {text[5:]}: {getattr(e, 'strerror', None) or e}") from None
        if not found:
            raise SettingsError(f"{text[5:]} is empty")
        return found
    return text


def masked_url(url: str) -> str:
    """A URL up to its host.

    >>> masked_url("https://u:p@hooks.example:8443/T0/secret?key=1")
    'https://hooks.example:8443/•••'
    >>> masked_url("env:ONCALL_URL")
    'env:ONCALL_URL'
    """
    if is_reference(url):
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


def is_reference(value: str) -> bool:
    """Whether a value names where the secret is, and is none itself."""
    return value.startswith(("env:", "file:"))
