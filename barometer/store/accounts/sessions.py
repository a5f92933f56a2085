"""Sessions of browsers, kept in the store so that a log-out, a new password or role ends them everywhere at once.

A session ends after a time (``ends_at``) and when nobody did anything for a while. The name of a session is a random
value in the browser's cookie; the store keeps its SHA-256 alone, which suffices for 256 random bits.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from barometer.store.tables import User, UserSession

SEEN_MS = 60_000
"""Least time between two writes of ``seen_at``."""


class Session(NamedTuple):
    """A valid session."""

    digest: str
    user_id: int
    seen_at: int
    ends_at: int


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def begin_session(c: Connection, user_id: int, now_ms: int, lasts_ms: int, address: str) -> str:
    """Start a session; returns its secret name. Sessions whose time is over are removed."""
    secret = secrets.token_urlsafe(32)
    c.execute(delete(UserSession).where(UserSession.ends_at <= now_ms))
    values = {
        "digest": digest_of(secret),
        "user_id": user_id,
        "started_at": now_ms,
        "seen_at": now_ms,
        "ends_at": now_ms + lasts_ms,
        "address": address,
    }
    c.execute(insert(UserSession).values(values))
    return secret


def find_session(c: Connection, secret: str, now_ms: int, idle_ms: int | None) -> Session | None:
    """The session of that secret, if it is valid and its user is active.

    Args:
        idle_ms: how long nothing may be done; None: as long as it lasts.
    """
    s = UserSession
    row = c.execute(
        select(s.digest, s.user_id, s.seen_at, s.ends_at)
        .join(User, User.id == s.user_id)
        .where(s.digest == digest_of(secret), s.ends_at > now_ms, User.active)
    ).one_or_none()
    if row is None or (idle_ms is not None and row.seen_at + idle_ms <= now_ms):
        return None
    return Session(*row)


def see_session(c: Connection, digest: str, now_ms: int) -> None:
    """Record activity in a session."""
    c.execute(update(UserSession).where(UserSession.digest == digest).values(seen_at=now_ms))


def end_session(c: Connection, secret: str) -> None:
    c.execute(delete(UserSession).where(UserSession.digest == digest_of(secret)))


def end_sessions_of(c: Connection, user_id: int, but: str | None = None) -> None:
    """End all sessions of a user, except the one of the digest ``but``."""
    q = delete(UserSession).where(UserSession.user_id == user_id)
    c.execute(q if but is None else q.where(UserSession.digest != but))
