"""What nobody's browser sends: callbacks with their JSON changed, and text that a database cannot keep. All of it is
refused with 400 and one line, on both databases; what our own pages send is not."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import dash
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from structlog.testing import capture_logs

from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.tables import Alert, Document
from dashboard.app import create_app
from dashboard.security.payload_shapes import shape_of
from dashboard.security.payloads import PATH
from tests.integration.dashboard.test_auth import log_in
from tests.support.api_client import watched
from tests.support.seed import seed

MUTATIONS = 12
"""Of each callback."""
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**40, 2**63, 10**30, 1.5, float("nan"), float("inf"), "", "x", "\x00", "a\x00b", "\ud800",
    "1", "x" * 60_000, "../../etc/passwd", [], [None], [[]], ["x"], {}, {"x": 1}, {"lang": 3}, {"from": "x"},
    {"__class__": {}}, {"id": "x", "property": "y", "value": 1}, [1, "a", None],
)  # fmt: skip


@pytest.fixture
def server(store: Store, settings_for: Callable[..., Settings]) -> Flask:
    settings = settings_for(login_limit="1000 per minute", api_limit="100000 per minute")
    seed(store, settings, days=0.3)
    made = watched(create_app(settings, store))
    made.config["PROPAGATE_EXCEPTIONS"] = False
    return made


@pytest.fixture
def client(server: Flask) -> FlaskClient:
    client = server.test_client()
    assert log_in(client, "admin").status_code == 302
    return client


def values(store: Store) -> dict[str, Any]:
    """What the pages hold, by the component's id."""
    with store.read() as c:
        alert = c.execute(select(Alert.id).order_by(Alert.id).limit(1)).scalar_one()
        row = c.execute(select(Document.observed_at, Document.row_id).limit(1)).one()
        now = store.now_ms(c)
    series = {"name": "topic:real_estate", "range": None, "kind": None, "from": None, "to": None, "at": None}
    return {
        "ui": {"lang": "en", "theme": "light"}, "alert-id": alert, "alert-me": "admin", "alerts-me": "admin",
        "alerts-picked": [], "alerts-query": {"state": None},
        "annotate-act": {"act": "no", "sentiment": 1, "topics": [], "at": 1.5},
        "annotate-query": {"queue": "random", "series": "all", "text": None, "doc": None}, "annotate-text": None,
        "documents-newest": None, "documents-query": {"q": None, "kind": None},
        "home-visit": {"since": now - 1, "at": now}, "overview-query": {"range": None}, "overview-version": None,
        "series-query": series, "series-zoom": None,
        "why-asked": {"key": f"{row.observed_at}-{row.row_id}", "at": 5}, "_pages_location.pathname": "/system",
        "_pages_location.search": "?sources=all",
        "star": {"name": "topic:real_estate", "place": "board", "type": "star"},
        "whole": {"at": str(row.observed_at), "row": str(row.row_id), "q": "", "type": "whole"},
        "token-revoke": {"id": 1, "type": "token-revoke"}, "silence-end": {"id": 1, "type": "silence-end"},
        "receiver-test": {"name": "risk-desk", "type": "receiver-test"}, "silences-past": "",
        "series-chart.relayoutData": {"autosize": True},
    }  # fmt: skip


def sent(known: dict[str, Any], id_: str, property_: str) -> Any:
    """One input as the browser sends it."""
    if id_.startswith("{"):
        pattern = json.loads(id_)
        one = {"id": known[pattern["type"]], "property": property_}
        one["value"] = one["id"] if property_ == "id" else None
        return [one] if ["ALL"] in pattern.values() else one
    value = known.get(f"{id_}.{property_}", known.get(id_) if property_ == "data" else None)
    return {"id": id_, "property": property_, "value": value}


def output_of(known: dict[str, Any], name: str) -> dict[str, Any]:
    id_, _, property_ = name.rpartition(".")
    if not id_.startswith("{"):
        return {"id": id_, "property": property_}
    type_ = json.loads(id_)["type"]
    return {"id": {**known["whole" if type_ == "body" else type_], "type": type_}, "property": property_}


