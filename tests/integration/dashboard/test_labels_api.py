"""Labels, trust, explanations and models through the server: by API, by screen and as files; who may, and what is
refused; texts of the stream stay texts."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select, update

from barometer.settings import Settings
from barometer.store.accounts.users import add_user
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.model_versions.usage import model_changes, scored_by_model
from barometer.store.search.index import index_some
from barometer.store.tables import Annotation, AuditEntry, LabelText, ModelVersion, SealedBucket, Series
from dashboard.app import create_app
from dashboard.services.model_files import figures, files
from dashboard.services.why import _EXPLAINER, NoExplanation, why
from tests.support.corpus import Doc, lead
from tests.support.labelled import BUCKET, PASSWORD, fill

SCRIPT = "=cmd|' /C calc'!A0 <script>alert(1)</script>"
HOUR = 3_600_000


@pytest.fixture
def site(settings_for: Callable[..., Settings], database_url: str) -> Iterator[tuple[Flask, Store]]:
    """On both databases; texts of the last hours, for drawing looks at the clock."""
    made = settings_for(database_url=database_url, login_limit="1000 per minute")
    store = open_store(made, migrate=True)
    with store.read() as c:
        now = store.now_ms(c) // BUCKET * BUCKET
    docs = [
        Doc("恒远地产未能兑付到期债券，构成违约，投资者聚集在总部门口。", now - HOUR, sentiment=0, p=0.9,
            topics=("real_estate",), source="财经早报"),
        Doc(SCRIPT, now - HOUR + 1, sentiment=1, p=0.5, kind=2),
        Doc("央行开展逆回购操作，利率与上期持平", now - HOUR + 2, sentiment=2, p=0.8, topics=("credit_bonds",)),
        Doc("Ένα κείμενο", now - HOUR + 3, sentiment=None, lang="el"),
    ]  # fmt: skip
    fill(store, docs, now)
    with store.write() as c:
        c.execute(update(ModelVersion).values(topics=["real_estate", "credit_bonds"]))
    index_some(store, lead(store), 100)
    for role in ("viewer", "analyst", "admin"):
        add_user(store, role, PASSWORD, role, actor="tests")
    made_app = create_app(made, store)
    made_app.config["PROPAGATE_EXCEPTIONS"] = True
    yield made_app, store
    store.close()


def client(server: Flask, name: str = "analyst", lang: str = "zh") -> FlaskClient:
    made = server.test_client()
    made.set_cookie("barometer_lang", lang)
    token = re.search(r'name="csrf_token" value="([^"]+)"', made.get("/login").get_data(as_text=True))
    assert token
    answer = made.post("/login", data={"name": name, "password": PASSWORD, "csrf_token": token[1]})
    assert answer.status_code == 302
    return made


def keys(store: Store) -> dict[str, str]:
    from barometer.store.tables import Document

    with store.read() as c:
        rows = c.execute(select(Document.text, Document.observed_at, Document.row_id)).all()
    return {r.text[:4]: f"{r.observed_at}-{r.row_id}" for r in rows}


def test_a_round_of_labelling(site: tuple[Flask, Store]) -> None:
    server, store = site
    c = client(server)
    got = c.post("/api/v1/annotations/next", json={"queue": "random"}).get_json()["offer"]
    assert "sentiment" not in got and "answer" not in got and "topics" not in got
    again = c.post("/api/v1/annotations/next", json={}).get_json()["offer"]
    assert again == got
    made = c.post("/api/v1/annotations", json={"text": got["text"], "sentiment": "negative", "topics": []})
    assert made.status_code == 201
    twice = c.post("/api/v1/annotations", json={"text": got["text"], "sentiment": "negative", "topics": []})
    assert twice.get_json()["id"] == made.get_json()["id"]
    assert c.post("/api/v1/annotations/undo", json={}).get_json()["offer"] == got
    skipped = c.post("/api/v1/annotations", json={"text": got["text"], "skip": True, "comment": "看不懂"})
    assert skipped.status_code == 201
    seen = {got["text"]}
    while (offer := c.post("/api/v1/annotations/next", json={}).get_json()["offer"]) is not None:
        text = offer["text"]
        assert text not in seen
        seen.add(text)
        c.post("/api/v1/annotations", json={"text": text, "sentiment": "negative"})
    assert len(seen) == 3
    # A correction, found by its document; of an unscored text too.
    corrected = c.post("/api/v1/annotations", json={"document": keys(store)["Ένα "], "sentiment": "neutral"})
    assert corrected.status_code == 201
    with store.read() as db:
        rows = db.execute(select(Annotation.__table__).order_by(Annotation.id)).all()
    assert [(r.action, r.origin, r.blind) for r in rows] == [
        ("label", "random", True), ("undo", "random", True), ("skip", "random", True), ("label", "random", True),
        ("label", "random", True), ("label", "document", False),
    ]  # fmt: skip
    listed = c.get("/api/v1/annotations").get_json()["annotations"]
    assert [x["origin"] for x in listed] == ["document", "random", "random"]
    assert [x["id"] for x in c.get("/api/v1/annotations?history=true&limit=2").get_json()["annotations"]] == [
        rows[5].id, rows[4].id,
    ]  # fmt: skip
    whole = c.get(f"/api/v1/annotations/texts/{rows[0].text_id}").get_json()
    assert [x["action"] for x in whole["said"]] == ["label", "undo", "skip"]
    assert whole["model"] == "m-1"
    trust = c.get("/api/v1/trust?series=all").get_json()
    labels = trust["series"]["all"]["labels"][0]
    assert labels["texts"] == 2 and trust["skipped"] == 1 and labels["accuracy"]["n"] == 2


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ({"sentiment": "negative"}, 400, "text"), ({"text": "x", "sentiment": "negative"}, 400, "text"),
        ({"text": 10**17, "sentiment": "negative"}, 400, "text"), ({"text": 99, "sentiment": "negative"}, 404, "99"),
        ({"text": True, "sentiment": "negative"}, 400, "text"),
        ({"document": "1-2", "sentiment": "negative"}, 404, "text"),
        ({"document": "'; DROP", "sentiment": "negative"}, 404, "text"),
        ({"text": 1, "sentiment": "bad"}, 400, "sentiment"),
        ({"text": 1, "sentiment": "negative", "topics": "x"}, 400, "topics"),
        ({"text": 1, "sentiment": "negative", "topics": ["nope"]}, 400, "nope"),
        ({"text": 1, "skip": "yes"}, 400, "skip"), ({"text": 1, "comment": 5}, 400, "comment"), ([1], 400, "object"),
        ({"text": 1}, 400, "sentiment"),
    ],
)  # fmt: skip
def test_what_is_refused_says_which_field(
    settings_for: Callable[..., Settings], body: Any, code: int, says: str
) -> None:
    made = settings_for(login_limit="1000 per minute")
    store = open_store(made, migrate=True)
    with store.read() as c:
        now = store.now_ms(c) // BUCKET * BUCKET
    fill(store, [Doc("一条文本", now - HOUR)], now)
    add_user(store, "analyst", PASSWORD, "analyst", actor="tests")
    c = client(create_app(made, store))
    c.post("/api/v1/annotations/next", json={})
    answer = c.post("/api/v1/annotations", json=body)
    assert answer.status_code == code and says in answer.get_json()["error"]
    for path in (
        "/api/v1/annotations?origin=x",
        "/api/v1/annotations?limit=x",
        "/api/v1/annotations?before=-1",
        "/export/annotations.csv?origin=x",
    ):
        assert c.get(path).status_code == 400
    assert c.post("/api/v1/annotations/next", json={"queue": "gold"}).status_code == 400
    store.close()


def test_viewers_look_and_do_not_label(site: tuple[Flask, Store]) -> None:
    server, store = site
    c = client(server, "viewer")
    for path, body in (("next", {}), ("undo", {}), ("", {"text": 1, "sentiment": "negative"})):
        assert c.post(f"/api/v1/annotations/{path}".rstrip("/"), json=body).status_code == 403
    assert c.get("/export/annotations.csv").status_code == 403
    assert c.get("/api/v1/trust").status_code == 200
    with store.read() as db:
        assert db.execute(select(LabelText.id)).all() == []
    assert server.test_client().get("/api/v1/trust").status_code == 401


def test_files_hold_what_was_said_and_nothing_in_them_is_a_formula(site: tuple[Flask, Store]) -> None:
    server, store = site
    c = client(server)
    c.post("/api/v1/annotations", json={"document": keys(store)["=cmd"], "sentiment": "neutral", "topics": [],
                                        "comment": "=1+1"})  # fmt: skip
    c.post("/api/v1/annotations", json={"document": keys(store)["恒远地产"], "sentiment": "negative",
                                        "topics": ["real_estate", "credit_bonds"]})  # fmt: skip
    answer = c.get("/export/annotations.csv")
    text = answer.get_data(as_text=True)
    rows = list(csv.DictReader(io.StringIO(text[1:], newline="")))
    assert answer.headers["X-Barometer-Rows"] == "2" and len(rows) == 2
    assert rows[0]["topics"] == "real_estate; credit_bonds" and rows[0]["model_topics"] == "real_estate"
    assert rows[1]["text"] == "'" + SCRIPT and rows[1]["comment"] == "'=1+1"
    assert rows[0]["created_at"].endswith("+08:00")
    lines = [json.loads(x) for x in c.get("/export/annotations.jsonl?origin=document").get_data().splitlines()]
    assert [x["text"] for x in lines] == [rows[0]["text"], SCRIPT]
    assert lines[1]["topics"] == [] and lines[0]["user"] == "analyst" and lines[0]["model"] == "m-1"
    assert {x["group"] for x in lines} == {lines[0]["text_id"], lines[1]["text_id"]}
    assert c.get("/export/annotations.jsonl?origin=random").get_data() == b""
    with store.read() as db:
        audited = db.execute(select(AuditEntry.data).where(AuditEntry.action == "annotations.export")).scalars().all()
    assert [x["rows"] for x in audited] == [2, 2, 0]


def test_why_by_the_model_at_hand(site: tuple[Flask, Store]) -> None:
    server, store = site
    c, where = client(server, "viewer"), keys(store)
    found = c.get(f"/api/v1/documents/{where['恒远地产']}/why").get_json()
    assert "".join(p["text"] for p in found["parts"]) == "恒远地产未能兑付到期债券，构成违约，投资者聚集在总部门口。"
    marked = [p for p in found["parts"] if p["effect"]]
    assert len(marked) == 3 and max(p["effect"] for p in marked) > 0
    assert found["said_by"] == "m-1" and found["said"] == "negative" and found["model"] != "m-1"
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert c.get(f"/api/v1/documents/{where['Ένα ']}/why").get_json()["code"] == "why_unscored"
    for nothing in ("1-2", "x"):
        assert c.get(f"/api/v1/documents/{nothing}/why").status_code == 404
    server.extensions["barometer"].settings.__dict__["explain_texts"] = False
    off = c.get(f"/api/v1/documents/{where['恒远地产']}/why")
    assert off.status_code == 503
    with server.test_request_context("/"), pytest.raises(NoExplanation, match="off_setting"):
        why((0, 0))


def test_without_a_model_the_screens_say_so(
    site: tuple[Flask, Store], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    server, store = site
    monkeypatch.setattr(_EXPLAINER, "_scorer", None)
    monkeypatch.setattr(_EXPLAINER, "_broken", None)
    server.extensions["barometer"].settings.__dict__["model_path"] = tmp_path / "none"
    c = client(server)
    answer = c.get(f"/api/v1/documents/{keys(store)['恒远地产']}/why")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "no_model")
    with server.test_request_context("/"):
        assert "there is no folder" in str(files())


def test_changes_of_model_are_found_and_flapping_is_one(site: tuple[Flask, Store]) -> None:
    _, store = site
    with store.write() as db:
        now = store.now_ms(db) // BUCKET * BUCKET
        everything = db.execute(select(Series.id).where(Series.name == "all")).scalar_one()
        db.execute(
            insert(ModelVersion),
            [{"id": 2, "name": "m-2", "precision": "int8", "topics": [], "state": "seen", "created_at": 0,
              "metrics": {"rebase": {"against": 1, "*": 1.5}}}],
        )  # fmt: skip
        models = [1] * 20 + [2, 1, 2] + [2] * 20
        db.execute(
            insert(SealedBucket),
            [{"series_id": everything, "kind": 1, "start": now - 6 * HOUR * 10 + i * BUCKET,
              "end": now - 6 * HOUR * 10 + (i + 1) * BUCKET, "total": 10, "negative": 2 if m == 1 else 3,
              "neutral": 5, "positive": 3 if m == 1 else 2, "unscored": 0, "independent": 10,
              "independent_negative": 2, "model_id": m, "alert": False, "outage": False, "term": 1}
             for i, m in enumerate(models)],
        )  # fmt: skip
    with store.read() as db:
        found = model_changes(db, now)
        scored = scored_by_model(db, now)
    first = found[-1]
    assert (first.before_id, first.after_id, first.ratio) == (1, 2, 1.5)
    assert first.before is not None and first.after is not None
    assert first.before.negative / first.before.scored == 0.2
    assert first.after.negative / first.after.scored == 0.3
    assert scored[2].total == 220


def test_figures_are_found_wherever_they_stand_and_strange_fields_are_left_alone() -> None:
    metrics = {"gold": {"zh": {"news": {"sentiment": {"n": 5, "accuracy": 0.9}}}, "note": None}, "dev": 3,
               "summary": 0.8, "new": [1]}  # fmt: skip
    assert [(f.split, f.name, f.sentiment["n"]) for f in figures(metrics)] == [("gold", "zh · news", 5)]
