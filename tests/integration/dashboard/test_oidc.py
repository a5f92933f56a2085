"""Logging in with an OpenID provider that runs beside: the whole way, and what must not come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import select, update

from barometer.errors import SettingsError
from barometer.settings import Settings, load_settings
from barometer.store.accounts.users import add_user, link_user
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import AuditEntry, User
from dashboard.app import create_app
from tests.support.oidc_provider import CLIENT, SECRET, Person, Provider, running

PUBLIC = "http://localhost"


@pytest.fixture(scope="module")
def one_provider() -> Iterator[Provider]:
    with running() as provider:
        provider.redirect_uri = f"{PUBLIC}/login/oidc/callback"
        yield provider


@pytest.fixture
def provider(one_provider: Provider) -> Provider:
    one_provider.person = Person("1001", "zhou", ["risk", "canteen"])
    one_provider.claims, one_provider.flaws, one_provider.groups_in_userinfo = {}, set(), False
    one_provider.asked.clear()
    return one_provider


@pytest.fixture
def settings(settings_for: Callable[..., Settings], tmp_path: Path, provider: Provider) -> Settings:
    return settings_for(
        database_url=f"sqlite:///{tmp_path / 'oidc.db'}", public_url=PUBLIC, oidc_issuer=provider.issuer,
        oidc_client_id=CLIENT, oidc_client_secret=SecretStr(SECRET), oidc_roles={"risk": "analyst", "it": "admin"},
        login_limit_address="1000 per minute",
    )  # fmt: skip


@pytest.fixture
def opened(settings: Settings) -> Iterator[Store]:
    store = open_store(settings, migrate=True)
    yield store
    store.close()


@pytest.fixture
def server(settings: Settings, opened: Store) -> Flask:
    return create_app(settings, opened)


def come_in(client: FlaskClient, next_: str = "") -> Any:
    """As a browser does it: to the provider, and back with what it says."""
    away = client.get("/login/oidc", query_string={"next": next_})
    assert away.status_code == 302, away.get_data(as_text=True)
    answer = httpx.get(away.location)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    return client.get(f"{back.path}?{back.query}")


def test_who_the_provider_knows_comes_in_with_the_role_of_the_claim(
    server: Flask, opened: Store, provider: Provider
) -> None:
    client = server.test_client()
    assert "/login/oidc?" in client.get("/login").get_data(as_text=True)
    answer = come_in(client, "/alerts?x=1")
    assert answer.location == "/alerts?x=1"
    assert client.get("/api/v1/status").status_code == 200
    asked = provider.asked[0]
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) >= 20
    assert len(asked["nonce"]) >= 20
    with opened.read() as c:
        user = c.execute(select(User.name, User.role, User.password_hash, User.oidc_subject)).one()
        actions = c.execute(select(AuditEntry.action, AuditEntry.object).order_by(AuditEntry.id)).all()
    assert tuple(user) == ("zhou", "analyst", "", f"{provider.issuer} 1001")
    assert [tuple(a) for a in actions] == [("user.add", "zhou"), ("login", "zhou")]
    # There is no password, not even an empty one.
    page = server.test_client()
    token = page.get("/login").get_data(as_text=True).split('name="csrf_token" value="')[1].split('"')[0]
    tried = page.post("/login", data={"name": "zhou", "password": "", "csrf_token": token})
    assert tried.status_code == 401


def test_a_role_follows_the_claim_and_ends_what_was_open(server: Flask, opened: Store, provider: Provider) -> None:
    first, second = server.test_client(), server.test_client()
    come_in(first)
    provider.person = Person("1001", "renamed", ["it"])
    come_in(second)
    assert first.get("/api/v1/status").status_code == 401
    with opened.read() as c:
        assert c.execute(select(User.name, User.role)).all() == [("zhou", "admin")], "known by the subject"
    provider.person.groups = ["canteen"]
    assert come_in(server.test_client()).status_code == 403, "no role any more"


def test_groups_may_come_from_the_userinfo_endpoint(server: Flask, opened: Store, provider: Provider) -> None:
    provider.groups_in_userinfo = True
    assert come_in(server.test_client()).status_code == 302
    provider.flaws = {"userinfo"}
    assert come_in(server.test_client()).status_code == 403


def test_nobody_takes_over_a_user_by_the_name(server: Flask, opened: Store, provider: Provider) -> None:
    add_user(opened, "zhou", "a password of hers", "admin", actor="tests")
    client = server.test_client()
    answer = come_in(client)
    assert answer.status_code == 403
    assert client.get("/api/v1/status").status_code == 401
    with opened.read() as c:
        entry = c.execute(select(AuditEntry.data).where(AuditEntry.action == "login.failed")).scalar_one()
    assert f"barometer users link zhou {provider.issuer} 1001" in entry["why"]
    link_user(opened, "zhou", f"{provider.issuer} 1001", actor="tests")
    assert come_in(client).status_code == 302


def test_who_is_kept_out_stays_out(server: Flask, opened: Store, provider: Provider) -> None:
    come_in(server.test_client())
    with opened.write() as c:
        c.execute(update(User).values(active=False))
    assert come_in(server.test_client()).status_code == 403


@pytest.mark.parametrize("flaw", ["unsigned", "signature"])
def test_an_id_token_that_the_provider_did_not_sign(server: Flask, provider: Provider, flaw: str) -> None:
    provider.flaws = {flaw}
    assert come_in(server.test_client()).status_code == 403


@pytest.mark.parametrize(
    "claims",
    [{"iss": "https://another.example"}, {"aud": ["another"]}, {"exp": 1_000}, {"nonce": "of another"}, {"sub": ""}],
    ids=lambda c: next(iter(c)),
)
def test_an_id_token_for_somebody_else(server: Flask, provider: Provider, claims: dict[str, Any]) -> None:
    provider.claims = claims
    client = server.test_client()
    assert come_in(client).status_code == 403
    assert client.get("/api/v1/status").status_code == 401


def test_the_answer_must_be_to_ones_own_question(server: Flask, provider: Provider) -> None:
    away = server.test_client().get("/login/oidc")
    answer = httpx.get(away.location).headers["location"]
    back = urlsplit(answer)
    victim = server.test_client()
    assert victim.get(f"{back.path}?{back.query}").status_code == 403, "somebody else's log-in is not slipped in"
    assert victim.get("/login/oidc/callback?code=x&state=y").status_code == 403
    assert victim.get("/login/oidc/callback?error=access_denied").status_code == 403
    client = server.test_client()
    client.get("/login/oidc")
    code = parse_qs(back.query)["code"][0]
    state = parse_qs(urlsplit(client.get("/login/oidc").location).query)["state"][0]
    # A code that was given for another challenge: PKCE.
    assert client.get(f"/login/oidc/callback?code={code}&state={state}").status_code == 403


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nX: y"])
def test_it_leads_nowhere_else(server: Flask, provider: Provider, target: str) -> None:
    assert come_in(server.test_client(), target).location == "/"


def test_a_provider_that_is_another_or_away(
    settings: Settings, opened: Store, provider: Provider, server: Flask
) -> None:
    provider.flaws = {"issuer"}
    assert server.test_client().get("/login/oidc").status_code == 502
    gone = create_app(settings.model_copy(update={"oidc_issuer": "http://127.0.0.1:9"}), opened)
    assert gone.test_client().get("/login/oidc").status_code == 502


def test_without_passwords(settings: Settings, opened: Store, provider: Provider) -> None:
    add_user(opened, "wang", "a password of his", "admin", actor="tests")
    client = create_app(settings.model_copy(update={"password_login": False}), opened).test_client()
    page = client.get("/login").get_data(as_text=True)
    assert 'type="password"' not in page
    assert client.post("/login", data={"name": "wang", "password": "a password of his"}).status_code == 403
    assert come_in(client).status_code == 302


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"oidc_issuer": "http://sso.example", "oidc_client_id": "x", "oidc_default_role": "viewer"}, "https"),
        ({"oidc_issuer": "https://sso.example", "oidc_default_role": "viewer"}, "oidc_client_id"),
        ({"oidc_issuer": "https://sso.example", "oidc_client_id": "x"}, "oidc_roles"),
        ({"password_login": False}, "nobody could log in"),
        ({"login_limit": "often"}, "10 per minute"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(**given)