def payloads(store: Store) -> Iterator[dict[str, Any]]:
    """A request of each callback, as a page would send it."""
    known = values(store)
    for output, callback in dash.get_app().callback_map.items():
        if "callback" not in callback:
            continue
        several = output.startswith("..")
        names = output[2:-2].split("...") if several else [] if callback["no_output"] else [output]
        outputs = [output_of(known, name) for name in names]
        inputs = [sent(known, i["id"], i["property"]) for i in callback["inputs"]]
        first = inputs[0][0] if isinstance(inputs[0], list) else inputs[0]
        called = first["id"] if isinstance(first["id"], str) else json.dumps(
            first["id"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )  # fmt: skip
        yield {
            "output": output, "outputs": outputs if several else outputs[0] if outputs else [],
            "inputs": inputs, "state": [sent(known, i["id"], i["property"]) for i in callback["state"]],
            "changedPropIds": [f"{called}.{first['property']}"],
        }  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all parts of a JSON value."""
    yield at
    if isinstance(value, dict):
        for key, x in value.items():
            yield from places(x, (*at, key))
    elif isinstance(value, list):
        for i, x in enumerate(value):
            yield from places(x, (*at, i))


def tampered(rng: random.Random, payload: dict[str, Any]) -> Any:
    """The request with one part changed, taken out, doubled or pressed."""
    new = copy.deepcopy(payload)
    for one in new["inputs"]:  # a button that was not pressed does nothing
        for x in one if isinstance(one, list) else [one]:
            if x["property"] == "n_clicks":
                x["value"] = 1
    *way, last = rng.choice([p for p in places(new) if p])
    parent = new
    for key in way:
        parent = parent[key]
    act = rng.randrange(4)
    if act == 0:
        del parent[last]
    elif act == 1 and isinstance(parent, list):
        parent.append(parent[last])
    elif act == 2 and isinstance(parent[last], dict):
        parent[last][rng.choice(["x", "from", "id", "value"])] = rng.choice(JUNK)
    else:
        parent[last] = rng.choice(JUNK)
    return rng.choice(JUNK) if rng.random() < 0.02 else new


def post(client: FlaskClient, payload: Any) -> Any:
    return client.post(PATH, data=json.dumps(payload), content_type="application/json")


def refused(answer: Any) -> bool:
    if answer.status_code != 400:
        return False
    said = answer.get_json()
    assert said["code"] and said["error"] and "\n" not in said["error"] and len(said["error"]) < 400
    return True


def test_what_pages_send_is_answered_and_what_is_changed_is_refused(client: FlaskClient, store: Store) -> None:
    client.get("/health")
    every = list(payloads(store))
    assert len(every) > 25
    for payload in every:
        answer = post(client, payload)
        assert answer.status_code in (200, 204), (payload["output"], answer.get_data(as_text=True)[:300])
    rng, n, wrong = random.Random(16), 0, []
    for payload in every:
        for _ in range(MUTATIONS):
            changed = tampered(rng, payload)
            with capture_logs() as logs:
                answer = post(client, changed)
            if refused(answer):
                n += 1
                assert len([x for x in logs if x["event"] == "callback refused"]) <= 1
            elif answer.status_code not in (200, 204):
                wrong.append((answer.status_code, json.dumps(changed)[:1500]))
    assert wrong == []
    assert n > len(every) * MUTATIONS / 3


def test_every_property_that_a_callback_reads_has_a_shape(client: FlaskClient) -> None:
    """A new store or a new kind of input gets a line in dashboard/security/payload_shapes.py."""
    client.get("/health")
    missing = []
    for callback in dash.get_app().callback_map.values():
        for one in [*callback["inputs"], *callback["state"]] if "callback" in callback else []:
            id_ = json.loads(one["id"])["type"] if one["id"].startswith("{") else one["id"]
            if shape_of(id_, one["property"]) is None:
                missing.append((id_, one["property"]))
    assert missing == []


@pytest.mark.parametrize("bad", ["\x00", "a\x00b", "\ud800", "x\udfff"], ids=["nul", "nul inside", "half", "end"])
def test_text_that_no_database_keeps_is_refused_everywhere(client: FlaskClient, server: Flask, bad: str) -> None:
    asked = []
    for rule in server.url_map.iter_rules():
        path = str(rule)
        if path.startswith(("/_dash", "/assets", "/static")) or ("<path" in path and not path.startswith("/api")):
            continue
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            asked.append((method, path))
    assert len(asked) > 30
    text = quote(bad.encode("utf-8", "surrogatepass"))
    nul = "\x00" in bad
    for method, path in asked:
        whole = path
        for part in [p for p in path.split("/") if p.startswith("<")]:
            whole = whole.replace(part, "1" if "int:" in part else "all")
        kinds = [client.open(whole, method=method, json={"q": bad, "comment": [bad]})]
        if nul:  # half a character in an address is read as a replacement character
            kinds += [
                client.open(f"{whole}?q={text}", method=method),
                client.open(f"{whole}?{text}=1", method=method),
                client.open(whole, method=method, data={"name": bad, "password": "x"}),
            ]
        for answer in kinds:
            assert refused(answer), (method, whole, answer.status_code)
    if nul:
        assert refused(client.get(f"/api/v1/series/{text}"))
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
            form = {"name": bad, "password": bad}
            assert refused(server.test_client().post("/login", data=form, content_type=kind))


def test_numbers_that_fit_no_column(client: FlaskClient) -> None:
    for path in (f"/api/v1/alerts/{10**30}", f"/api/v1/alerts/{2**63}"):
        assert client.get(path).status_code == 404
    for body in (
        '{"comment": NaN}',
        '{"comment": 1e999}',
        '{"comment": ' + "9" * 40 + "}",
        "[" * 5000,
        "[" * 70 + "]" * 70,
    ):
        answer = client.post("/api/v1/alerts/1/comment", data=body, content_type="application/json")
        assert refused(answer), body[:30]
