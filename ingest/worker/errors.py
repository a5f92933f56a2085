"""Why a session with the broker ends and another one begins."""

from __future__ import annotations


class SessionOver(Exception):
    """What the session was built on has changed."""


class NoBroker(Exception):
    """No broker answers, or it refuses to make the topics."""
