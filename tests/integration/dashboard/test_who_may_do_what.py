"""Every callback of the screens and every route, as nobody, viewer, analyst and administrator: who only looks on leaves
nothing changed, whatever is sent; texts and addresses that mean harm do none."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from barometer.settings import Settings
from barometer.store.accounts import tokens
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.tables import ApiToken, AuditEntry, Base, RateCount, User, UserSession
from dashboard.app import create_app
from tests.integration.dashboard.test_auth import filled, log_in
from tests.support.seed import PASSWORD, seed

OWN = (UserSession, ApiToken, AuditEntry, RateCount)
"""Tables in which a viewer's own account may leave something."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, Store]]:
    from barometer.settings import load_settings

    settings = load_settings(
        database_url=f"sqlite:///{tmp_path_factory.mktemp('roles') / 'roles.db'}",
        login_limit="1000 per minute", login_limit_address="1000 per minute", api_limit="100000 per minute",
    )  # fmt: skip
    store = open_store(settings, migrate=True)
    seed(store, settings, days=0.1)
    yield create_app(settings, store), store
    store.close()


def entered(server: Flask, role: str) -> FlaskClient:
    client = server.test_client()
    assert log_in(client, role).status_code == 302
    return client


def contents(store: Store) -> dict[str, list[Any]]:
    """All that the store holds, but for what a person's own visit leaves."""
    with store.read() as c:
        return {
            name: [tuple(r) for r in c.execute(select(table))]
            for name, table in Base.metadata.tables.items()
            if name not in {t.__tablename__ for t in (*OWN, User)}
        }


VALUES: dict[str, Any] = {
    "ui.data": {"lang": "zh", "theme": "light"}, "alert-id.data": 1, "alerts-picked.data": [1, 4],
    "_pages_location.pathname": "/alerts", "_pages_location.search": "", "account-token-scope.value": "act",
    "account-token-days.value": 5, "account-token-name.value": "x", "alerts-query.data": {}, "overview-query.data": {},
    "documents-query.data": {}, "series-query.data": {"name": "topic:real_estate"},
    "annotate-query.data": {"queue": "random", "series": "all"}, "home-visit.data": {"since": 1, "at": 2},
}  # fmt: skip
MANY = {"name": "topic:real_estate", "place": "board", "at": "1", "row": "1", "q": "", "id": 1}
"""Parts of the ids of components of which there are many."""


def plausible(part: dict[str, Any], named: str, other: str) -> Any:
    """What a browser would send for an input: a click for buttons, words for fields."""
    known = f"{part['id']}.{part['property']}"
    if known in VALUES:
        return VALUES[known]
    if part["property"] in ("n_clicks", "n_intervals", "n_submit"):
        return 1
    if part["property"] == "value":
        by_name = {"reason": "old", "resolution": "real", "until": "2h", "level": "grave", "step": "assess",
                   "scope": "series", "to": "admin", "severity": "", "hours": ""}  # fmt: skip
        return next((v for k, v in by_name.items() if k in named or k in other), "some words")
    return None


