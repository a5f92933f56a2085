"""Samples of channels: what ``barometer notify preview`` sets up, and what tests play a service with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BASE, TOKEN, SECRET = "{base}", "{token}", "{secret}"
"""Stand in a sample for the address of the service and for what must never show."""


@dataclass(frozen=True, slots=True)
class ServiceAnswers:
    """How the service answers, by its documentation: (HTTP status, body)."""

    ok: bytes
    """The body of a 200."""
    bad_token: tuple[int, bytes]
    busy: tuple[int, bytes, float] | None = None
    """In the service's own words, with the seconds to wait."""
    unknown_error: bytes | None = None
    """The body of a 200 that refuses for a reason that we do not know."""
    body_confirms: bool = False
    """Whether a 2xx is a yes only if its body says so."""


@dataclass(frozen=True, slots=True)
class ChannelSample:
    """An entry of the file of receivers without its ``type``; ``answers`` is None where it is not one POST."""

    settings: Mapping[str, Any]
    answers: ServiceAnswers | None = None

    def filled(self, base: str, token: str, secret: str) -> dict[str, Any]:
        """The entry with address and secrets put in."""

        def fill(value: Any) -> Any:
            if isinstance(value, str):
                return value.replace(BASE, base).replace(TOKEN, token).replace(SECRET, secret)
            return {name: fill(x) for name, x in value.items()} if isinstance(value, dict) else value

        return {name: fill(value) for name, value in self.settings.items()}
