"""Sessions end when they should, limits hold for all processes, tokens do what they may and no more, and the audit log
has it; the store's part on both databases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from barometer.errors import StoreError
from barometer.settings import Settings
from barometer.store.accounts import sessions, tokens
from barometer.store.accounts.users import add_user, set_active, set_password, set_role
from barometer.store.backup.archive import make_backup, restore_backup
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import ApiToken, AuditEntry, RateCount, UserSession
from dashboard.app import create_app
from dashboard.security.limits import Limit
from tests.integration.dashboard.test_auth import log_in
from tests.support.api_client import watched
from tests.support.seed import PASSWORD, seed

GOOD = "correct horse battery"
DAY = 86_400_000


@pytest.fixture
def settings(settings_for: Callable[..., Settings], tmp_path: Path) -> Settings:
    return settings_for(database_url=f"sqlite:///{tmp_path / 'tokens.db'}", login_limit="1000 per minute")


@pytest.fixture
def opened(settings: Settings) -> Iterator[Store]:
    store = open_store(settings, migrate=True)
    seed(store, settings, days=0.1)
    yield store
    store.close()


@pytest.fixture
def server(settings: Settings, opened: Store) -> Flask:
    return watched(create_app(settings, opened))


def make(store: Store, user: str, scope: str = "read", days: int = 1, name: str = "a script") -> tuple[int, str]:
    with store.write() as c:
        made, secret = tokens.add_token(c, user, name, scope, days, store.now_ms(c), actor="tests")
    return made.id, secret


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


# --- the store, on both databases ------------------------------------------------------------------------------------


def test_tokens_in_the_store(store: Store) -> None:
    add_user(store, "wang", GOOD, "analyst", actor="root")
    number, secret = make(store, "wang", days=2)
    with store.read() as c:
        now = store.now_ms(c)
        found = tokens.find_bearer(c, secret, now)
        assert found is not None
        assert (found.user.name, found.scope, found.last_used_at) == ("wang", "read", None)
        assert tokens.find_bearer(c, secret + "x", now) is None
        assert tokens.find_bearer(c, secret, now + 3 * DAY) is None, "expired"
        stored = c.execute(select(ApiToken.digest)).scalar_one()
    assert secret.removeprefix(tokens.PREFIX) not in stored
    with pytest.raises(StoreError, match="already"):
        make(store, "wang")
    with store.write() as c, pytest.raises(StoreError, match="no token"):
        tokens.revoke_token(c, number, now, actor="li", user="li")
    with store.write() as c:
        ended = tokens.revoke_token(c, number, now, actor="root")
        assert tokens.revoke_token(c, number, now + 5, actor="li") == ended, "once is enough"
        assert tokens.find_bearer(c, secret, now) is None
    assert ended.state(now) == "revoked"
    make(store, "wang")  # the name is free again
    with store.read() as c:
        assert [t.revoked_by for t in tokens.list_tokens(c, "wang")] == [None, "root"]
        actions = c.execute(select(AuditEntry.action, AuditEntry.object, AuditEntry.data)).all()
    assert [a[:2] for a in actions[1:]] == [("token.add", "wang"), ("token.revoke", "wang"), ("token.add", "wang")]
    assert secret not in str(actions)


@pytest.mark.parametrize(
    ("user", "name", "scope", "days", "said"),
    [
        ("ghost", "x", "read", 1, "no user"),
        ("wang", "  ", "read", 1, "token name"),
        ("wang", "a\nb", "read", 1, "token name"),
        ("wang", "x", "write", 1, "token scope"),
        ("wang", "x", "read", 0, "token days"),
        ("wang", "x", "read", 367, "token days"),
    ],
)
def test_tokens_that_cannot_be(store: Store, user: str, name: str, scope: str, days: int, said: str) -> None:
    add_user(store, "wang", GOOD, "analyst", actor="root")
    with pytest.raises(StoreError, match=said):
        make(store, user, scope, days, name)


def test_a_user_has_so_many_tokens_at_most(store: Store) -> None:
    add_user(store, "wang", GOOD, "analyst", actor="root")
    for i in range(tokens.MOST):
        number, _ = make(store, "wang", name=str(i))
    with pytest.raises(StoreError, match="tokens already"):
        make(store, "wang", name="one more")
    with store.write() as c:
        tokens.revoke_token(c, number, store.now_ms(c), actor="root")
    make(store, "wang", name="one more")


def test_sessions_in_the_store(store: Store) -> None:
    add_user(store, "wang", GOOD, "viewer", actor="root")
    with store.write() as c:
        now = store.now_ms(c)
        one, two = (sessions.begin_session(c, 1, now, DAY, "192.0.2.7") for _ in range(2))
        found = sessions.find_session(c, one, now, None)
        assert found is not None
        assert sessions.find_session(c, one + "x", now, None) is None
        assert sessions.find_session(c, one, now + DAY, None) is None
        assert sessions.find_session(c, one, now + 999, 1_000) is not None
        assert sessions.find_session(c, one, now + 1_000, 1_000) is None, "idle"
        sessions.see_session(c, found.digest, now + 999)
        assert sessions.find_session(c, one, now + 1_000, 1_000) is not None
        sessions.end_sessions_of(c, 1, but=found.digest)
        assert sessions.find_session(c, two, now, None) is None
        assert sessions.find_session(c, one, now, None) is not None
        assert one not in str(c.execute(select(UserSession.__table__)).all())
        sessions.begin_session(c, 1, now + DAY, DAY, "")
        assert len(c.execute(select(UserSession.digest)).all()) == 1, "what is over is removed"


def test_a_restore_ends_all_sessions(store: Store, settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    """Who has logged out since the backup is not let in by it."""
    add_user(store, "wang", GOOD, "viewer", actor="root")
    with store.write() as c:
        secret = sessions.begin_session(c, 1, store.now_ms(c), DAY, "")
    file = tmp_path / "x.backup"
    make_backup(store, file, lambda *_: None)
    with store.write() as c:
        sessions.end_session(c, secret)
    settings = settings_for(database_url=store.url.render_as_string(hide_password=False))
    restore_backup(store, settings, file, "root", lambda *_: None, replace=True)
    with store.read() as c:
        assert sessions.find_session(c, secret, store.now_ms(c), None) is None


def test_a_limit_counts_for_all_processes_at_once(store: Store) -> None:
    limits = [Limit("20 per minute", "login", store) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda i: limits[i % 4].wait("192.0.2.1|wang"), range(40)))
    assert sum(w == 0 for w in waits) == 20
    assert all(0 < w <= 60 for w in waits if w)
    assert limits[0].wait("192.0.2.1|li") == 0
    with store.read() as c:
        assert "wang" not in str(c.execute(select(RateCount.__table__)).all()), "people type passwords as names"
    with store.write() as c:
        c.execute(update(RateCount).values(ends_at=1))
    assert limits[1].wait("192.0.2.1|wang") == 0, "another minute"


# --- the server ------------------------------------------------------------------------------------------------------


def test_two_processes_share_the_limit_on_log_ins(settings: Settings, opened: Store) -> None:
    strict = settings.model_copy(update={"login_limit": "4 per minute", "login_limit_address": "9 per minute"})
    clients = [create_app(strict, opened).test_client() for _ in range(2)]
    codes = [log_in(clients[i % 2], "viewer", "guess").status_code for i in range(6)]
    assert codes == [401, 401, 401, 401, 429, 429]
    # Another name from the same address: the address has its own limit.
    codes = [log_in(clients[i % 2], f"name{i}", "guess").status_code for i in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    answer = log_in(clients[0], "viewer")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60


def test_behind_a_proxy_the_address_is_the_callers(settings: Settings, opened: Store) -> None:
    strict = settings.model_copy(update={"login_limit": "1 per minute", "trusted_proxies": 1})
    client = create_app(strict, opened).test_client()

    def guess(address: str) -> int:
        page = client.get("/login").get_data(as_text=True)
        token = page.split('name="csrf_token" value="')[1].split('"')[0]
        data = {"name": "viewer", "password": "guess", "csrf_token": token}
        return client.post("/login", data=data, headers={"X-Forwarded-For": address}).status_code

    assert [guess("10.0.0.1"), guess("10.0.0.1"), guess("10.0.0.2")] == [401, 429, 401]
    assert guess("10.9.9.9, 10.0.0.2") == 429, "only what our own proxy appended counts"


def test_a_session_ends_when_nobody_does_anything(server: Flask, opened: Store) -> None:
    client = server.test_client()
    log_in(client, "viewer")
    poll = {"output": "x.y", "outputs": {}, "inputs": [], "changedPropIds": ["tick.n_intervals"]}

    def seen() -> int:
        with opened.read() as c:
            return int(c.execute(select(UserSession.seen_at)).scalar_one())

    def age(minutes: float) -> int:
        with opened.write() as c:
            at = int(opened.now_ms(c) - minutes * 60_000)
            c.execute(update(UserSession).values(seen_at=at))
        return at

    at = age(30)
    client.post("/_dash-update-component", json=poll)
    assert seen() == at, "a screen that refreshes by itself is nobody"
    assert client.get("/alerts").status_code == 200
    assert seen() > at
    at = age(0.5)
    client.get("/alerts")
    assert seen() == at, "written once a minute"
    age(61)
    assert client.post("/_dash-update-component", json=poll).status_code == 401
    assert client.get("/alerts").status_code == 302


def test_a_screen_on_a_wall_may_stay(settings: Settings, opened: Store) -> None:
    client = create_app(settings.model_copy(update={"session_idle_minutes": 0.0}), opened).test_client()
    log_in(client, "viewer")
    with opened.write() as c:
        c.execute(update(UserSession).values(seen_at=1))
    assert client.get("/alerts").status_code == 200


def test_a_copied_cookie_is_worth_nothing_after_the_log_out(server: Flask) -> None:
    client, thief = server.test_client(), server.test_client()
    log_in(client, "viewer")
    cookie = client.get_cookie("barometer_session")
    assert cookie
    thief.set_cookie("barometer_session", cookie.value)
    assert thief.get("/api/v1/status").status_code == 200
    client.post("/logout")
    assert thief.get("/api/v1/status").status_code == 401


def test_a_session_cannot_be_fixed_beforehand(server: Flask) -> None:
    client = server.test_client()
    client.get("/login")
    planted = client.get_cookie("barometer_session")
    assert planted
    log_in(client, "admin")
    now = client.get_cookie("barometer_session")
    assert now
    assert now.value != planted.value
    thief = server.test_client()
    thief.set_cookie("barometer_session", planted.value)
    assert thief.get("/api/v1/status").status_code == 401


def test_a_token_comes_in_at_the_api_alone(server: Flask, opened: Store, caplog: pytest.LogCaptureFixture) -> None:
    _, secret = make(opened, "analyst")
    client = server.test_client()
    with caplog.at_level(logging.DEBUG):
        assert client.get("/api/v1/status", headers=bearer(secret)).status_code == 200
    assert secret not in caplog.text
    assert "Set-Cookie" not in client.get("/api/v1/status", headers=bearer(secret)).headers
    for path in ("/", "/alerts", "/export/documents.csv", "/_dash-layout"):
        assert client.get(path, headers=bearer(secret)).status_code in (302, 401), path
    for header in ("Bearer", "Bearer ", "Bearer x", f"Basic {secret}", secret, f"Bearer {secret} x", "Bearer \x00"):
        answer = client.get("/api/v1/status", headers={"Authorization": header})
        assert answer.status_code == 401, header
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.get_json()["code"] in ("token", "log_in")
    with opened.read() as c:
        assert c.execute(select(ApiToken.last_used_at)).scalar_one() is not None


def test_a_token_does_what_scope_and_role_allow_and_no_more(server: Flask, opened: Store) -> None:
    client = server.test_client()

    def act(secret: str) -> int:
        return client.post("/api/v1/alerts/1/comment", json={"comment": "看过"}, headers=bearer(secret)).status_code

    number, acting = make(opened, "analyst", "act", name="acts")
    _, reading = make(opened, "analyst", "read", name="reads")
    with pytest.raises(StoreError, match="viewer is viewer and may not act"):
        make(opened, "viewer", "act", name="views")
    _, viewing = make(opened, "viewer", "read", name="views")
    assert [act(acting), act(reading), act(viewing)] == [200, 403, 403]
    # An export reads: it is for analysts, with whatever token; what a reading token may not do is said as what it is.
    for secret, status in ((reading, 200), (acting, 200), (viewing, 403)):
        assert client.get("/api/v1/export/documents.csv", headers=bearer(secret)).status_code == status
    said = {
        s: client.post("/api/v1/annotations/next", json={}, headers=bearer(s)).get_json() for s in (reading, viewing)
    }
    assert (said[reading]["code"], said[viewing]["code"]) == ("scope", "role")
    assert not any("alert" in x["error"] or "告警" in x["error_zh"] for x in said.values())
    set_role(opened, "analyst", "viewer", actor="tests")
    assert act(acting) == 403, "at once"
    set_role(opened, "analyst", "analyst", actor="tests")
    assert act(acting) == 200
    set_password(opened, "analyst", GOOD, actor="tests")
    assert client.get("/api/v1/status", headers=bearer(acting)).status_code == 200
    set_active(opened, "analyst", False, actor="tests")
    assert client.get("/api/v1/status", headers=bearer(acting)).status_code == 401
    set_active(opened, "analyst", True, actor="tests")
    with opened.write() as c:
        tokens.revoke_token(c, number, opened.now_ms(c), actor="tests")
    assert client.get("/api/v1/status", headers=bearer(acting)).status_code == 401


def test_a_bad_token_beside_a_good_session_is_refused(server: Flask) -> None:
    client = server.test_client()
    log_in(client, "admin")
    assert client.get("/api/v1/status").status_code == 200
    assert client.get("/api/v1/status", headers=bearer("barometer_x")).status_code == 401
    assert client.get("/api/v1/status").status_code == 200


def test_calls_are_throttled_by_user(settings: Settings, opened: Store) -> None:
    client = create_app(settings.model_copy(update={"api_limit": "3 per minute"}), opened).test_client()
    _, one = make(opened, "analyst", name="one")
    _, two = make(opened, "analyst", name="two")
    _, other = make(opened, "viewer")
    codes = [client.get("/api/v1/status", headers=bearer(s)).status_code for s in (one, two, one, two, other)]
    assert codes == [200, 200, 200, 429, 200]
    answer = client.get("/api/v1/status", headers=bearer(one))
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.get_json()["code"] == "throttled"
    guesses = [client.get("/api/v1/status", headers=bearer(f"barometer_{i}")).status_code for i in range(5)]
    assert guesses == [401, 401, 401, 429, 429]


def test_log_ins_are_in_the_audit_log(server: Flask, opened: Store) -> None:
    client = server.test_client()
    log_in(client, "viewer", "wrong password")
    log_in(client, "my secret password", "viewer")
    log_in(client, "viewer")
    client.post("/logout")
    with opened.read() as c:
        rows = c.execute(
            select(AuditEntry.action, AuditEntry.object, AuditEntry.data)
            .where(AuditEntry.action.like("log%"))
            .order_by(AuditEntry.id)
        ).all()
    assert [(r.action, r.object) for r in rows] == [
        ("login.failed", "viewer"), ("login.failed", "(unknown)"), ("login", "viewer"), ("logout", "viewer"),
    ]  # fmt: skip
    assert all(r.data["address"] == "127.0.0.1" for r in rows)
    assert "secret" not in str(rows)


def test_tokens_on_the_command_line(settings: Settings, opened: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from dashboard import cli

    monkeypatch.setattr(cli, "settings", lambda: settings)
    runner = CliRunner()

    def run(*arguments: str) -> Any:
        return runner.invoke(cli.app, ["users", *arguments])

    made = run("token", "add", "analyst", "夜间报表", "--scope", "act", "--days", "7")
    assert made.exit_code == 0, made.output
    secret = made.output.strip().splitlines()[-1]
    client: FlaskClient = create_app(settings, opened).test_client()
    assert client.get("/api/v1/status", headers=bearer(secret)).status_code == 200
    listed = run("token", "list", "analyst").output
    assert "valid" in listed
    assert secret not in listed
    assert run("disable", "analyst").exit_code == 0
    assert client.get("/api/v1/status", headers=bearer(secret)).status_code == 401
    assert log_in(client, "analyst", PASSWORD).status_code == 401
    assert run("enable", "analyst").exit_code == 0
    assert run("token", "revoke", "1").exit_code == 0
    assert "revoked" in run("token", "list").output
    assert run("token", "add", "ghost", "x").exit_code != 0
    assert run("link", "analyst", "https://sso.example 42").exit_code == 0
    assert run("link", "viewer", "https://sso.example 42").exit_code != 0