def calls(client: FlaskClient) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every callback that runs on the server, once for each of its inputs as the one that was touched."""
    for found in client.get("/_dash-dependencies").get_json():
        if found["clientside_function"] is not None:
            continue

        def part(p: dict[str, Any]) -> dict[str, Any] | list[Any]:
            if str(p["id"]).startswith("{"):  # one of many, by a pattern
                given = {k: (MANY[k] if v in (["ALL"], ["MATCH"]) else v) for k, v in json.loads(p["id"]).items()}
                value = given if p["property"] == "id" else plausible(p, p["id"], p["id"])
                one = {"id": given, "property": p["property"], "value": value}
                return [one] if '["ALL"]' in p["id"] else one
            return {**p, "value": plausible(p, p["id"], p["id"])}

        outputs = []
        for name in found["output"].removeprefix("..").removesuffix("..").split("..."):
            name_, prop = name.rsplit(".", 1)
            id_: Any = name_.split("@")[0]
            if id_.startswith("{"):
                id_ = {k: (MANY[k] if v == ["MATCH"] else v) for k, v in json.loads(id_).items()}
            outputs.append({"id": id_, "property": prop.split("@")[0]})
        single = not found["output"].startswith("..")
        for touched in found["inputs"]:
            called = touched["id"]
            if called.startswith("{"):
                ours = {k: (MANY[k] if v in (["ALL"], ["MATCH"]) else v) for k, v in json.loads(called).items()}
                called = json.dumps(ours, sort_keys=True, separators=(",", ":"))
            yield (
                f"{found['output'][:80]} by {touched['id']}",
                {
                    "output": found["output"], "outputs": outputs[0] if single else outputs,
                    "inputs": [part(p) for p in found["inputs"]], "state": [part(p) for p in found["state"]],
                    "changedPropIds": [f"{called}.{touched['property']}"],
                },
            )  # fmt: skip


def test_callbacks_change_nothing_for_who_only_looks_on(site: tuple[Flask, Store]) -> None:
    server, store = site
    nobody, viewer = server.test_client(), entered(server, "viewer")
    before = contents(store)
    tried = list(calls(viewer))
    assert len(tried) > 40
    answered = 0
    for name, body in tried:
        assert nobody.post("/_dash-update-component", json=body).status_code == 401, name
        answered += viewer.post("/_dash-update-component", json=body).status_code in (200, 204)
    assert answered > len(tried) / 2, "most were called as a browser does it"
    after = contents(store)
    assert {name for name in before if before[name] != after[name]} == set()
    with store.read() as c:
        acts = set(c.execute(select(AuditEntry.action).where(AuditEntry.actor == "viewer")).scalars())
        roles = c.execute(select(User.name, User.role, User.active)).all()
    assert acts <= {"login", "token.add", "token.revoke"}, "only their own account"
    assert {tuple(r) for r in roles} >= {("viewer", "viewer", True), ("analyst", "analyst", True)}
    # The same calls do change things for an analyst: the walk above is no empty exercise.
    analyst = entered(server, "analyst")
    for _, body in tried:
        analyst.post("/_dash-update-component", json=body)
    changed = {name for name, rows in contents(store).items() if before[name] != rows}
    assert changed >= {"alerts", "alert_events", "silences"}


def test_a_token_is_revoked_by_its_owner_alone(site: tuple[Flask, Store]) -> None:
    server, store = site
    with store.write() as c:
        made, _ = tokens.add_token(c, "admin", "theirs", "read", 1, store.now_ms(c), actor="tests")
    client = entered(server, "viewer")
    found = next(d for d in client.get("/_dash-dependencies").get_json() if "account-token-list" in d["output"])
    one = {"id": {"type": "token-revoke", "id": made.id}, "property": "n_clicks", "value": 1}
    import json

    touched = json.dumps(one["id"], separators=(",", ":"), sort_keys=True)
    body = {
        "output": found["output"], "changedPropIds": [f"{touched}.n_clicks"],
        "outputs": [{"id": o.rsplit(".", 1)[0], "property": o.rsplit(".", 1)[1]}
                    for o in found["output"].removeprefix("..").removesuffix("..").split("...")],
        "inputs": [{"id": "account-token-make", "property": "n_clicks", "value": None}, [one]],
        "state": [{**p, "value": VALUES.get(f"{p['id']}.{p['property']}")} for p in found["state"]],
    }  # fmt: skip
    assert client.post("/_dash-update-component", json=body).status_code == 200
    with store.read() as c:
        assert c.execute(select(ApiToken.revoked_at).where(ApiToken.id == made.id)).scalar_one() is None
    assert entered(server, "admin").post("/_dash-update-component", json=body).status_code == 200
    with store.read() as c:
        assert c.execute(select(ApiToken.revoked_by).where(ApiToken.id == made.id)).scalar_one() == "admin"


def test_routes_change_nothing_for_who_only_looks_on(site: tuple[Flask, Store]) -> None:
    server, store = site
    viewer = entered(server, "viewer")
    before = contents(store)
    refused = 0
    for rule in list(server.url_map.iter_rules()):
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            path = filled(rule)
            if path in ("/logout", "/login", "/_dash-update-component") or "<path:rest>" in str(rule):
                continue
            answer = viewer.open(path, method=method, json={} if method != "GET" else None)
            assert answer.status_code < 500, (method, path)
            refused += answer.status_code == 403
            if path.startswith(("/export/", "/api/v1/export/")):
                assert answer.status_code == 403, path
    after = contents(store)
    assert {name for name in before if before[name] != after[name]} == set()
    assert refused >= 14, "all acts, silences, exports"


def test_paths_lead_out_of_no_folder(site: tuple[Flask, Store]) -> None:
    server, _ = site
    client = entered(server, "admin")
    for base in ("/assets/", "/_dash-component-suites/dash/", "/_dash-component-suites/", "/export/", "/series/"):
        for evil in (
            "../app.py",
            "..%2fapp.py",
            "%2e%2e/%2e%2e/etc/passwd",
            "....//....//etc/passwd",
            "/etc/passwd",
            "..\\..\\app.py",
            "%00",
            "..%252f..%252fetc%252fpasswd",
        ):
            answer = client.get(base + evil)
            assert answer.status_code < 500, (base, evil)
            text = answer.get_data(as_text=True)
            assert "root:" not in text, (base, evil)
            assert "def create_app" not in text, (base, evil)


def test_nothing_of_a_request_becomes_a_header(site: tuple[Flask, Store]) -> None:
    server, _ = site
    client = server.test_client()
    for evil in ("/x\r\nSet-Cookie: evil=1", "/x%0d%0aSet-Cookie:%20evil=1", "/\u560d\u560aSet-Cookie:evil=1"):
        for answer in (
            client.get("/alerts", query_string={"a": evil}),
            client.get("/login", query_string={"next": evil, "lang": evil, "theme": evil}),
            log_in(server.test_client(), "viewer", next=evil),
        ):
            assert "evil" not in " ".join(answer.headers.getlist("Set-Cookie"))
            assert "\n" not in answer.headers.get("Location", "")


def test_bodies_that_are_too_large_are_refused_before_they_are_read(site: tuple[Flask, Store]) -> None:
    server, _ = site
    client = entered(server, "admin")
    huge = b'{"x": "' + b"x" * (3 * 1024 * 1024) + b'"}'
    for path in ("/_dash-update-component", "/api/v1/alerts/1/comment", "/api/v1/score"):
        assert client.post(path, data=huge, content_type="application/json").status_code in (400, 413), path
    assert client.post("/login", data={"name": "x" * 3_000_000}).status_code in (400, 413)


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1＋1", '=HYPERLINK("http://evil.example")')


def test_texts_of_the_stream_are_no_formulas(settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    from openpyxl import load_workbook
    from sqlalchemy import update

    from barometer.store.tables import Document

    settings = settings_for(database_url=f"sqlite:///{tmp_path / 'formulas.db'}")
    store = open_store(settings, migrate=True)
    seed(store, settings, days=0.1)
    with store.write() as c:
        keys = c.execute(select(Document.row_id).order_by(Document.observed_at.desc()).limit(len(FORMULAS))).scalars()
        for key, formula in zip(list(keys), FORMULAS, strict=True):
            c.execute(update(Document).where(Document.row_id == key).values(text=formula, title=formula, url=formula))
        _, secret = tokens.add_token(c, "analyst", "x", "act", 1, store.now_ms(c), actor="tests")
    client = create_app(settings, store).test_client()
    headers = {"Authorization": f"Bearer {secret}"}
    raw = client.get("/api/v1/export/documents.csv", headers=headers).get_data().decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(raw)) for cell in row]
    assert any("HYPERLINK" in cell for cell in cells)
    for cell in cells:
        assert not cell.lstrip("\t\r\n ").startswith(("=", "@", "＝")), cell
        assert not (cell.startswith(("+", "-")) and not cell[1:].replace(".", "").isdigit()), cell
    book = load_workbook(io.BytesIO(client.get("/api/v1/export/documents.xlsx", headers=headers).get_data()))
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds
    store.close()


def test_names_cannot_be_told_apart_by_time(site: tuple[Flask, Store]) -> None:
    """The slow part, the hash, is done once whether or not there is such a user, or may come in."""
    from unittest import mock

    from barometer.store.accounts import users

    _, store = site
    users.set_active(store, "viewer", False, actor="tests")
    try:
        for name in ("viewer", "admin", "nobody", ""):
            with mock.patch.object(users, "_hasher", wraps=users._hasher) as hasher:
                assert users.verify(store, name, "a wrong password") is None
            assert hasher.verify.call_count == 1, name
        assert users.verify(store, "viewer", PASSWORD) is None
    finally:
        users.set_active(store, "viewer", True, actor="tests")
