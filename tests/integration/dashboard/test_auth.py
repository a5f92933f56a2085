"""Nothing is to be had without a log-in; roles, throttle, cross-site requests, expiry; and the JSON API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from barometer.settings import Settings
from barometer.store.accounts.users import set_password, set_role
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import AlertEvent, User, UserSession
from dashboard.app import create_app
from dashboard.security.auth import OPEN_ASSETS, OPEN_ENDPOINTS
from tests.support.api_client import watched
from tests.support.seed import PASSWORD, seed

OPEN_PATHS = {"/login", "/logout", "/health", "/metrics"}


@pytest.fixture
def settings(settings_for: Callable[..., Settings], tmp_path: Path) -> Settings:
    return settings_for(database_url=f"sqlite:///{tmp_path / 'dashboard.db'}", login_limit="1000 per minute")


@pytest.fixture
def opened(settings: Settings) -> Iterator[Store]:
    store = open_store(settings, migrate=True)
    seed(store, settings, days=0.3)
    yield store
    store.close()


@pytest.fixture
def server(settings: Settings, opened: Store) -> Flask:
    made = watched(create_app(settings, opened))
    made.config["PROPAGATE_EXCEPTIONS"] = True
    return made


def token(client: FlaskClient) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").get_data(as_text=True))
    assert found
    return found[1]


def log_in(client: FlaskClient, name: str, password: str = PASSWORD, **more: str) -> Any:
    return client.post("/login", data={"name": name, "password": password, "csrf_token": token(client), **more})


@pytest.fixture
def as_role(server: Flask) -> Callable[[str], FlaskClient]:
    def make(role: str) -> FlaskClient:
        client = server.test_client()
        assert log_in(client, role).status_code == 302
        return client

    return make


def filled(rule: Any) -> str:
    path = str(rule)
    values = {"name": "all", "path:path": "alerts", "path:filename": "barometer.js", "path:rest": "nowhere",
              "string:package_name": "dash", "path:fingerprinted_path": "deps/react@18.js",
              "document_id": "1-1"}  # fmt: skip
    for name, value in values.items():
        path = path.replace(f"<{name}>", value)
    path = re.sub(r"<int:\w+>", "1", path)
    path = re.sub(r"<any\(([^,)]+)[^)]*\):\w+>", r"\1", path)  # any of several words: the first
    assert "<" not in path, f"teach this test about {rule}"
    return path


def test_every_route_asks_for_a_session_but_health_metrics_and_log_in(server: Flask) -> None:
    client = server.test_client()
    client.get("/health")  # Dash adds its routes' callbacks at the first request
    paths = [(filled(r), m, r.endpoint) for r in server.url_map.iter_rules() for m in r.methods or () if m != "OPTIONS"]
    paths += [(p, "GET", "page") for p in ("/alerts", "/alerts/1", "/series/all", "/documents", "/system", "/nowhere")]
    assert len(paths) > 20
    refused = 0
    for path, method, endpoint in paths:
        answer = client.open(path, method=method)
        if path in OPEN_PATHS:
            assert endpoint in OPEN_ENDPOINTS
            assert answer.status_code in (200, 302, 400)
        elif answer.status_code == 302:
            assert answer.location.startswith("/login")
            refused += 1
        else:
            assert answer.status_code == 401, (path, method)
            refused += 1
    assert refused > 20


def test_only_the_log_in_pages_own_files_are_open(server: Flask) -> None:
    client = server.test_client()
    assert all(client.get(f"/assets/{name}").status_code == 200 for name in OPEN_ASSETS)
    assert client.get("/assets/barometer.js").status_code == 401
    assert client.get("/assets/../app.py").status_code in (302, 401, 404)


def test_log_in_and_out(server: Flask) -> None:
    client = server.test_client()
    answer = client.get("/alerts/1?x=1")
    assert answer.location == "/login?next=/alerts/1%3Fx%3D1"
    answer = log_in(client, "viewer", next="/alerts/1?x=1")
    assert answer.location == "/alerts/1?x=1"
    cookie = next(h for h in answer.headers.getlist("Set-Cookie") if h.startswith("barometer_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert client.get("/").status_code == 200
    assert client.get("/api/v1/status").status_code == 200
    client.post("/logout")
    assert client.get("/api/v1/status").status_code == 401


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_log_in_leads_nowhere_else(server: Flask, target: str) -> None:
    assert log_in(server.test_client(), "viewer", next=target).location == "/"


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(server: Flask) -> None:
    client = server.test_client()
    wrong, unknown = log_in(client, "viewer", "not the password"), log_in(client, "nobody", "not the password")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    strip = re.compile(r'value="[^"]*"|autofocus')
    assert strip.sub("", wrong.get_data(as_text=True)) == strip.sub("", unknown.get_data(as_text=True))


def test_the_log_in_form_needs_its_token(server: Flask) -> None:
    client = server.test_client()
    answer = client.post("/login", data={"name": "viewer", "password": PASSWORD})
    assert answer.status_code == 400
    assert client.get("/api/v1/status").status_code == 401


def test_guessing_is_slowed_down_by_name_and_address(settings: Settings, opened: Store) -> None:
    server = create_app(settings.model_copy(update={"login_limit": "3 per minute"}), opened)
    client = server.test_client()
    assert [log_in(client, "viewer", "guess").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    assert log_in(client, "VIEWER ", "guess").status_code == 429
    assert log_in(client, "viewer").status_code == 429
    assert log_in(client, "analyst").status_code == 302


def test_requests_of_other_sites_are_refused(as_role: Callable[[str], FlaskClient]) -> None:
    client = as_role("admin")
    for path in ("/_dash-update-component", "/api/v1/alerts/1/acknowledge", "/login", "/logout"):
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        ):
            assert client.post(path, json={}, headers=headers).status_code == 403, (path, headers)
    good = client.post("/api/v1/alerts/1/acknowledge", json={}, headers={"Sec-Fetch-Site": "same-origin"})
    assert good.status_code == 200


def test_sessions_end_by_time_and_by_a_change_of_password_or_role(
    server: Flask, opened: Store, as_role: Callable[[str], FlaskClient]
) -> None:
    client = as_role("viewer")
    with opened.write() as c:
        c.execute(update(UserSession).values(ends_at=1))
    assert client.get("/api/v1/status").status_code == 401
    client = as_role("viewer")
    set_role(opened, "viewer", "analyst", actor="tests")
    assert client.get("/api/v1/status").status_code == 401
    client = as_role("viewer")
    set_password(opened, "viewer", PASSWORD + "!", actor="tests")
    assert client.get("/api/v1/status").status_code == 401
    client = server.test_client()
    log_in(client, "viewer", PASSWORD + "!")
    with opened.write() as c:
        c.execute(update(User).where(User.name == "viewer").values(active=False))
    assert client.get("/api/v1/status").status_code == 401


def test_sessions_do_not_survive_another_secret_key(settings: Settings, opened: Store) -> None:
    from pydantic import SecretStr

    client = create_app(settings, opened).test_client()
    log_in(client, "viewer")
    value = client.get_cookie("barometer_session")
    assert value
    other = create_app(settings.model_copy(update={"secret_key": SecretStr("x" * 40)}), opened).test_client()
    other.set_cookie("barometer_session", value.value)
    assert other.get("/api/v1/status").status_code == 401
    same = create_app(settings, opened).test_client()  # the key in the store is shared by all processes
    same.set_cookie("barometer_session", value.value)
    assert same.get("/api/v1/status").status_code == 200


def test_answers_forbid_what_is_not_needed(as_role: Callable[[str], FlaskClient]) -> None:
    client = as_role("viewer")
    page = client.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    script = next(p for p in policy.split("; ") if p.startswith("script-src"))
    assert "unsafe" not in script
    assert "'sha256-" in script
    assert "frame-ancestors 'none'" in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-store"
    text = page.get_data(as_text=True)
    assert re.findall(r'(?:src|href)="(?:https?:)?//', text) == []


def test_secure_cookies(settings: Settings, opened: Store) -> None:
    client = create_app(settings.model_copy(update={"secure_cookies": True}), opened).test_client()
    answer = client.get("/login", base_url="https://localhost")
    assert all("Secure" in h for h in answer.headers.getlist("Set-Cookie"))
    assert "Strict-Transport-Security" in answer.headers


def test_the_api_acknowledges_and_resolves_in_the_users_name(
    as_role: Callable[[str], FlaskClient], opened: Store
) -> None:
    client = as_role("analyst")
    first = client.post("/api/v1/alerts/1/acknowledge", json={"comment": "我看看"}).get_json()
    assert (first["state"], first["acknowledged_by"]) == ("acknowledged", "analyst")
    assert client.post("/api/v1/alerts/1/acknowledge", json={}).status_code == 200, "done already: nothing changes"
    again = as_role("admin").post("/api/v1/alerts/1/acknowledge", json={})
    assert again.status_code == 409
    assert "analyst" in again.get_json()["error"]
    last = client.post("/api/v1/alerts/1/resolve", json={"resolution": "false_alarm"}).get_json()
    assert (last["state"], last["resolved_by"], last["resolution"]) == ("resolved", "analyst", "false_alarm")
    with opened.read() as c:
        events = c.execute(
            select(AlertEvent.action, AlertEvent.actor, AlertEvent.comment)
            .where(AlertEvent.alert_id == 1)
            .order_by(AlertEvent.id.desc())
            .limit(2)
        ).all()
    assert [tuple(e) for e in events] == [("resolved", "analyst", None), ("acknowledged", "analyst", "我看看")]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/api/v1/series?kind=rumour", None, 400),
        ("GET", "/api/v1/series/none/buckets", None, 404),
        ("GET", "/api/v1/series/all/buckets?from=5&to=4", None, 400),
        ("GET", "/api/v1/series/all/buckets?from=x", None, 400),
        ("GET", "/api/v1/series/all/buckets?points=0", None, 400),
        ("GET", "/api/v1/alerts?state=lost", None, 400),
        ("GET", "/api/v1/alerts/999", None, 404),
        ("POST", "/api/v1/alerts/999/acknowledge", {}, 404),
        ("POST", "/api/v1/alerts/1/acknowledge", [], 400),
        ("POST", "/api/v1/alerts/1/acknowledge", {"comment": 5}, 400),
        ("POST", "/api/v1/alerts/1/resolve", {"resolution": "because"}, 400),
        ("POST", "/api/v1/alerts/1/resolve", {"resolution": "real", "comment": "x" * 3000}, 400),
    ],
)
def test_the_api_says_what_is_wrong(
    as_role: Callable[[str], FlaskClient], method: str, path: str, body: Any, code: int
) -> None:
    answer = as_role("admin").open(path, method=method, json=body)
    assert answer.status_code == code
    assert answer.get_json()["error"]


def test_the_api_reads(as_role: Callable[[str], FlaskClient]) -> None:
    client = as_role("viewer")
    series = client.get("/api/v1/series?range=24h").get_json()["series"]
    assert {s["name"] for s in series} > {"all", "topic:real_estate"}
    buckets = client.get("/api/v1/series/topic:real_estate/buckets?kind=news").get_json()["buckets"]
    assert not all(b["sealed"] for b in buckets), "what is still filling is there, and said to be"
    assert buckets[0]["band_high"] > 0
    assert [a["state"] for a in client.get("/api/v1/alerts").get_json()["alerts"]] == ["firing", "acknowledged"]
    one = client.get("/api/v1/alerts/1").get_json()
    assert isinstance(one["evidence"][0]["row_id"], str)
    assert len(one["events"]) == 2
    assert client.get("/api/v1/status").get_json()["problems"]


def test_metrics_and_health_tell_no_secrets(server: Flask) -> None:
    client = server.test_client()
    assert client.get("/health").get_json() == {"status": "ok"}
    text = client.get("/metrics").get_data(as_text=True)
    assert 'barometer_dashboard_requests_total{endpoint="operations.health"' in text
    client.open("/health", method="MADEUP123")
    text = client.get("/metrics").get_data(as_text=True)
    assert "MADEUP" not in text, "a client cannot make series"
    assert 'method="other"' in text


def test_preferences_of_the_log_in_page_are_kept_for_the_user(server: Flask, opened: Store) -> None:
    client = server.test_client()
    client.get("/login?lang=en&theme=dark")
    log_in(client, "viewer")
    with opened.read() as c:
        assert c.execute(select(User.preferences).where(User.name == "viewer")).scalar_one() == {
            "lang": "en", "theme": "dark",
        }  # fmt: skip
    other = server.test_client()
    log_in(other, "viewer")
    assert '<html lang="en" data-mantine-color-scheme="dark">' in other.get("/").get_data(as_text=True)


def test_users_on_the_command_line(settings: Settings, opened: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from dashboard import cli

    monkeypatch.setattr(cli, "settings", lambda: settings)
    runner = CliRunner()
    made = runner.invoke(cli.app, ["users", "add", "sun", "--role", "analyst", "--generate"])
    assert made.exit_code == 0, made.output
    password = made.output.strip().rsplit("password: ", 1)[1]
    client = create_app(settings, opened).test_client()
    assert log_in(client, "sun", password).status_code == 302
    changed = runner.invoke(cli.app, ["users", "passwd", "sun", "--password-stdin"], input="another password\n")
    assert changed.exit_code == 0, changed.output
    assert "another password" not in changed.output
    assert client.get("/api/v1/status").status_code == 401
    assert runner.invoke(cli.app, ["users", "role", "sun", "admin"]).exit_code == 0
    listed = runner.invoke(cli.app, ["users", "list"])
    assert "sun" in listed.output
    assert "admin" in listed.output
    assert runner.invoke(cli.app, ["users", "role", "sun", "king"]).exit_code != 0
