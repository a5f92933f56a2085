"""An alert's page: its links lead to the texts that they are about, and its history says what changed. Its place in the
list of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from plotly.utils import PlotlyJSONEncoder
from sqlalchemy import insert, select

from barometer.matters import Matter
from barometer.settings import Settings
from barometer.store import tables as t
from barometer.store.alerts.life_cycle import Finding, apply_finding
from barometer.store.alerts.worklist import AlertFilter, work_list
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.search.index import index_some
from barometer.store.search.query import search_documents
from dashboard.app import create_app
from dashboard.components.alert_story import history, why
from dashboard.components.series_parts import _bars
from dashboard.context import View
from dashboard.pages.alert import load
from dashboard.services.document_query import FIELDS, wanted
from monitor.explanation.term_lift import Lift
from tests.support.corpus import T0, Doc, lead, prepare, put

MINUTE = 60_000
TOPIC = "topic:real_estate"
DOCS = [
    *(Doc(f"恒远地产工地停工，第 {i} 批业主维权", T0 + i * MINUTE, source="财经早报", sentiment=0,
          topics=("real_estate",)) for i in range(4)),
    *(Doc(f"停牌：600001（第 {i} 次公告）违约", T0 + i * MINUTE + 1, kind=2, source="股吧", sentiment=0,
          topics=("real_estate",)) for i in range(3)),
    Doc("恒远地产称一切正常", T0 + MINUTE, source="财经早报", sentiment=1, topics=("real_estate",)),
    Doc("恒远地产被起诉", T0 + MINUTE, source="财经早报", sentiment=0, topics=("credit_bonds",)),
    Doc("恒远地产旧闻，停工", T0 - 60 * MINUTE, source="股吧", sentiment=0, topics=("real_estate",)),
]  # fmt: skip
EXPLAINED = {
    "sources": [{"source": "财经早报", "negative": 4}, {"source": "股吧", "negative": 3}],
    "companies": [{"company": "恒远地产", "negative": 4}, {"company": "600001.SH", "negative": 3},
                  {"company": "609866.SH", "name": "恒远地产", "negative": 4}],
}  # fmt: skip


@pytest.fixture
def site(settings_for: Callable[..., Settings]) -> Iterator[tuple[Flask, Store]]:
    settings = settings_for()
    store = open_store(settings, migrate=True)
    prepare(store)
    put(store, DOCS)
    index_some(store, lead(store))
    yield create_app(settings, store), store
    store.close()


HITS = {"hits": [{"rule": "run_on_bank", "title": {"zh": "挤兑", "en": "Run on a bank"}}]}


def shown(part: Any) -> str:
    return json.dumps(part, cls=PlotlyJSONEncoder, ensure_ascii=False)


def links(part: Any) -> dict[str, str]:
    """Where the links of a component lead, by what they say."""
    found: dict[str, str] = {}

    def walk(x: Any) -> None:
        if isinstance(x, dict):
            props = x.get("props", {})
            if "href" in props:
                found[shown(props.get("children"))] = props["href"]
            for child in props.values():
                walk(child)
        elif isinstance(x, list):
            for child in x:
                walk(child)

    walk(json.loads(shown(part)))
    return found


def surge(score: float, at: int, kind: int = 1, **more: Any) -> Finding:
    fields: dict[str, Any] = {
        "type": "surge", "fingerprint": TOPIC, "series_id": 2, "kind": kind, "firing": True, "severity": "warning",
        "bucket_start": T0, "bucket_end": at, "score": score, "expected_negative": 2.5, "seen_negative": 7,
        "seen_total": 9, "window_seconds": 600,
    }  # fmt: skip
    return Finding(**(fields | more))


def listed(store: Store, link: str) -> list[str]:
    """The texts that a link to the list of texts shows."""
    parts = urlsplit(link)
    assert parts.path == "/documents"
    query = dict(parse_qsl(parts.query))
    assert query.keys() <= set(FIELDS), "a field that the page knows"
    with store.read() as c:
        page = search_documents(c, store, wanted(query, T0 + 3 * 60 * MINUTE, ZoneInfo("Asia/Shanghai")))
    return sorted(x.text for x in page.texts)


def test_sources_and_companies_lead_to_their_negatives_of_the_alert(site: tuple[Flask, Store]) -> None:
    server, store = site
    with store.write() as c:
        apply_finding(c, surge(5.0, T0 + 10 * MINUTE, explanation=EXPLAINED), T0)
    with server.test_request_context("/"):
        page = load(1)
        assert page is not None
        where = links(why(View("zh", "light"), page.alert, page.series))
    early, forum = sorted(d.text for d in DOCS[:4]), sorted(d.text for d in DOCS[4:7])
    assert {name: listed(store, link) for name, link in where.items()} == {
        '"财经早报"': early, '"股吧"': forum, '"恒远地产"': early, '"600001.SH"': forum, '"恒远地产 609866.SH"': early,
    }  # fmt: skip


def test_what_changed_on_a_series_leads_to_the_texts_that_it_counts(site: tuple[Flask, Store]) -> None:
    server, store = site
    asked = {"series": TOPIC, "sentiment": "negative", "from": str(T0), "to": str(T0 + 10 * MINUTE)}
    early, forum = sorted(d.text for d in DOCS[:4]), sorted(d.text for d in DOCS[4:7])
    for key, name, texts in (
        ("sources", "股吧", forum), ("companies", "600001.SH", forum), ("companies", "恒远地产", early),
        ("terms", "业主维权", early),
    ):  # fmt: skip
        with server.test_request_context("/"):
            bars = _bars(View("en", "light"), [Lift(name, 4, 0, 9.0)], key, SimpleNamespace(before=1, texts=7), asked)
        (link,) = links(bars).values()
        assert listed(store, link) == texts


def test_every_update_of_a_history_says_what_changed(site: tuple[Flask, Store]) -> None:
    server, store = site
    steps: list[tuple[Finding, dict[str, list[str]]]] = [
        (surge(4.0, T0 + MINUTE, matter=Matter(("甲例地产",))), {}),
        (surge(9.0, T0 + 2 * MINUTE, seen_negative=31, seen_total=40),
         {"zh": ["负面 31 / 40", "2.5"], "en": ["31 of 40 negative", "2.5"]}),
        (surge(6.0, T0 + 3 * MINUTE, kind=2, seen_negative=44, seen_total=50),
         {"zh": ["评论也在激增", "负面 44 / 50"], "en": ["also in: Comments", "44 of 50"]}),
        (surge(5.0, T0 + 4 * MINUTE, matter=Matter(("乙例银行",))), {"zh": ["乙例银行"], "en": ["乙例银行"]}),
        (surge(0.0, T0 + 5 * MINUTE, kind=2, firing=False), {"zh": ["评论已回落"], "en": ["calmed down: Comments"]}),
        (surge(0.0, T0 + 6 * MINUTE, type="rule", rule="run_on_bank", severity="warning", seen_negative=0,
               seen_total=0), {"zh": ["红线规则 挤兑 也命中"], "en": ["rule Run on a bank matched as well"]}),
        (surge(0.0, T0 + 7 * MINUTE, type="rule", rule="run_on_bank", firing=False),
         {"zh": ["红线规则 挤兑 不再命中"], "en": ["rule Run on a bank no longer matches"]}),
    ]  # fmt: skip
    for finding, _ in steps:
        with store.write() as c:
            apply_finding(c, finding, finding.bucket_end)
    with store.read() as c:
        e = t.AlertEvent
        rows = c.execute(select(e.__table__).where(e.action.in_(("updated", "matter"))).order_by(e.id)).all()
    assert len(rows) == len(steps) - 1
    for lang in ("zh", "en"):
        with server.test_request_context("/"):
            for row, (_, said) in zip(rows, steps[1:], strict=True):
                text = shown(history(View(lang, "light"), [row], T0, HITS))
                assert all(words in text for words in said[lang]), text


def test_alarms_about_the_product_come_after_critical_alerts_in_the_list_of_all(store: Store) -> None:
    a = t.Alert
    common = {"type": "surge", "kinds": [1], "detected_at": T0, "peak_at": T0, "last_bucket_end": T0, "updated_at": T0,
              "score": 5.0, "expected_negative": 1.0, "seen_negative": 5, "seen_total": 6, "window_seconds": 600,
              "parameters": {}, "explanation": {}, "evidence": []}  # fmt: skip
    made = [(type_, severity, state) for type_ in ("surge", "rule", "system") for severity in ("critical", "warning")
            for state in ("firing", "acknowledged", "resolved")]  # fmt: skip
    with store.write() as c:
        for i, (type_, severity, state) in enumerate(made):
            at = T0 + i * MINUTE if type_ == "system" else T0 - i * MINUTE  # the alarms are the newest
            c.execute(insert(a).values(**(common | {"type": type_, "fingerprint": f"x:{i}", "severity": severity,
                                                    "state": state, "started_at": at})))  # fmt: skip
    with store.read() as c:
        found = [(r.type, r.severity, r.state) for r in work_list(c, AlertFilter(state="all"))]
        waiting = [r.state for r in work_list(c, AlertFilter())]
    assert sorted(found) == sorted(made)
    alarms = [i for i, x in enumerate(found) if x[0] == "system"]
    critical = [i for i, x in enumerate(found) if x[0] != "system" and x[1] == "critical"]
    assert max(critical) < min(alarms)
    assert found[:2] == [("surge", "critical", "firing"), ("rule", "critical", "firing")]
    market = [x[2] for x in found[: min(alarms)]]
    assert market == sorted(market, key=["firing", "acknowledged", "resolved"].index), "what waits first"
    assert waiting == sorted(waiting, reverse=True), "the list of what waits begins with what nobody has"
