"""A condition that a check found, before it becomes an alert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from barometer.vocabulary import Severity

PREFIX = "system:"
"""Of the fingerprints of alarms about the product itself."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One alarm: its name, how bad it is, what to say, the figures behind it."""

    name: str
    severity: Severity
    summary: str
    figures: dict[str, Any]
    patience: float = 0.0
    """Seconds that it must have held."""
