"""API tokens: keys with which programs use the API in a user's name.

A token is shown once, when it is made; the store keeps its SHA-256. It can never do more than its user: one of scope
``read`` reads, one of scope ``act`` may do what the user's role allows, as it is at that moment.
"""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from barometer.errors import StoreError
from barometer.store.accounts.audit_log import note
from barometer.store.accounts.sessions import digest_of
from barometer.store.accounts.users import COLUMNS, User
from barometer.store.tables import ApiToken
from barometer.store.tables import User as _User

PREFIX = "barometer_"
"""Lets secret scanners and people recognise a leaked token."""
SCOPES = ("read", "act")
MAX_DAYS = 366
MOST = 20
"""Maximum number of valid tokens of a user."""
USED_MS = 60_000
"""Least time between two writes of ``last_used_at``."""
_DAY = 86_400_000


class Token(NamedTuple):
    """A token without its secret; times are epoch ms."""

    id: int
    user: str
    name: str
    scope: str
    created_at: int
    created_by: str
    expires_at: int
    last_used_at: int | None
    revoked_at: int | None
    revoked_by: str | None

    def state(self, now_ms: int) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if self.expires_at > now_ms else "expired"


_TOKEN: tuple[Any, ...] = (
    ApiToken.id,
    _User.name,
    ApiToken.name,
    ApiToken.scope,
    ApiToken.created_at,
    ApiToken.created_by,
    ApiToken.expires_at,
    ApiToken.last_used_at,
    ApiToken.revoked_at,
    ApiToken.revoked_by,
)


def add_token(
    c: Connection, user: str, name: str, scope: str, days: int, now_ms: int, *, actor: str
) -> tuple[Token, str]:
    """Make a token; returns it and its secret, which nobody can read again.

    Args:
        days: until it expires, 1 to ``MAX_DAYS``.

    Raises:
        StoreError: no such user, a name that is empty, long or taken, an unknown scope or one beyond the user's role,
            or too many tokens.
    """
    name = name.strip()
    if not (0 < len(name) <= 64 and name.isprintable()):
        raise StoreError("token name: 1 to 64 characters that say what it is for")
    if scope not in SCOPES:
        raise StoreError(f"token scope {scope!r}: use one of {', '.join(SCOPES)}")
    if not 1 <= days <= MAX_DAYS:
        raise StoreError(f"token days {days}: 1 to {MAX_DAYS}")
    # The user's row is held, so that two at once do not both find that there is room.
    found = c.execute(select(*COLUMNS).where(_User.name == user, _User.active).with_for_update()).one_or_none()
    if found is None:
        raise StoreError(f"there is no user {user!r} who may come in: see `barometer users list`")
    owner = User(*found)
    if scope == "act" and not owner.may_act:
        raise StoreError(f"token scope act: {user} is {owner.role} and may not act; make one of scope read")
    user_id = owner.id
    living = (ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None), ApiToken.expires_at > now_ms)
    if c.execute(select(ApiToken.id).where(*living, ApiToken.name == name)).first():
        raise StoreError(f"{user} has a token {name!r} already: revoke it first, or take another name")
    if c.execute(select(func.count()).select_from(ApiToken).where(*living)).scalar_one() >= MOST:
        raise StoreError(f"{user} has {MOST} tokens already: revoke one that is not needed")
    secret = PREFIX + secrets.token_urlsafe(32)
    values = {
        "user_id": user_id,
        "name": name,
        "digest": digest_of(secret),
        "scope": scope,
        "created_at": now_ms,
        "created_by": actor,
        "expires_at": now_ms + days * _DAY,
    }
    token_id = int(c.execute(insert(ApiToken).values(values).returning(ApiToken.id)).scalar_one())
    note(c, now_ms, actor, "token.add", user, {"token": token_id, "name": name, "scope": scope, "days": days})
    return _one(c, token_id), secret


def list_tokens(c: Connection, user: str | None = None) -> list[Token]:
    """Tokens of one user or of all, the newest first."""
    q = select(*_TOKEN).join(_User, _User.id == ApiToken.user_id).order_by(ApiToken.id.desc())
    return [Token(*row) for row in c.execute(q if user is None else q.where(_User.name == user))]


def revoke_token(c: Connection, token_id: int, now_ms: int, *, actor: str, user: str | None = None) -> Token:
    """End a token at once; one that is revoked already stays as it is.

    Args:
        user: only if it is this user's.

    Raises:
        StoreError: there is no such token (of this user).
    """
    q = select(ApiToken.id, ApiToken.revoked_at).join(_User, _User.id == ApiToken.user_id)
    q = q.where(ApiToken.id == token_id)
    row = c.execute(q if user is None else q.where(_User.name == user)).one_or_none()
    if row is None:
        whose = f" of {user}" if user else ""
        raise StoreError(f"there is no token {token_id}{whose}: see `barometer users token list`")
    found = _one(c, token_id)
    if row.revoked_at is None:
        c.execute(update(ApiToken).where(ApiToken.id == token_id).values(revoked_at=now_ms, revoked_by=actor))
        note(c, now_ms, actor, "token.revoke", found.user, {"token": token_id, "name": found.name})
    return _one(c, token_id)


class Bearer(NamedTuple):
    """A token's user and scope."""

    user: User
    token_id: int
    scope: str
    last_used_at: int | None


def find_bearer(c: Connection, secret: str, now_ms: int) -> Bearer | None:
    """The bearer of a token, if it is neither expired nor revoked and the user is active."""
    t = ApiToken
    row = c.execute(
        select(t.id, t.scope, t.last_used_at, *COLUMNS)
        .join(_User, _User.id == t.user_id)
        .where(t.digest == digest_of(secret), t.revoked_at.is_(None), t.expires_at > now_ms, _User.active)
    ).one_or_none()
    return None if row is None else Bearer(User(*row[3:]), int(row[0]), row[1], row[2])


def use_token(c: Connection, token_id: int, now_ms: int) -> None:
    """Record that a token was used."""
    c.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now_ms))


def _one(c: Connection, token_id: int) -> Token:
    q = select(*_TOKEN).join(_User, _User.id == ApiToken.user_id).where(ApiToken.id == token_id)
    return Token(*c.execute(q).one())
