"""Users of the dashboard: names, roles, passwords hashed with Argon2id (RFC 9106, the library's defaults)."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from time import time_ns
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, insert, select, update

from barometer.errors import StoreError
from barometer.store.accounts.audit_log import note
from barometer.store.accounts.sessions import end_sessions_of
from barometer.store.engine import Store
from barometer.store.made_secrets import made_secret
from barometer.store.tables import User as _User
from barometer.vocabulary import ROLES

MIN_PASSWORD = 8
MAX_PASSWORD = 1024
_NAME = re.compile(r"[\w.@-]{1,64}")
_hasher = PasswordHasher()
# Verified when there is no such user, so that an answer takes as long and names cannot be told apart by time.
_NOBODY = _hasher.hash(secrets.token_urlsafe(16))


@dataclass(frozen=True, slots=True)
class User:
    """A user without the password."""

    id: int
    name: str
    role: str
    active: bool
    created_at: int
    last_login_at: int | None
    preferences: dict[str, Any]
    oidc_subject: str | None

    @property
    def may_act(self) -> bool:
        """Whether this user may change anything but their own preferences."""
        return self.role in ("analyst", "admin")


COLUMNS = (
    _User.id,
    _User.name,
    _User.role,
    _User.active,
    _User.created_at,
    _User.last_login_at,
    _User.preferences,
    _User.oidc_subject,
)


def list_users(c: Connection) -> list[User]:
    """All users, by name."""
    return [User(*row) for row in c.execute(select(*COLUMNS).order_by(_User.name))]


def get_user(c: Connection, user_id: int) -> User | None:
    row = c.execute(select(*COLUMNS).where(_User.id == user_id)).one_or_none()
    return User(*row) if row else None


def known_name(c: Connection, name: str) -> str | None:
    """The name, if a user has it."""
    found: str | None = c.execute(select(_User.name).where(_User.name == name)).scalar()
    return found


def has_password(c: Connection, user_id: int) -> bool:
    return bool(c.execute(select(_User.password_hash).where(_User.id == user_id)).scalar())


def add_user(store: Store, name: str, password: str, role: str, *, actor: str) -> None:
    """Make a user.

    Raises:
        StoreError: the name is taken or malformed, the role unknown, the password too short.
    """
    if not _NAME.fullmatch(name):
        raise StoreError(f"user name {name!r}: use 1 to 64 letters, digits or . _ @ -")
    _check_role(role)
    _check_password(password)
    now = time_ns() // 1_000_000
    row = {
        "name": name,
        "password_hash": _hasher.hash(password),
        "role": role,
        "active": True,
        "created_at": now,
        "preferences": {},
    }
    with store.write() as c:
        if c.execute(select(_User.id).where(_User.name == name)).first():
            raise StoreError(f"there is a user {name!r} already: use `barometer users passwd` or `role`")
        c.execute(insert(_User).values(**row))
        note(c, now, actor, "user.add", name, {"role": role})


def set_password(store: Store, name: str, password: str, *, actor: str, keep: str | None = None) -> None:
    """Change a password; ends all sessions of the user, except the one of the digest ``keep``.

    Raises:
        StoreError: no such user, or the password is too short.
    """
    _check_password(password)
    _change(store, name, {"password_hash": _hasher.hash(password)}, actor, "user.passwd", {}, keep)


def set_role(store: Store, name: str, role: str, *, actor: str) -> None:
    """Change a role; ends all sessions of the user.

    Raises:
        StoreError: no such user or role.
    """
    _check_role(role)
    _change(store, name, {"role": role}, actor, "user.role", {"role": role})


def set_active(store: Store, name: str, active: bool, *, actor: str) -> None:
    """Let a user in or keep them out; ends all sessions, and with a user who is kept out no token works.

    Raises:
        StoreError: no such user.
    """
    _change(store, name, {"active": active}, actor, "user.enable" if active else "user.disable", {})


def verify(store: Store, name: str, password: str) -> User | None:
    """The user, if name and password are right and the user is active; renews a hash of older parameters."""
    with store.read() as c:
        row = c.execute(select(_User.password_hash, *COLUMNS).where(_User.name == name)).one_or_none()
    # Who has no password, or is kept out, takes as long as who has a wrong one.
    known = row.password_hash if row is not None and row.password_hash else _NOBODY
    try:
        _hasher.verify(known, password[:MAX_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    if row is None or not row.active or not row.password_hash or len(password) > MAX_PASSWORD:
        return None
    now = time_ns() // 1_000_000
    values: dict[str, Any] = {"last_login_at": now}
    if _hasher.check_needs_rehash(row.password_hash):
        values["password_hash"] = _hasher.hash(password)
    with store.write() as c:
        c.execute(update(_User).where(_User.id == row.id).values(**values))
    return User(*row[1:])


def enter_from_provider(store: Store, subject: str, name: str, role: str) -> User:
    """Whoever a provider vouches for: known by the subject, or made under this name; with the role that it gives.

    Raises:
        StoreError: the name is malformed or belongs to somebody else, or the user is kept out.
    """
    _check_role(role)
    now = time_ns() // 1_000_000
    actor = "OpenID provider"
    with store.write() as c:
        row = c.execute(select(*COLUMNS).where(_User.oidc_subject == subject)).one_or_none()
        if row is None:
            if not _NAME.fullmatch(name):
                raise StoreError(f"user name {name!r}: use 1 to 64 letters, digits or . _ @ -")
            if c.execute(select(_User.id).where(_User.name == name)).first():
                raise StoreError(f"there is a user {name!r} of another origin: `barometer users link {name} {subject}`")
            values = {
                "name": name,
                "password_hash": "",
                "role": role,
                "active": True,
                "created_at": now,
                "last_login_at": now,
                "preferences": {},
                "oidc_subject": subject,
            }
            c.execute(insert(_User).values(values))
            note(c, now, actor, "user.add", name, {"role": role, "subject": subject})
        else:
            user = User(*row)
            if not user.active:
                raise StoreError(f"the user {user.name!r} is kept out")
            if user.role != role:
                end_sessions_of(c, user.id)
                note(c, now, actor, "user.role", user.name, {"role": role, "before": user.role})
            c.execute(update(_User).where(_User.id == user.id).values(role=role, last_login_at=now))
        return User(*c.execute(select(*COLUMNS).where(_User.oidc_subject == subject)).one())


def link_user(store: Store, name: str, subject: str, *, actor: str) -> None:
    """Let a user come in by a provider, too: ``subject`` is the issuer, a space, and the subject there.

    Raises:
        StoreError: no such user, or the subject is somebody else's.
    """
    issuer, _, rest = subject.partition(" ")
    if not issuer or not rest.strip():
        raise StoreError(f"subject {subject!r}: give the issuer, a space, and the subject, as the audit log has it")
    with store.read() as c:
        other = c.execute(select(_User.name).where(_User.oidc_subject == subject, _User.name != name)).scalar()
    if other is not None:
        raise StoreError(f"this subject is the user {other!r} already")
    _change(store, name, {"oidc_subject": subject}, actor, "user.link", {"subject": subject})


def set_preferences(store: Store, user_id: int, preferences: dict[str, Any]) -> None:
    """Language, theme and the like, as the dashboard remembers them."""
    with store.write() as c:
        c.execute(update(_User).where(_User.id == user_id).values(preferences=preferences))


def change_preferences(store: Store, user_id: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Set some preferences and keep the others, whatever another page sets at the same time; returns all of them.

    Raises:
        StoreError: no such user.
    """
    with store.write() as c:
        found = c.execute(select(_User.preferences).where(_User.id == user_id).with_for_update()).one_or_none()
        if found is None:
            raise StoreError(f"there is no user with the id {user_id}")
        merged = {**(found[0] or {}), **changes}
        c.execute(update(_User).where(_User.id == user_id).values(preferences=merged))
    return merged


def secret_key(store: Store) -> str:
    """The key that signs sessions where none is set: made once and kept in the store, equal for all processes."""
    return made_secret(store, "secret_key")


def _change(
    store: Store,
    name: str,
    values: dict[str, Any],
    actor: str,
    action: str,
    data: dict[str, Any],
    keep: str | None = None,
) -> None:
    with store.write() as c:
        user_id = c.execute(select(_User.id).where(_User.name == name)).scalar()
        if user_id is None:
            raise StoreError(f"there is no user {name!r}: see `barometer users list`")
        c.execute(update(_User).where(_User.id == user_id).values(**values))
        end_sessions_of(c, user_id, keep)
        note(c, time_ns() // 1_000_000, actor, action, name, data)


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise StoreError(f"role {role!r}: use one of {', '.join(ROLES)}")


def _check_password(password: str) -> None:
    if len(password) < MIN_PASSWORD:
        raise StoreError(f"the password must have at least {MIN_PASSWORD} characters")
    if len(password) > MAX_PASSWORD:
        raise StoreError(f"the password must have at most {MAX_PASSWORD} characters")
