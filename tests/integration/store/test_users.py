"""Users in the store, on both databases."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from barometer.errors import StoreError
from barometer.store.accounts import users
from barometer.store.accounts.users import add_user, get_user, list_users, secret_key, set_password, set_role, verify
from barometer.store.engine import Store
from barometer.store.tables import AuditEntry
from barometer.store.tables import User as UserRow

GOOD = "correct horse battery"


@pytest.fixture(autouse=True)
def true_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_hasher", PasswordHasher())


def test_a_user_is_made_verified_and_changed(store: Store) -> None:
    add_user(store, "wang", GOOD, "viewer", actor="root")
    first = verify(store, "wang", GOOD)
    assert first is not None
    assert first.role == "viewer"
    assert not first.may_act
    assert verify(store, "wang", "wrong password") is None
    assert verify(store, "nobody", GOOD) is None
    set_role(store, "wang", "analyst", actor="root")
    set_password(store, "wang", GOOD + "2", actor="root")
    assert verify(store, "wang", GOOD) is None
    second = verify(store, "wang", GOOD + "2")
    assert second is not None
    assert second.may_act
    with store.read() as c:
        assert [u.name for u in list_users(c)] == ["wang"]
        assert get_user(c, second.id) is not None
        entries = c.execute(select(AuditEntry.action, AuditEntry.actor).order_by(AuditEntry.id)).all()
        stored = c.execute(select(UserRow.password_hash)).scalar_one()
    assert [tuple(e) for e in entries] == [("user.add", "root"), ("user.role", "root"), ("user.passwd", "root")]
    assert GOOD not in stored
    assert stored.startswith("$argon2id$")


def test_a_hash_of_older_parameters_is_renewed_at_log_in(store: Store) -> None:
    add_user(store, "li", GOOD, "viewer", actor="root")
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(GOOD)
    with store.write() as c:
        c.execute(update(UserRow).values(password_hash=weak))
    assert verify(store, "li", GOOD)
    with store.read() as c:
        assert c.execute(select(UserRow.password_hash)).scalar_one() != weak
    assert verify(store, "li", GOOD)


def test_an_inactive_user_does_not_come_in(store: Store) -> None:
    add_user(store, "zhao", GOOD, "admin", actor="root")
    with store.write() as c:
        c.execute(update(UserRow).values(active=False))
    assert verify(store, "zhao", GOOD) is None


@pytest.mark.parametrize(
    ("name", "password", "role", "said"),
    [
        ("a b", GOOD, "viewer", "user name"),
        ("", GOOD, "viewer", "user name"),
        ("ok", "short", "viewer", "at least"),
        ("ok", GOOD, "god", "role"),
        ("taken", GOOD, "viewer", "already"),
    ],
)
def test_what_is_refused_is_named(store: Store, name: str, password: str, role: str, said: str) -> None:
    add_user(store, "taken", GOOD, "viewer", actor="root")
    with pytest.raises(StoreError, match=said):
        add_user(store, name, password, role, actor="root")
    with pytest.raises(StoreError, match="no user"):
        set_password(store, "ghost", GOOD, actor="root")


def test_the_secret_key_is_made_once(store: Store) -> None:
    key = secret_key(store)
    assert len(key) >= 32
    assert secret_key(store) == key
