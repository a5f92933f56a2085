"""Documents as files: what matches and no more, whatever the texts try to be, for those who may, and on record."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from zipfile import ZipFile

import pyarrow.parquet as pq
import pytest
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import load_workbook
from sqlalchemy import select

from barometer.settings import Settings
from barometer.store.accounts.users import add_user
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.search.index import index_some
from barometer.store.tables import AuditEntry
from dashboard.app import create_app
from dashboard.exports.document_files import NAMES
from tests.support.corpus import T0, Doc, lead, prepare, put

PASSWORD = "a long enough password"
HOSTILE = [
    "=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1:A9)", "\t=1+1", "\r=1+1", "\n=1+1", "＝1+1", "＠SUM(A1)",
    '=HYPERLINK("http://x.test","click")', '"=1+1"', "a,b\r\n=c", "#N/A", "<script>alert(1)</script>",
    "bell\x07 and \ufffe",
]  # fmt: skip
DOCS = [
    Doc("恒大地产未能兑付到期债券", T0, source="财经早报", title="恒大违约", sentiment=0, p=0.95, flags=1,
        topics=("real_estate", "credit_bonds"), url="https://a.test/1", engagement={"reads": 12, "likes": 0}),
    Doc("股吧里都在说恒大", T0 + 1, kind=2, source="股吧", sentiment=2, p=0.7),
    Doc("未评分的文本", T0 + 2, sentiment=None, unscored_reason="language:fr"),
    Doc("<p></p>", T0 + 3, sentiment=None, unscored_reason="text_empty"),
    Doc("打不了分的文本", T0 + 4, sentiment=None, unscored_reason="scorer_error"),
    *(Doc(text, T0 + 10 + i) for i, text in enumerate(HOSTILE)),
]  # fmt: skip


@pytest.fixture
def site(settings_for: Callable[..., Settings], tmp_path: Any) -> Iterator[tuple[Flask, Store]]:
    settings = settings_for(login_limit="1000 per minute", export_rows=len(DOCS) - 1)
    store = open_store(settings, migrate=True)
    prepare(store)
    put(store, DOCS)
    index_some(store, lead(store), 5)
    for role in ("viewer", "analyst", "admin"):
        add_user(store, role, PASSWORD, role, actor="tests")
    yield create_app(settings, store), store
    store.close()


def client(server: Flask, name: str = "analyst", lang: str = "zh") -> FlaskClient:
    made = server.test_client()
    made.set_cookie("barometer_lang", lang)
    token = re.search(r'name="csrf_token" value="([^"]+)"', made.get("/login").get_data(as_text=True))
    assert token
    answer = made.post("/login", data={"name": name, "password": PASSWORD, "csrf_token": token[1]})
    assert answer.status_code == 302
    return made


def csv_rows(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def sheet_rows(content: bytes, sheet: int = 0) -> list[tuple[Any, ...]]:
    return list(load_workbook(io.BytesIO(content)).worksheets[sheet].iter_rows())


def test_the_same_documents_in_all_formats(site: tuple[Flask, Store]) -> None:
    c = client(site[0])
    answer = c.get("/export/documents.csv?q=恒大&to=2023-11-15")
    assert answer.status_code == 200
    assert answer.headers["X-Barometer-Rows"] == "2"
    assert answer.headers["X-Barometer-Cut"] == "false"
    assert answer.headers["Content-Disposition"].endswith('.csv"')
    rows = csv_rows(answer.get_data().decode())
    assert [r["text"] for r in rows] == ["股吧里都在说恒大", "恒大地产未能兑付到期债券"]
    first = rows[1]
    assert first["observed_at"] == "2023-11-15T06:13:20.000+08:00"
    assert (first["kind"], first["source"], first["sentiment"], first["model"]) == (
        "news",
        "财经早报",
        "negative",
        "m-1",
    )
    assert (first["title"], first["flags"], first["reads"], first["likes"], first["replies"]) == (
        "恒大违约", "text_cut", "12", "0", "",
    )  # fmt: skip
    assert float(first["confidence"]) == pytest.approx(0.95)
    assert set(first["topics"].split("; ")) == {"real_estate", "credit_bonds"}

    table = pq.read_table(io.BytesIO(c.get("/export/documents.parquet?q=恒大").data))
    assert table.column_names == list(NAMES)
    assert table["text"].to_pylist() == [r["text"] for r in rows]
    assert table["observed_at"][1].as_py() == datetime.fromtimestamp(T0 / 1000, UTC)
    assert table["reads"].to_pylist() == [None, 12]

    sheet = sheet_rows(c.get("/export/documents.xlsx?q=恒大").data)
    assert [cell.value for cell in sheet[0]][:2] == ["行号", "观察时间"]
    assert [row[6].value for row in sheet[1:]] == [r["text"] for r in rows]
    assert sheet[2][1].value == datetime(2023, 11, 15, 6, 13, 20)
    at = {name: i for i, name in enumerate(NAMES)}
    told = [{name: row[at[name]].value for name in ("kind", "sentiment", "topics", "flags")} for row in sheet[1:]]
    assert {x["sentiment"] for x in told} <= {"负面", "中性", "正面", None}
    assert {x["kind"] for x in told} <= {"新闻", "评论", "未分类"}
    assert set(told[1]["topics"].split("; ")) == {"房地产", "债券、信用与破产"}
    assert told[1]["flags"] == "正文过长，已截断"
    english = sheet_rows(client(site[0], "admin", "en").get("/export/documents.xlsx?q=恒大").data)
    assert set(english[2][at["topics"]].value.split("; ")) == {"Real estate", "Bonds, credit and insolvency"}
    assert english[0][0].value == "Row"


def test_why_a_text_is_unscored_is_said_in_words_to_people_and_in_codes_to_machines(site: tuple[Flask, Store]) -> None:
    codes = ["scorer_error", "text_empty", "language:fr"]  # all that the worker writes
    where = "sentiment=unscored"
    c, at = client(site[0]), NAMES.index("unscored_reason")
    rows = csv_rows(c.get(f"/export/documents.csv?{where}").get_data().decode())
    assert [r["unscored_reason"] for r in rows] == codes
    table = pq.read_table(io.BytesIO(c.get(f"/export/documents.parquet?{where}").data))
    assert table["unscored_reason"].to_pylist() == codes
    for name, lang, words in (
        ("analyst", "zh", ["打分出错", "没有可评分的文字", "语言不支持（fr）"]),
        ("admin", "en", ["scoring failed", "nothing to score", "language not covered (fr)"]),
    ):
        sheet = sheet_rows(client(site[0], name, lang).get(f"/export/documents.xlsx?{where}").data)
        assert [row[at].value for row in sheet[1:]] == words


def test_nothing_becomes_a_formula(site: tuple[Flask, Store]) -> None:
    c = client(site[0])
    rows = csv_rows(c.get("/export/documents.csv?kind=news&from=2023-11-15").get_data().decode())
    texts = {r["text"] for r in rows}
    for text in HOSTILE:
        dangerous = text[0] in "=+-@\t\r\n＝＠"
        assert (f"'{text}" if dangerous else text) in texts
    book = c.get("/export/documents.xlsx").data
    cells = [row[6] for row in sheet_rows(book)[1:]]
    assert {x.data_type for x in cells} == {"s"}
    held = {x.value for x in cells}
    # A line break is one character in XML, and a cell's text has no other control characters.
    assert {"=1+1", "@SUM(A1:A9)", '=HYPERLINK("http://x.test","click")', "#N/A", "bell\ufffd and \ufffd"} <= held
    with ZipFile(io.BytesIO(book)) as parts:
        assert b"<f>" not in parts.read("xl/worksheets/sheet1.xml")
    assert set(HOSTILE) <= set(pq.read_table(io.BytesIO(c.get("/export/documents.parquet").data))["text"].to_pylist())


def test_at_most_so_many_and_it_is_said(site: tuple[Flask, Store]) -> None:
    c = client(site[0])
    answer = c.get("/export/documents.csv")
    assert answer.headers["X-Barometer-Cut"] == "true"
    assert f"-newest-{len(DOCS) - 1}.csv" in answer.headers["Content-Disposition"]
    assert len(csv_rows(answer.get_data().decode())) == len(DOCS) - 1
    about = {r[0].value: r[1].value for r in sheet_rows(c.get("/export/documents.xlsx?kind=all").data, 1)}
    assert about["导出人"] == "analyst"
    assert str(len(DOCS) - 1) in about["注意"]


def test_who_may_and_what_is_kept(site: tuple[Flask, Store]) -> None:
    server, store = site
    assert server.test_client().get("/export/documents.csv").status_code in (302, 401)
    assert client(server, "viewer").get("/export/documents.csv").status_code == 403
    client(server).get("/export/documents.csv?q=恒大")
    with store.read() as c:
        kept = c.execute(select(AuditEntry).where(AuditEntry.action == "documents.export")).all()
    assert [(e.actor, e.data["rows"], e.data["query"], e.data["format"]) for e in kept] == [
        ("analyst", 2, {"q": "恒大"}, "csv")
    ]


WRONG = (
    "q=-恒大", "kind=poem", "from=yesterday", "confidence=2", "flag=x", "range=1y", "from=2024-01-02&to=2024-01-01",
    "from=99999999999999999999", "q=" + "长" * 501,
)  # fmt: skip


def test_a_wrong_question_is_refused(site: tuple[Flask, Store]) -> None:
    c = client(site[0])
    for query in WRONG:
        answer = c.get(f"/export/documents.csv?{query}")
        assert answer.status_code == 400, query
        assert answer.get_json()["error"]
