"""Files as the world writes them, through ``produce`` into a topic: what arrives, what is refused, what is said."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest
from rich.console import Console

from barometer.errors import BarometerError
from barometer.files import Form
from barometer.records import DeadLetter, Document
from barometer.settings import Settings
from ingest.producing.files import Columns
from ingest.producing.import_job import Plan
from ingest.producing.importing import produce_files
from tests.conftest import Broker
from tests.integration.ingest.test_produce import read

NEWS = {"kind": "news"}
COMMENT = {"kind": "comment"}


@pytest.fixture
def settings(settings_for: Callable[..., Settings], broker: Broker) -> Settings:
    return settings_for(broker)


class Produced:
    """What a command said, and what stands in its topic."""

    def __init__(self, settings: Settings, files: Iterable[Path | str], columns: Columns, topic: str, **more: object):
        out = io.StringIO()
        self.error = ""
        plan = Plan([str(f) for f in files], columns, topic, use_store=False, **more)  # type: ignore[arg-type]
        try:
            produce_files(settings, plan, Console(file=out, width=500))
        except BarometerError as e:
            self.error = str(e)
        self.said = out.getvalue()
        entries = [e for part in read(settings, topic).values() for _, e in part]
        self.letters = [e for e in entries if isinstance(e, DeadLetter)]
        self.documents = sorted((e for e in entries if isinstance(e, Document)), key=lambda d: (d.observed_at, d.text))
        self.texts = sorted(d.text for d in self.documents)

    def times(self, settings: Settings) -> list[str]:
        zone = settings.zone
        return [datetime.fromtimestamp(d.observed_at / 1000, zone).isoformat(sep=" ")[:19] for d in self.documents]


def test_files_of_all_kinds_arrive_as_what_they_are(settings: Settings, tmp_path: Path) -> None:
    rows = [("2023/4/7 8:05", "储户取不出钱，排起长队"), ("2023年4月7日 8点6分", "公司中标，股价上涨")]
    wide = "\n".join(["时间;正文", *(";".join(r) for r in rows)])
    files = {"a.csv": wide.encode("gbk"), "b.txt": wide.replace(";", "\t").encode("utf-16")}
    files["c.json"] = json.dumps([{"时间": t, "正文": x} for t, x in rows]).encode("utf-8-sig")
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    book = openpyxl.Workbook()
    for row in [("时间", "正文"), (datetime(2023, 4, 7, 8, 5), rows[0][1]), (datetime(2023, 4, 7, 8, 6), rows[1][1])]:
        book.active.append(row)  # type: ignore[union-attr]
    book.save(tmp_path / "d.xlsx")
    columns = Columns({"text": "正文"}, COMMENT, "时间", settings.zone)
    paths = [tmp_path / n for n in [*files, "d.xlsx"]]
    done = Produced(settings, paths, columns, settings.topic_documents)
    assert done.error == ""
    assert done.letters == []
    assert done.texts == sorted([rows[0][1]] * 4 + [rows[1][1]] * 4)
    assert done.times(settings) == ["2023-04-07 08:05:00"] * 4 + ["2023-04-07 08:06:00"] * 4
    assert (
        "a.csv: CSV, delimiter ;, GB18030 (by evidence): text = 正文; kind = comment (--set); time = 时间" in done.said
    )


def test_a_numeric_published_at_is_a_time_and_no_dead_letter(settings: Settings, tmp_path: Path) -> None:
    rows = [
        {"text": "a", "published_at": 1680825900, "id": 7352131234567890123, "engagement": {"likes": "1.2万"}},
        {"text": "b", "published_at": "刚刚", "engagement": {"likes": "赞"}},
        {"text": "c", "published_at": 5},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    columns = Columns({}, NEWS, zone=settings.zone)
    done = Produced(settings, [tmp_path / "a.jsonl"], columns, settings.topic_documents)
    assert done.letters == []
    found = {d.text: d for d in done.documents}
    assert found["a"].published_at == 1680825900000
    assert found["a"].external_id == "7352131234567890123"
    assert found["a"].engagement == {"likes": 12_000}
    assert found["b"].published_at is found["c"].published_at is None
    assert "engagement.likes: 1 value dropped (no count): '赞'" in done.said
    assert "published_at: 1 value dropped (it is relative to when it was read" in done.said


def test_rounded_ids_do_not_merge_texts(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"7.35213E+18,第{i}条评论\n" for i in range(4)))
    done = Produced(settings, [tmp_path / "a.csv"], Columns({}, COMMENT), settings.topic_documents)
    assert len({d.doc_key for d in done.documents}) == 4
    assert "id: 4 values dropped (rounded by a spreadsheet" in done.said


@pytest.mark.parametrize(
    ("name", "text", "columns", "error"),
    [
        ("a.jsonl", '{"content": "a"}\n', Columns({"text": "contents"}, NEWS), "no field 'contents'"),
        ("a.csv", "text\na\n", Columns(), "has no kind"),
        ("a.csv", "", Columns({}, NEWS), "a.csv: holds no rows"),
        ("a.csv", "text,kind\n", Columns(), "a.csv: holds no rows"),
        ("a.csv", 'text,n\n"他说\\"没事\\"，走了",1\n', Columns({}, NEWS), "--escape backslash"),
        ("a.csv", "text,t\na,5分钟前\n", Columns({}, NEWS, "t"), "t is no time: '5分钟前'; it is relative"),
    ],
)
def test_what_is_refused_before_anything_is_sent(
    settings: Settings, tmp_path: Path, name: str, text: str, columns: Columns, error: str
) -> None:
    (tmp_path / name).write_text(text)
    done = Produced(settings, [tmp_path / name], columns, settings.topic_documents)
    assert error in done.error
    assert (done.documents, done.letters) == ([], [])


def test_an_import_of_which_every_row_is_left_out_has_failed(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,t\na,昨天 10:00\nb,刚刚\n")
    columns = Columns({}, NEWS, "t", settings.zone)
    done = Produced(settings, [tmp_path / "a.csv"], columns, settings.topic_documents, skip_bad=True)
    assert "every row was left out" in done.error
    assert "2 rows left out:" in done.said


def test_what_some_rows_lack_is_said_at_the_end(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,kind\na,news\n,news\nb,微博\n")
    done = Produced(settings, [tmp_path / "a.csv"], Columns(), settings.topic_documents)
    assert done.error == ""
    assert "1 of 3 rows has no text" in done.said
    assert "1 of 3 rows has no kind" in done.said
    assert len(done.letters) == 2


def test_the_shared_cases(settings: Settings, shared_dir: Path) -> None:
    """Each file of the shared cases, as its README says that it is tried."""
    cases = shared_dir / "cases"
    if not cases.is_dir():
        pytest.skip(f"no cases in {shared_dir}")

    def produce(number: int, name: str, columns: Columns, **more: object) -> Produced:
        return Produced(settings, [cases / name], columns, f"{settings.topic_documents}.{number}", **more)

    zone = settings.zone
    done = produce(0, "times_main.csv", Columns({}, COMMENT, "time", zone), skip_bad=True)
    assert done.times(settings) == ["2024-05-06 09:30:00"] * 5

    columns = Columns({"text": "内容", "title": "标题"}, NEWS, "发布日期+发布时间", zone)
    assert produce(1, "akshare_cls.csv", columns).times(settings) == ["2024-05-06 09:30:00", "2024-05-06 09:31:12"]

    for n, name in enumerate(("gbk.csv", "utf16.csv", "semicolon.csv", "tab.csv"), 2):
        done = produce(n, name, Columns({}, NEWS))
        assert done.texts == ["公司一季度净利润大增，机构上调评级", "某银行网点排起长队，储户取款被限额"], name

    assert produce(6, "es_hits.jsonl", Columns({"text": "_source.content"}, NEWS)).texts == ["某地产公司债券违约"]
    assert (
        "there is no field 'contents'"
        in produce(7, "mediacrawler_comments.jsonl", Columns({"text": "contents"}, COMMENT)).error
    )
    rename = {"text": "content", "engagement.likes": "like_count", "id": "comment_id"}
    done = produce(8, "mediacrawler_comments.json", Columns(rename, COMMENT, "create_time", zone))
    assert [d.engagement for d in done.documents] == [{"likes": 12_000}, {"likes": 3}]

    rename = {"text": "content", "engagement.likes": "liked_count", "id": "aweme_id"}
    done = produce(9, "excel_ids.csv", Columns(rename, COMMENT, "create_time", zone))
    assert [d.engagement for d in done.documents if d.engagement][:3] == [
        {"likes": 1_234},
        {"likes": 35_000},
        {"likes": 12},
    ]
    assert len({d.doc_key for d in done.documents}) == 5
    assert "not unique" in done.said or "so many rows have the same" in done.said

    assert "--escape backslash" in produce(10, "mysql_escaped.csv", Columns({}, NEWS)).error
    done = produce(11, "mysql_escaped.csv", Columns({}, NEWS), form=Form(escape="\\"))
    assert '他说"钱取不出来"，已报警' in done.texts

    done = produce(12, "times.csv", Columns({}, COMMENT, "time", zone), skip_bad=True)
    assert "it is relative" in done.said
    assert done.times(settings).count("2024-05-06 09:30:00") == len(done.documents) - 1  # the one in UTC
